"""The API over the control socket, and ``cisisk user``, which uses it."""

import asyncio
import io
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from cisisk.appliance import appliance
from cisisk.cli import main
from cisisk.config import Settings
from tests.api.client import PASSWORD, Client, Site, check_error

NEW = ["--first-name", "Anna", "--last-name", "Tester", "--email", "anna@example.com"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run ``cisisk user`` with ``typed`` as stdin; return exit status, stdout and stderr."""
    config = tmp_path / "config.toml"
    tables = {
        "data": f'dir = "{settings.data.dir}"',
        "server": 'host = "127.0.0.1"\nport = 0',
        "tftp": 'host = "127.0.0.1"\nport = 0',
        "ftp": 'host = "127.0.0.1"\nport = 0',
        "provisioning_http": 'host = "127.0.0.1"\nport = 0',
    }
    config.write_text("\n".join(f"[{name}]\n{keys}" for name, keys in tables.items()))

    def run_with(*arguments: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        status = main(["user", *arguments, "--config", str(config)])
        return status, *capsys.readouterr()

    return run_with


def over(control_socket: Path) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(control_socket)))


# The socket


async def test_control_socket_is_accessible_to_owner_only(site: Site) -> None:
    status = site.control_socket.stat()
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert stat.S_IMODE(site.settings.data.dir.stat().st_mode) == 0o700


async def test_control_socket_needs_no_token_unlike_port(site: Site) -> None:
    async with over(site.control_socket) as session:
        owner = Client(session, "http://cisisk")
        answer = await owner.get("/users")
        assert [each["username"] for each in answer.data] == ["admin"]
        assert answer.metadata["ip"] == ""
        anna = await owner.new_user("anna")
        assert (await owner.get("/health")).status == 200
        made = (await owner.post(f"/personal-directory/{anna}", {"name": "Zoe"})).data["uuid"]
        for path in (f"/personal-directory/{anna}", f"/personal-directory/contact/{made}", "/company-directory"):
            assert (path, (await owner.get(path)).status) == (path, 200)
    row = next(row for row in await site.admin.whole_audit_log() if row["entity_uuid"] == anna)
    assert (row["action"], row["entity_uuid"], row["user_uuid"], row["ip"]) == ("user.created", anna, None, None)
    check_error(await site.anonymous.get("/users"), 401)
    for name, value in (("Host", "cisisk"), ("X-Forwarded-For", "unix"), ("Forwarded", "for=unix")):
        check_error(await site.anonymous.get("/users", **{name: value}), 401)


async def test_control_socket_client_has_no_user_record(site: Site) -> None:
    async with over(site.control_socket) as session:
        owner = Client(session, "http://cisisk")
        for path in ("/me", "/me/phones", "/me/cisco-services/personal"):
            assert (path, (await owner.get(path)).status) == (path, 401)
        assert (await owner.post("/auth/logout", {})).status == 401
        assert (await owner.with_token(site.admin.token).get("/me")).data["username"] == "admin"


# The command, through a running service


async def test_user_add_through_service_creates_user(site: Site, run: Run) -> None:
    status, out, err = await asyncio.to_thread(run, "add", "anna", *NEW, typed=f"{PASSWORD}\n")
    assert (status, err) == (0, "")
    assert out.startswith("added anna (")
    anna = await site.anonymous.login("anna")
    assert (await anna.get("/me")).data["permission"] is None


async def test_user_add_superadmin_through_service_grants_level_0(site: Site, run: Run) -> None:
    status, _, _ = await asyncio.to_thread(run, "add", "anna", *NEW, "--superadmin", typed=f"{PASSWORD}\n")
    assert status == 0
    assert (await (await site.anonymous.login("anna")).get("/users")).status == 200


async def test_user_passwd_through_service_ends_logins(site: Site, run: Run) -> None:
    status, out, err = await asyncio.to_thread(run, "passwd", "ADMIN", typed="another horse\n")
    assert (status, err) == (0, "")
    assert "changed the password of admin" in out
    check_error(await site.admin.get("/me"), 401)
    assert (await site.anonymous.login("admin", "another horse")).token


async def test_user_list_through_service_prints_users(site: Site, run: Run) -> None:
    await site.admin.new_user("anna", is_active=False)
    status, out, _ = await asyncio.to_thread(run, "list")
    assert status == 0
    assert out.splitlines() == [
        "admin  Cisisk Administrator <admin@localhost>",
        "anna  Anna Tester <anna@example.com>  (deactivated)",
    ]


@pytest.mark.parametrize(
    ("arguments", "typed", "message"),
    [
        (("passwd", "admin"), "short\n", "password: "),
        (("passwd", "admin"), "", "password: "),
        (("add", "anna", *NEW), "short\n", "password: "),
        (("add", "an na", *NEW), f"{PASSWORD}\n", "username: "),
        (("add", "ADMIN", *NEW), f"{PASSWORD}\n", "Another user has this username"),
        (("passwd", "unknown"), f"{PASSWORD}\n", "There is no user unknown"),
    ],
)
@pytest.mark.wording
async def test_user_command_refused_prints_reason(
    site: Site, run: Run, arguments: tuple[str, ...], typed: str, message: str
) -> None:
    before = (await site.admin.get("/users")).data
    status, out, err = await asyncio.to_thread(run, *arguments, typed=typed)
    assert (status, out) == (1, "")
    assert err.startswith(f"cisisk: {message}")
    assert "Traceback" not in err
    assert typed.strip() not in err or not typed.strip()
    assert (await site.admin.get("/users")).data == before


# The command, without a service


def test_user_command_without_service_opens_store(run: Run, settings: Settings) -> None:
    status, _, err = run("add", "anna", *NEW, typed=f"{PASSWORD}\n")
    assert (status, err) == (0, "")
    assert run("passwd", "anna", typed="another horse\n")[0] == 0
    assert run("list")[1].splitlines() == [
        "admin  Cisisk Administrator <admin@localhost>",
        "anna  Anna Tester <anna@example.com>",
    ]
    assert run("passwd", "anna", typed="short\n")[0] == 1
    assert run("passwd", "unknown", typed=f"{PASSWORD}\n")[0] == 1


def test_user_command_prints_password_of_new_superadmin_once(
    run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CISISK_ADMIN_PASSWORD")
    _, out, err = run("list")
    assert err.startswith("The superadmin 'admin' was created with the password ")
    assert out == "admin  Cisisk Administrator <admin@localhost>\n"
    assert run("list")[2] == ""


async def test_user_change_without_service_is_kept_for_service(run: Run, settings: Settings) -> None:
    await asyncio.to_thread(run, "passwd", "admin", typed="another horse\n")
    async with appliance.running(settings) as running, aiohttp.ClientSession() as session:
        assert (await Client(session, running.api_url).login("admin", "another horse")).token


async def test_user_command_runs_as_program(site: Site, tmp_path: Path, run: Run) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "cisisk", "user", "list", "--config", str(tmp_path / "config.toml")],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (0, "admin  Cisisk Administrator <admin@localhost>\n")
