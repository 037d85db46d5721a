"""What an error looks like, as a statement about all elements of a Jacobian."""
