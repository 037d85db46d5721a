"""What each path costs: timed, weighed, and shown."""
