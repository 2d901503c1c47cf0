"""The ``cisisk`` command, with one module per subcommand."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from cisisk import __version__
from cisisk.model.errors import CisiskError, ConfigurationError

COMMANDS = ("serve", "demo", "user", "adopt", "simulate")
"""The subcommands in the order of the help; each is a module of this package."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the subcommand in ``argv``. Return the exit status: 0 success, 1 failure, 2 usage or configuration error."""
    try:
        return _run(argv)
    except CisiskError as error:
        print(f"cisisk: {error}", file=sys.stderr)  # noqa: T201 -- the only place that reports failures
        return 2 if isinstance(error, ConfigurationError) else 1
    except KeyboardInterrupt:
        return 130


def _run(argv: Sequence[str] | None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="cisisk", description="Extension mobility for Cisco desk phones.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    # Import only the module of the given command: a long-running service should not keep the simulator in memory.
    # Without a valid command import all of them, for help and error messages.
    for command in [name for name in COMMANDS if name in arguments[:1]] or COMMANDS:
        import_module(f"cisisk.cli.{command}").add_parser(commands)
    parsed = parser.parse_args(arguments)
    return int(parsed.run(parsed))
