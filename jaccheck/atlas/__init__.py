"""How accurate each path's derivative of each activation is, at every argument of a dtype."""
