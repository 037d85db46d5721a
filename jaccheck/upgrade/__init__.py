"""What becomes of each path's Jacobian under another version of torch or of a path's library."""
