"""``cisisk user``: add and list users and set passwords, through the running service if there is one."""

import argparse
import asyncio
import getpass
import sys
from typing import Any

from cisisk.cli.control import ControlClient, Refused, connect
from cisisk.cli.options import add_config, load_settings
from cisisk.config import Settings
from cisisk.model.user import SUPERADMIN_PERMISSION


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser of the command to ``commands``."""
    parser = commands.add_parser("user", help="add and list users, set passwords", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add = verbs.add_parser("add", help="add a user; the password is read from standard input")
    add.add_argument("username")
    add.add_argument("--first-name", required=True)
    add.add_argument("--last-name", required=True)
    add.add_argument("--email", required=True)
    add.add_argument("--superadmin", action="store_true", help="give the user permission level 0")
    passwd = verbs.add_parser("passwd", help="set a password, read from standard input; ends the user's logins")
    passwd.add_argument("username")
    show = verbs.add_parser("list", help="list the users")
    for verb, work, asks in ((add, _add, True), (passwd, _passwd, True), (show, _list, False)):
        add_config(verb)
        verb.set_defaults(run=run, work=work, asks=asks)


def run(arguments: argparse.Namespace) -> int:
    """Run one verb."""
    settings = load_settings(arguments)
    if arguments.asks:
        # Before the event loop starts: inside it, Ctrl-C would have to wait for the end of the line.
        arguments.password = _password()
    asyncio.run(_run(settings, arguments))
    return 0


async def _run(settings: Settings, arguments: argparse.Namespace) -> None:
    async with connect(settings) as client:
        await arguments.work(client, arguments)


async def _add(client: ControlClient, arguments: argparse.Namespace) -> None:
    user = {
        "username": arguments.username,
        "first_name": arguments.first_name,
        "last_name": arguments.last_name,
        "email": arguments.email,
        "password": arguments.password,
    }
    created = await client.call("POST", "/users", user)
    if arguments.superadmin:
        assignment = {"user_uuid": created["uuid"], "perm_uuid": SUPERADMIN_PERMISSION}
        await client.call("POST", "/user-perms", assignment)
    _say(f"added {created['username']} ({created['uuid']})")


async def _passwd(client: ControlClient, arguments: argparse.Namespace) -> None:
    user = await find(client, arguments.username)
    await client.call("PUT", f"/users/{user['uuid']}", {"password": arguments.password})
    _say(f"changed the password of {user['username']} and ended all logins of the user")


async def _list(client: ControlClient, _arguments: argparse.Namespace) -> None:
    for user in await client.call("GET", "/users"):
        state = "" if user["is_active"] else "  (deactivated)"
        _say(f"{user['username']}  {user['first_name']} {user['last_name']} <{user['email']}>{state}")


async def find(client: ControlClient, username: str) -> dict[str, Any]:
    """Return the user with this username, as the API returns it. Raises Refused if there is none."""
    for user in await client.call("GET", "/users"):
        if user["username"].casefold() == username.casefold():
            return dict(user)
    raise Refused(f"There is no user {username}. 'cisisk user list' shows all users")


def _password() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\n")


def _say(text: str) -> None:
    print(text)  # noqa: T201 -- output of the command
