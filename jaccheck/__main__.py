"""The program ``jaccheck``, also as ``python -m jaccheck``: one line where what it needs is missing."""

from __future__ import annotations

import sys

from jaccheck._needs import MissingPackage


def main() -> None:
    """Run the program's command line, and end with its exit status."""
    try:
        from jaccheck.cli import entry_point
    except MissingPackage as error:
        print(f"jaccheck: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # before there is anything that could say so
        print("jaccheck: interrupted", file=sys.stderr)
        sys.exit(130)
    entry_point()


if __name__ == "__main__":
    main()
