"""The ``cisisk`` command: thin, one module per subcommand."""

import argparse
import sys
from collections.abc import Sequence

from cisisk import __version__
from cisisk.model.errors import CisiskError, ConfigurationError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the subcommand that ``argv`` names; the exit status: 0 done, 1 failed, 2 wrongly called or configured."""
    try:
        return _run(argv)
    except CisiskError as error:
        print(f"cisisk: {error}", file=sys.stderr)  # noqa: T201 -- the one place where a command says why it failed
        return 2 if isinstance(error, ConfigurationError) else 1
    except KeyboardInterrupt:
        return 130


def _run(argv: Sequence[str] | None) -> int:
    from cisisk.cli import demo, serve, simulate, user

    parser = argparse.ArgumentParser(prog="cisisk", description="Extension mobility for Cisco desk phones.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (serve, demo, user, simulate):
        module.add_parser(commands)
    arguments = parser.parse_args(argv)
    return int(arguments.run(arguments))
