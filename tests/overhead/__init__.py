"""What jaccheck itself costs, beside what it judges; run as ``python -m tests.overhead``."""
