"""``cisisk user``: add and list users, set passwords; through the running service when there is one."""

import argparse
import asyncio
import getpass
import sys
from typing import Any

from cisisk.cli.control import Control, Refused, control
from cisisk.cli.options import add_config, load_settings
from cisisk.config import Settings
from cisisk.model.user import SUPERADMIN_PERMISSION


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("user", help="add and list users, set passwords", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add = verbs.add_parser("add", help="add a user; the password is read from standard input")
    add.add_argument("username")
    add.add_argument("--first-name", required=True)
    add.add_argument("--last-name", required=True)
    add.add_argument("--email", required=True)
    add.add_argument("--superadmin", action="store_true", help="may do everything")
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
        # Not within the event loop, where Ctrl-C would wait for the line to end, and the service for an answer.
        arguments.password = _password()
    asyncio.run(_run(settings, arguments))
    return 0


async def _run(settings: Settings, arguments: argparse.Namespace) -> None:
    async with control(settings) as way:
        await arguments.work(way, arguments)


async def _add(way: Control, arguments: argparse.Namespace) -> None:
    user = {
        "username": arguments.username,
        "first_name": arguments.first_name,
        "last_name": arguments.last_name,
        "email": arguments.email,
        "password": arguments.password,
    }
    created = await way.call("POST", "/users", user)
    if arguments.superadmin:
        held = {"user_uuid": created["uuid"], "perm_uuid": SUPERADMIN_PERMISSION}
        await way.call("POST", "/user-perms", held)
    _say(f"added {created['username']} ({created['uuid']})")


async def _passwd(way: Control, arguments: argparse.Namespace) -> None:
    user = await find(way, arguments.username)
    await way.call("PUT", f"/users/{user['uuid']}", {"password": arguments.password})
    _say(f"the password of {user['username']} is changed, and every login of that user has ended")


async def _list(way: Control, _arguments: argparse.Namespace) -> None:
    for user in await way.call("GET", "/users"):
        state = "" if user["is_active"] else "  (deactivated)"
        _say(f"{user['username']}  {user['first_name']} {user['last_name']} <{user['email']}>{state}")


async def find(way: Control, username: str) -> dict[str, Any]:
    """A user as the API shows it. Raises Refused."""
    for user in await way.call("GET", "/users"):
        if user["username"].casefold() == username.casefold():
            return dict(user)
    raise Refused(f"There is no user {username}. 'cisisk user list' shows them all")


def _password() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\n")


def _say(text: str) -> None:
    print(text)  # noqa: T201 -- what the command is for
