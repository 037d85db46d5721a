"""Defects of the libraries that are known: the register, and whether a failure is one of them and nothing else."""
