"""Verify batched Jacobians in PyTorch: every path, element by element, against a proven rounding enclosure."""
