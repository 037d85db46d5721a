"""Why there is no script."""


class NoReproducer(Exception):
    """There is no script that shows it; the message says why."""
