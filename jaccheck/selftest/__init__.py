"""The checker's own score: faults of our own making, and whether each is found."""
