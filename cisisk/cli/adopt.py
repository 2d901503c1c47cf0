"""``cisisk adopt``: import the directory of another TFTP server, through the running service if there is one."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from cisisk.cli.control import connect
from cisisk.cli.options import add_config, load_settings
from cisisk.cli.user import find
from cisisk.config import Settings

_TIMEOUT_SECONDS = 3600.0
"""Timeout of the import: it copies gigabytes of firmware and commits a transaction per config."""
_TITLES = {
    "duplicate": "Two files with the same line or the same phone",
    "invalid": "Not imported because phones cannot read them",
    "dead_load": "Missing firmware",
    "ssh_password": "Readable password of the phone's shell",
    "skipped": "Not imported or not served",
}


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser of the command to ``commands``."""
    parser = commands.add_parser("adopt", help="import an existing TFTP directory", description=__doc__)
    parser.add_argument(
        "directory", type=Path, help="directory to read; the user of the Cisisk process needs read access"
    )
    parser.add_argument("--owner", metavar="USERNAME", help="owner of the profiles (default: the first superadmin)")
    add_config(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Import a directory and print the report."""
    asyncio.run(_run(load_settings(arguments), arguments))
    return 0


async def _run(settings: Settings, arguments: argparse.Namespace) -> None:
    async with connect(settings) as client:
        body: dict[str, Any] = {"directory": str(arguments.directory.absolute())}
        if arguments.owner:
            body["user_uuid"] = (await find(client, arguments.owner))["uuid"]
        report = await client.call("POST", "/adoptions", body, seconds=_TIMEOUT_SECONDS)
    for line in _lines(report):
        print(line)  # noqa: T201 -- output of the command


def _lines(report: dict[str, Any]) -> list[str]:
    added = f"{report['phones']} phone(s) and {report['profiles']} profile(s) added"
    lines = [f"{added}, {report['files']} file(s) copied, {report['unchanged']} unchanged"]
    for kind, title in _TITLES.items():
        notes = [note for note in report["notes"] if note["kind"] == kind]
        lines += [f"{title} ({len(notes)}):"] if notes else []
        lines += [f"  {note['path']}: {note['message']}" for note in notes]
    return lines
