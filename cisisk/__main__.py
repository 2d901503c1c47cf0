"""``python -m cisisk`` is the ``cisisk`` command."""

import sys

from cisisk.cli import main

if __name__ == "__main__":
    sys.exit(main())
