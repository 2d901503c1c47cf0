"""``cisisk adopt``: take over the directory of another TFTP server; through the running service when there is one."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from cisisk.cli.control import control
from cisisk.cli.options import add_config, load_settings
from cisisk.cli.user import find
from cisisk.config import Settings

_SECONDS = 3600.0
"""For all of it: some gigabytes of firmware are copied, and each config is a transaction."""
_TITLES = {
    "duplicate": "The same line, or the same phone, in two files",
    "invalid": "Not taken over, as no phone could read them",
    "dead_load": "They name firmware that is not here",
    "ssh_password": "They show the password of the phone's shell to everybody who reads them",
    "skipped": "Not taken over, or not served",
}


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("adopt", help="take over an existing TFTP directory", description=__doc__)
    parser.add_argument("directory", type=Path, help="it is only read; the user that Cisisk runs as must be able to")
    parser.add_argument(
        "--owner", metavar="USERNAME", help="to whom the profiles belong (default: the first superadmin)"
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Take a directory over and tell what became of it."""
    asyncio.run(_run(load_settings(arguments), arguments))
    return 0


async def _run(settings: Settings, arguments: argparse.Namespace) -> None:
    async with control(settings) as way:
        body: dict[str, Any] = {"directory": str(arguments.directory.absolute())}
        if arguments.owner:
            body["user_uuid"] = (await find(way, arguments.owner))["uuid"]
        report = await way.call("POST", "/adoptions", body, seconds=_SECONDS)
    for line in _told(report):
        print(line)  # noqa: T201 -- what the command is for


def _told(report: dict[str, Any]) -> list[str]:
    added = f"{report['phones']} phone(s) and {report['profiles']} profile(s) added"
    lines = [f"{added}, {report['files']} file(s) copied, {report['unchanged']} there already"]
    for kind, title in _TITLES.items():
        notes = [note for note in report["notes"] if note["kind"] == kind]
        lines += [f"{title} ({len(notes)}):"] if notes else []
        lines += [f"  {note['path']}: {note['message']}" for note in notes]
    return lines
