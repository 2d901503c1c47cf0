"""FTP in the appliance: users, throttle and audit rows."""

import asyncio
import ftplib
import io
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from cisisk.appliance import appliance
from cisisk.identity.throttle import FREE_FAILURES
from cisisk.model.errors import ConfigurationError, StartRefused
from cisisk.model.user import SUPERADMIN_PERMISSION
from tests.e2e.running_site import PASSWORD, Site, open_site, settings_for, until

NAME = "SEP001122334455.cnf.xml"


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CISISK_ADMIN_PASSWORD", PASSWORD)


def connected(site: Site, source: str = "127.0.0.1") -> ftplib.FTP:
    client = ftplib.FTP(timeout=10, source_address=(source, 0))
    assert site.running.ftp_address
    client.connect(*site.running.ftp_address)
    return client


async def log_in(site: Site, username: str, password: str, source: str = "127.0.0.1") -> str:
    """Log in and return the reply of the server."""

    def attempt() -> str:
        with connected(site, source) as client:
            try:
                return client.login(username, password)
            except ftplib.Error as error:
                return str(error)

    return await asyncio.to_thread(attempt)


async def new_user(site: Site, username: str) -> str:
    body = {"first_name": "A", "last_name": "B", "username": username, "email": f"{username}@example.org",
            "password": "another horse"}  # fmt: skip
    return str((await site.data("POST", "/users", body))["uuid"])


async def new_administrator(site: Site, username: str) -> str:
    uuid = await new_user(site, username)
    await site.data("POST", "/user-perms", {"user_uuid": uuid, "perm_uuid": SUPERADMIN_PERMISSION})
    return uuid


async def test_only_administrators_can_log_in(tmp_path: Path) -> None:
    async with open_site(settings_for(tmp_path)) as site:
        await new_user(site, "clerk")
        for _ in range(FREE_FAILURES + 1):
            # The password is right, so no throttle applies.
            answer = await log_in(site, "clerk", "another horse")
            assert answer == "530 This service requires permission level 0. Ask an administrator to assign it"
        assert (await log_in(site, "ADMIN", PASSWORD)).startswith("230")
        assert (await log_in(site, "anonymous", "")).startswith("530 Wrong")


async def test_failed_logins_throttle_ftp_and_api_together(tmp_path: Path) -> None:
    async with open_site(settings_for(tmp_path)) as site:
        await new_administrator(site, "anna")
        for _ in range(FREE_FAILURES):
            assert await log_in(site, "anna", "wrong", "127.0.0.77") == "530 Wrong username or password"
        # Both the account and the address are throttled.
        status, answer = await site.call("POST", "/auth/login", {"username": "anna", "password": "another horse"})
        assert (status, answer["message"].split(".")[0]) == (429, "Too many attempts")
        assert (await log_in(site, "admin", PASSWORD, "127.0.0.77")).startswith("530 Too many attempts")
        assert (await log_in(site, "admin", PASSWORD)).startswith("230")
        await new_administrator(site, "berta")
        for _ in range(FREE_FAILURES):
            await site.call("POST", "/auth/login", {"username": "berta", "password": "wrong"})
        assert (await log_in(site, "berta", "another horse", "127.0.0.78")).startswith("530 Too many attempts")


@pytest.mark.parametrize("change", ["password", "deactivation", "permission", "deletion"])
async def test_account_change_ends_open_sessions(tmp_path: Path, change: str) -> None:
    async with open_site(settings_for(tmp_path)) as site:
        uuid = await new_administrator(site, "anna")
        client = connected(site)
        await asyncio.to_thread(client.login, "anna", "another horse")
        assert await asyncio.to_thread(client.nlst) == []
        await {
            "password": lambda: site.call("PUT", f"/users/{uuid}", {"password": "a third horse"}),
            "deactivation": lambda: site.call("PUT", f"/users/{uuid}", {"is_active": False}),
            "permission": lambda: site.call("DELETE", f"/user-perms/{uuid}"),
            "deletion": lambda: site.call("DELETE", f"/users/{uuid}"),
        }[change]()
        with pytest.raises(ftplib.error_temp, match="421 Your account was changed"):
            await asyncio.to_thread(client.storbinary, "STOR a.raw", io.BytesIO(b"x"))
        client.close()
        assert (await log_in(site, "anna", "another horse")).startswith("530")
        assert not (site.root / "a.raw").exists()


async def test_upload_is_recorded_adopted_and_served(tmp_path: Path) -> None:
    async with open_site(settings_for(tmp_path)) as site:
        config = site.config("1001").encode()
        client = connected(site)
        await asyncio.to_thread(client.login, "admin", PASSWORD)

        def upload(name: str, content: bytes) -> str:
            return client.storbinary(f"STOR {name}", io.BytesIO(content))

        assert (await asyncio.to_thread(upload, "ring.raw", b"tone")).startswith("226")
        assert (await asyncio.to_thread(upload, NAME, config)).startswith("226")
        with pytest.raises(ftplib.error_perm, match=r"550 .*Line 2"):
            await asyncio.to_thread(upload, NAME, config[:200])
        assert (site.root / NAME).read_bytes() == config
        got: list[bytes] = []
        await asyncio.to_thread(client.retrbinary, f"RETR {NAME}", got.append)
        assert b"".join(got) == config
        await asyncio.to_thread(client.delete, "ring.raw")
        assert await asyncio.to_thread(client.nlst) == [NAME]
        client.close()
        log = (await site.call("GET", "/audit-logs"))[1]["data"]
        assert {entry["action"] for entry in log if entry["user_agent"] == "FTP"} >= {"file.uploaded", "file.deleted"}
        assert {entry["ip"] for entry in log if entry["user_agent"] == "FTP"} == {"127.0.0.1"}
        assert [list(path.iterdir()) for path in site.root.glob(".cisisk")] == [[]]

        async def health() -> Any:
            return (await site.call("GET", "/health"))[1]["data"]

        assert (await until(health, lambda found: found["ftp"] == "ok"))["status"] == "ok"


async def test_disabled_ftp_opens_no_port(tmp_path: Path) -> None:
    async with open_site(settings_for(tmp_path, ftp={"enabled": False})) as site:
        assert site.running.ftp_address is None
        assert (await site.call("GET", "/health"))[1]["data"]["ftp"] == "off"


async def test_port_in_use_is_reported_with_its_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartRefused, match=rf"TCP port {port} on 127.0.0.1 \(ftp.port\) cannot be opened: another"):
            async with appliance.running(settings_for(tmp_path, ftp={"port": port})):
                pass


async def test_missing_certificate_is_reported(tmp_path: Path) -> None:
    absent = {"tls_cert": str(tmp_path / "a.pem"), "tls_key": str(tmp_path / "b.pem")}
    with pytest.raises(ConfigurationError, match=r"b\.pem cannot be used: No such file"):
        async with appliance.running(settings_for(tmp_path, ftp=absent)):
            pass


async def test_certificate_without_pyopenssl_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "OpenSSL", None)
    monkeypatch.delitem(sys.modules, "cisisk.provisioning.ftp.tls", raising=False)
    monkeypatch.delattr("cisisk.provisioning.ftp.tls", raising=False)
    certificate = {"tls_cert": str(tmp_path / "a.pem"), "tls_key": str(tmp_path / "b.pem")}
    with pytest.raises(ConfigurationError, match=r"needs pyOpenSSL\. Install it with: pip install 'cisisk\[ftps\]'"):
        async with appliance.running(settings_for(tmp_path, ftp=certificate)):
            pass
