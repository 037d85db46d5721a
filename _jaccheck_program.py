"""The program ``jaccheck``: Ctrl-C ends it in one line from the first moment on.

It lies beside the package: anything inside the package would first bring torch along, which takes seconds.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the program's command line, and end with its exit status."""
    try:
        from jaccheck.__main__ import main

        main()
    except KeyboardInterrupt:
        print("jaccheck: interrupted", file=sys.stderr)
        sys.exit(130)
