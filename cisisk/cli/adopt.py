"""``cisisk adopt``: import the directory of another TFTP server, through the running service if there is one."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from cisisk.api import csv_table
from cisisk.cli.control import ControlClient, Refused, connect
from cisisk.cli.options import add_config, load_settings
from cisisk.cli.user import find
from cisisk.config import Settings
from cisisk.model.errors import CisiskError, Invalid
from cisisk.model.mac import Mac

_TIMEOUT_SECONDS = 3600.0
"""Timeout of the import: it copies gigabytes of firmware and commits a transaction per config."""
_TITLES = {
    "duplicate": "Two files with the same line or the same phone",
    "invalid": "Not imported because phones cannot read them",
    "dead_load": "Missing firmware",
    "ssh_password": "Readable password of the phone's shell",
    "skipped": "Not imported or not served",
}
_EXAMPLES = 3
"""Notes of each kind that are shown without ``--details``. A large site has a note for each phone."""
_COLUMNS = ("mac", "username", "file", "profile", "profile_uuid", "state")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser of the command to ``commands``."""
    parser = commands.add_parser("adopt", help="import an existing TFTP directory", description=__doc__)
    parser.add_argument(
        "directory", type=Path, help="directory to read; the user of the Cisisk process needs read access"
    )
    parser.add_argument("--owner", metavar="USERNAME", help="owner of the profiles (default: the first superadmin)")
    parser.add_argument(
        "--owners", type=Path, metavar="FILE", help="CSV with the columns mac and username: other owners, by phone"
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help="write which profile is whose to this CSV file")
    parser.add_argument("--details", action="store_true", help="print every note, not only some of each kind")
    add_config(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Import a directory and print the report. Returns 1 if it has no config of a phone."""
    report = asyncio.run(_run(load_settings(arguments), arguments))
    if arguments.table:
        arguments.table.write_bytes(csv_table.write(_table(report), ","))
    lines = _lines(report, None if arguments.details else _EXAMPLES)
    if not report["configs"]:
        lines.append("No phone was imported: the directory has no SEP<MAC>.cnf.xml that phones can read.")
    for line in lines:
        print(line)  # noqa: T201 -- output of the command
    return 0 if report["configs"] else 1


async def _run(settings: Settings, arguments: argparse.Namespace) -> dict[str, Any]:
    rows = _owners(arguments.owners) if arguments.owners else []
    async with connect(settings) as client:
        body: dict[str, Any] = {"directory": str(arguments.directory.absolute())}
        if arguments.owner:
            body["user_uuid"] = (await find(client, arguments.owner))["uuid"]
        if rows:
            body["owners"] = await _with_uuids(client, rows)
        return dict(await client.call("POST", "/adoptions", body, seconds=_TIMEOUT_SECONDS))


def _owners(path: Path) -> list[tuple[Mac, str]]:
    """Return the phones and usernames of a CSV table. Raises Refused: it is no such table."""
    try:
        table = csv_table.read(path.read_bytes())
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error
    except CisiskError as error:
        raise Refused(f"{path}: {error}") from error
    names = [name.strip().casefold() for name in table.columns]
    if not {"mac", "username"} <= set(names):
        raise Refused(f"{path}: the first line must have the columns mac and username")
    at_mac, at_user = names.index("mac"), names.index("username")
    owners = []
    for number, row in enumerate(table.rows, start=2):
        cells = [str(cell).strip() for cell in row] + [""] * len(names)
        try:
            mac = Mac.parse(cells[at_mac].upper().removeprefix("SEP"))
        except Invalid as error:
            raise Refused(f"{path}, line {number}: {error}") from error
        if cells[at_user]:
            owners.append((mac, cells[at_user]))
    return owners


async def _with_uuids(client: ControlClient, owners: list[tuple[Mac, str]]) -> list[dict[str, str]]:
    uuids = {user["username"].casefold(): user["uuid"] for user in await client.call("GET", "/users")}
    if unknown := sorted({name for _, name in owners if name.casefold() not in uuids}):
        raise Refused(f"There are no users {', '.join(unknown)}. 'cisisk user list' shows all users")
    return [{"mac": str(mac), "user_uuid": uuids[name.casefold()]} for mac, name in owners]


def _table(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the rows of the table: which profile is whose. It can be edited and given as ``--owners``."""
    rows = [
        (
            *(each["mac"], each["username"], each["path"], each["profile_name"], each["profile_uuid"]),
            "added" if each["made"] else "unchanged",
        )
        for each in report["configs"]
    ]
    return [_COLUMNS, *rows]


def _lines(report: dict[str, Any], examples: int | None) -> list[str]:
    added = f"{report['phones']} phone(s) and {report['profiles']} profile(s) added"
    lines = [f"{added}, {report['files']} file(s) copied, {report['unchanged']} unchanged"]
    for kind, title in _TITLES.items():
        notes = [note for note in report["notes"] if note["kind"] == kind]
        lines += [f"{title} ({len(notes)}):"] if notes else []
        lines += [f"  {note['path']}: {note['message']}" for note in notes[:examples]]
        if examples is not None and len(notes) > examples:
            lines.append(f"  and {len(notes) - examples} more: --details shows all")
    return lines
