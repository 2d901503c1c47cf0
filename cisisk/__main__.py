"""``python -m cisisk`` is the ``cisisk`` command."""

from cisisk.cli import main

if __name__ == "__main__":
    main()
