"""Random networks until one breaks something, and what is kept of it."""
