"""Uploads over FTP are served completely or not at all."""

import ftplib
import io
import os
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cisisk.provisioning.ftp.limits import FtpLimits

PASSWORD = "correct horse"
OLD, NEW = b"o" * 40_000, os.urandom(200_000)
NAME = "SEP001122334455.cnf.xml"
OLD_CONFIG = b"<device>" + b" " * 5000 + b"</device>"
NEW_CONFIG = b"<device><a>" + b"x" * 20_000 + b"</a></device>"
TENTHS = range(0, 100, 10)


def put(site: Any, name: str, content: bytes) -> None:
    with site.client() as client:
        client.storbinary(f"STOR {name}", io.BytesIO(content))


def part_of(content: bytes, percent: int) -> bytes:
    return content[: len(content) * percent // 100]


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def cut_by_dying(wire: Any, data: socket.socket) -> None:
    """Close both connections as the kernel does for a killed client."""
    wire.close()
    data.close()


def cut_by_dying_the_other_way_round(wire: Any, data: socket.socket) -> None:
    data.close()
    wire.close()


def cut_the_commands_only(wire: Any, data: socket.socket) -> None:
    wire.close()


def cut_by_reset(wire: Any, data: socket.socket) -> None:
    reset(data)
    wire.receive("426")
    wire.request("NOOP", "200")


def cut_by_abor(wire: Any, data: socket.socket) -> None:
    # Telnet interrupt and data mark (RFC 959). Before the first byte there is no transfer to abort.
    wire.send(b"\xff\xf4\xff\xf2ABOR")
    if wire.receive().startswith("426"):
        wire.receive("226")
    wire.request("NOOP", "200")


def cut_by_a_new_port(wire: Any, data: socket.socket) -> None:
    wire.data().close()


WAYS = [
    cut_by_dying,
    cut_by_dying_the_other_way_round,
    cut_the_commands_only,
    cut_by_reset,
    cut_by_abor,
    cut_by_a_new_port,
]


@pytest.mark.parametrize("percent", TENTHS)
@pytest.mark.parametrize("cut", WAYS)
def test_cut_upload_leaves_only_the_old_file(
    site: Any, ftp_wire: Callable[..., Any], eventually: Callable[..., None], cut: Callable[..., None], percent: int
) -> None:
    put(site, "a.raw", OLD)
    wire = ftp_wire(site)
    data = wire.data()
    wire.request("STOR a.raw", "1")
    eventually(lambda: len(site.staged_files) == 1)
    data.sendall(part_of(NEW, percent))
    cut(wire, data)
    eventually(lambda: site.staged_files == [])
    data.close()
    assert site.served("a.raw") == OLD
    assert [action for action, _ in site.records] == ["file.uploaded"]
    with site.client() as client:
        assert client.nlst() == ["a.raw"]


@pytest.mark.parametrize("percent", TENTHS)
def test_config_without_end_of_document_is_refused(site: Any, ftp_wire: Callable[..., Any], percent: int) -> None:
    put(site, NAME, OLD_CONFIG)
    wire = ftp_wire(site)
    data = wire.data()
    wire.request(f"STOR {NAME}", "1")
    data.sendall(part_of(NEW_CONFIG, percent))
    data.close()
    assert wire.receive()[:3] in {"426", "550"}
    assert site.staged_files == []
    assert site.served(NAME) == OLD_CONFIG


@pytest.mark.parametrize("percent", TENTHS)
def test_upload_shorter_than_announced_is_refused(site: Any, ftp_wire: Callable[..., Any], percent: int) -> None:
    put(site, "a.raw", OLD)
    wire = ftp_wire(site)
    wire.request(f"ALLO {len(NEW)}", "200")
    data = wire.data()
    wire.request("STOR a.raw", "1")
    data.sendall(part_of(NEW, percent))
    data.close()
    assert f"incomplete: {len(NEW) * percent // 100} bytes of {len(NEW)} have arrived" in wire.receive("426")
    assert site.served("a.raw") == OLD


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("percent", TENTHS)
def test_tls_upload_without_close_notify_is_refused(
    ftp_site: Any, certificate: tuple[Path, Path], trusting: ssl.SSLContext, percent: int
) -> None:
    site = ftp_site(certificate=certificate)
    with ftplib.FTP_TLS(context=trusting, timeout=5) as client:
        client.connect("127.0.0.1", site.port)
        client.login("admin", PASSWORD)
        client.prot_p()
        client.storbinary("STOR a.raw", io.BytesIO(OLD))
        data = client.transfercmd("STOR a.raw")
        data.sendall(part_of(NEW, percent))
        socket.socket(fileno=data.detach()).close()
        with pytest.raises(ftplib.Error, match="426"):
            client.voidresp()
        assert client.nlst() == ["a.raw"]
    assert site.served("a.raw") == OLD


@pytest.mark.needs("curl")
def test_killed_client_leaves_no_file(site: Any, tmp_path: Path, eventually: Callable[..., None]) -> None:
    put(site, "a.raw", OLD)
    (tmp_path / "new").write_bytes(NEW)
    for percent in TENTHS:
        command = ["curl", "-sS", "--limit-rate", "1M", "--user", f"admin:{PASSWORD}", "-T", str(tmp_path / "new")]
        client = subprocess.Popen([*command, f"ftp://127.0.0.1:{site.port}/a.raw"], stderr=subprocess.DEVNULL)
        eventually(partial(is_staged, site, len(NEW) * percent // 100))
        client.kill()
        client.wait()
        eventually(lambda: site.staged_files == [])
    assert site.served("a.raw") == OLD
    assert len(site.records) == 1


def is_staged(site: Any, size: int) -> bool:
    """Return whether this many bytes of an upload have arrived."""
    return any(path.stat().st_size >= size for path in (site.root / ".cisisk").iterdir())


def test_empty_upload_is_refused(site: Any) -> None:
    put(site, "a.raw", OLD)
    with pytest.raises(ftplib.Error, match="nothing has arrived"):
        put(site, "a.raw", b"")
    assert site.served("a.raw") == OLD


def test_upload_is_served_just_before_its_reply(site: Any, ftp_wire: Callable[..., Any]) -> None:
    put(site, NAME, OLD_CONFIG)
    being_judged, may_go_on = threading.Event(), threading.Event()

    def wait() -> None:
        being_judged.set()
        may_go_on.wait(5)

    site.before_put = wait
    wire, other = ftp_wire(site), ftp_wire(site)
    data = wire.data()
    wire.request(f"STOR {NAME}", "1")
    data.sendall(NEW_CONFIG)
    assert site.served(NAME) == OLD_CONFIG
    data.close()
    assert being_judged.wait(5)
    wire.send("NOOP")
    # Other sessions continue meanwhile.
    other.request("SIZE " + NAME, f"213 {len(OLD_CONFIG)}")
    put(site, "other.raw", NEW)
    assert site.served(NAME) == OLD_CONFIG
    may_go_on.set()
    assert wire.receive("226") == f"226 {NAME} is served from now on"
    wire.receive("200")
    assert site.served(NAME) == NEW_CONFIG


def test_concurrent_uploads_of_one_name_leave_one_complete(site: Any) -> None:
    contents = [bytes([number]) * 150_000 for number in range(1, 5)]
    threads = [threading.Thread(target=put, args=(site, "a.raw", content)) for content in contents * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert site.served("a.raw") in contents
    assert len(site.records) == 8


def test_session_has_one_transfer_at_a_time(site: Any, ftp_wire: Callable[..., Any]) -> None:
    wire = ftp_wire(site)
    wire.request("STOR a.raw", "425")
    wire.request("EPSV", "229")
    wire.request("STOR a.raw", "150")
    wire.request("STOR b.raw", "450")
    wire.request("ABOR", "225")
    wire.request("STOR a.raw", "425")
    data = wire.data()
    wire.request("STOR a.raw", "1")
    data.sendall(NEW)
    wire.request("STOR b.raw", "450")
    wire.request("LIST", "450")
    data.close()
    wire.receive("226")
    assert site.served("a.raw") == NEW


def test_commands_are_answered_during_an_upload(site: Any, ftp_wire: Callable[..., Any]) -> None:
    put(site, "b.raw", OLD)
    wire = ftp_wire(site)
    data = wire.data()
    wire.request("STOR a.raw", "1")
    data.sendall(NEW)
    wire.send("STAT\r\nSIZE b.raw\r\nDELE b.raw")
    data.close()
    wire.send("SIZE a.raw\r\nQUIT")
    answers = [wire.receive()[:3] for _ in range(6)]
    assert sorted(answers) == ["211", "213", "213", "221", "226", "250"] or answers[4] == "550"
    assert wire.is_closed()
    assert site.served("a.raw") == NEW


def test_quit_is_answered_after_the_upload(site: Any, ftp_wire: Callable[..., Any]) -> None:
    wire = ftp_wire(site)
    data = wire.data()
    wire.request("STOR a.raw", "1")
    data.sendall(NEW)
    wire.request("QUIT", "221")
    data.close()
    wire.receive("226")
    assert wire.is_closed()
    assert site.served("a.raw") == NEW


def test_login_as_another_user_drops_the_waiting_upload(
    site: Any, ftp_wire: Callable[..., Any], eventually: Callable[..., None]
) -> None:
    wire = ftp_wire(site)
    for command in ("REIN", "USER admin"):
        wire.request("EPSV", "229")
        wire.request("STOR a.raw", "150")
        assert len(site.staged_files) == 1
        wire.send(command)
        wire.receive("230" if command == "REIN" else "331")
        assert site.staged_files == []
        wire.request("USER admin", "331")
        wire.request(f"PASS {PASSWORD}", "230")


def test_upload_is_discarded_when_the_account_loses_its_right(site: Any, ftp_wire: Callable[..., Any]) -> None:
    wire = ftp_wire(site)
    data = wire.data()
    wire.request("STOR a.raw", "1")
    data.sendall(NEW)
    site.admits = False
    data.close()
    wire.receive("421 Your account was changed")
    assert wire.is_closed()
    assert site.records == []


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd", ".hidden", ".cisisk/x", "a/.b/c", "a/b/c/d/e/f", "x" * 256, "SEP00112233445G.cnf.xml/..",
        "sep001122334455.cnf.xml", "folder/SEP001122334455.cnf.xml", "a\\..\\b", "\\\\server\\share", "C:a", "/", "..",
    ],
)  # fmt: skip
def test_hostile_name_stays_inside_library(site: Any, tmp_path: Path, name: str) -> None:
    before = set(tmp_path.rglob("*"))
    with site.client() as client:
        with suppress(ftplib.error_perm):
            client.storbinary(f"STOR {name}", io.BytesIO(OLD))
        answer = client.lastresp
    if answer == "226":
        (entry,) = site.library.entries()
        assert entry.path == os.path.normpath(f"/{name}")[1:]
        assert site.served(entry.path) == OLD
    else:
        assert answer == "553"
        assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", ["STOR a\nb", "STOR a\x00b", "CWD a\x1b[2J", "DELE a\rb"])
def test_control_characters_in_command_are_refused(site: Any, ftp_wire: Callable[..., Any], command: str) -> None:
    ftp_wire(site).request(command, "501 No control characters")


def test_upload_too_large_is_refused_immediately(site: Any, ftp_wire: Callable[..., Any]) -> None:
    wire = ftp_wire(site)
    wire.request("ALLO 65537", "200")
    wire.request("EPSV", "229")
    wire.request(f"STOR {NAME}", "552")
    data = wire.data()
    wire.request(f"STOR {NAME}", "1")
    with suppress(ConnectionError):
        data.sendall(b"x" * 4_000_000)
    wire.receive(f"552 {NAME} may have at most 65536 bytes")
    data.close()
    wire.request("NOOP", "200")


@pytest.mark.parametrize(
    "command", ["APPE a", "RNFR a", "RNTO b", "SITE CHMOD 777 a", "SITE", "MFMT 20200101000000 a", "STOU", "ACCT x"]
)
def test_unsupported_command_says_what_to_do_instead(site: Any, ftp_wire: Callable[..., Any], command: str) -> None:
    assert len(ftp_wire(site).request(command, "502 ")) > 30


def test_upload_cannot_be_resumed(site: Any, ftp_wire: Callable[..., Any]) -> None:
    wire = ftp_wire(site)
    data = wire.data()
    wire.request("REST 100", "350")
    wire.request("STOR a.raw", "554")
    wire.request("STOR a.raw", "1")
    data.sendall(OLD)
    data.close()
    wire.receive("226")


def test_upload_without_a_data_connection_ends(ftp_site: Any, ftp_wire: Callable[..., Any]) -> None:
    site = ftp_site(limits=FtpLimits(connect_seconds=0.05))
    wire = ftp_wire(site)
    wire.request("EPSV", "229")
    wire.request("STOR a.raw", "150")
    wire.receive("425 There was no connection")
    assert site.staged_files == []


def test_stalled_upload_ends(ftp_site: Any, ftp_wire: Callable[..., Any]) -> None:
    site = ftp_site(limits=FtpLimits(stalled_seconds=0.1))
    wire = ftp_wire(site)
    data = wire.data()
    wire.request("STOR a.raw", "1")
    data.sendall(OLD)
    wire.receive("426 No data was transferred")
    assert site.staged_files == []
    data.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


def test_full_disk_is_reported_and_recovers(disk: Path, ftp_site: Any) -> None:
    site = ftp_site(root=disk)
    put(site, "a.raw", OLD)
    with pytest.raises(ftplib.error_temp, match=r"452 .*No space left on device"):
        put(site, "a.raw", NEW * 10)
    assert site.staged_files == []
    assert site.served("a.raw") == OLD
    put(site, "a.raw", NEW)
    assert site.served("a.raw") == NEW
    site.records.append(("full", ""))
    with pytest.raises(ftplib.error_temp, match="452 The database is full"):
        put(site, "a.raw", OLD)
    assert site.staged_files == []
    assert site.served("a.raw") == NEW
