"""The ``cisisk`` command: thin, one module per subcommand."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from cisisk import __version__
from cisisk.model.errors import CisiskError, ConfigurationError

COMMANDS = ("serve", "demo", "user", "adopt", "simulate")
"""In the order in which they are listed; each is the module of its name."""


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
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="cisisk", description="Extension mobility for Cisco desk phones.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    # Only what is asked for: a service that runs for months need not keep the simulator in memory. All of them when it
    # is none of them, for the list and the error texts.
    for command in [name for name in COMMANDS if name in arguments[:1]] or COMMANDS:
        import_module(f"cisisk.cli.{command}").add_parser(commands)
    parsed = parser.parse_args(arguments)
    return int(parsed.run(parsed))
