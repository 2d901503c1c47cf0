"""FTP sessions: logins, limits, hostile clients, start and stop."""

import ftplib
import io
import logging
import os
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from cisisk.model.errors import ConfigurationError
from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.ftp import loop
from cisisk.provisioning.ftp.limits import FtpLimits
from cisisk.provisioning.ftp.loop import Loop
from cisisk.provisioning.ftp.server import FtpServer

PASSWORD = "correct horse"
TONE = os.urandom(70_000)


def put(site: Any, name: str, content: bytes = TONE) -> None:
    with site.client() as client:
        client.storbinary(f"STOR {name}", io.BytesIO(content))


@pytest.mark.parametrize(
    "command", ["LIST", "STOR a", "RETR a", "PASV", "EPSV", "PORT 127,0,0,1,200,1", "DELE a", "PWD"]
)
def test_command_without_login_is_refused(site: Any, ftp_wire: Callable[..., Any], command: str) -> None:
    ftp_wire(site, login=False).request(command, "530")


@pytest.mark.parametrize("username", ["anonymous", "ftp", "admin"])
def test_three_wrong_passwords_end_the_session(site: Any, ftp_wire: Callable[..., Any], username: str) -> None:
    wire = ftp_wire(site, login=False)
    for answer in ("530", "530", "421"):
        wire.request(f"USER {username}", "331")
        wire.request("PASS guest@", answer)
    assert wire.is_closed()
    assert site.asked == [(username, "127.0.0.1")] * 3


def test_throttled_login_is_refused_with_the_wait(site: Any, ftp_wire: Callable[..., Any]) -> None:
    site.throttled = True
    wire = ftp_wire(site, login=False)
    wire.request("USER admin", "331")
    wire.request(f"PASS {PASSWORD}", "530 Too many attempts. Try again in 7 s.")


def test_commands_behind_a_password_wait_for_its_answer(site: Any, ftp_wire: Callable[..., Any]) -> None:
    wire = ftp_wire(site, login=False)
    wire.send(f"USER admin\r\nPASS wrong\r\nSIZE a\r\nUSER admin\r\nPASS {PASSWORD}\r\nPWD\r\nQUIT")
    assert [wire.receive()[:3] for _ in range(7)] == ["331", "530", "530", "331", "230", "257", "221"]


def test_log_contains_no_password(site: Any, ftp_wire: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wire = ftp_wire(site, login=False)
    for line in ("USER s3cret", "PASS s3cret", "pass s3cret", "PASS\ts3cret", "PA SS s3cret", "s3cret", "USER s3cret"):
        wire.send(line)
        assert "s3cret" not in wire.receive()
    wire.request("USER admin", "331")
    wire.send(f"PASS {PASSWORD}")
    wire.receive("230")
    assert "FTP login: user=admin host=127.0.0.1" in caplog.text
    assert "s3cret" not in caplog.text
    assert PASSWORD not in caplog.text


def test_account_change_ends_session(site: Any, ftp_wire: Callable[..., Any]) -> None:
    put(site, "a.raw")
    for command in ("SIZE a.raw", "DELE a.raw", "CWD /", "MKD x", "RETR a.raw", "STAT"):
        site.admits = True
        wire = ftp_wire(site)
        wire.request("EPSV", "229")
        site.admits = False
        wire.request(command, "421 Your account was changed")
        assert wire.is_closed()
    assert site.served("a.raw") == TONE


@pytest.mark.parametrize("command", ["PORT 127,0,0,2,{high},{low}", "EPRT |1|127.0.0.2|{port}|"])
def test_data_port_of_other_host_is_refused(site: Any, ftp_wire: Callable[..., Any], command: str) -> None:
    with socket.socket() as victim:
        victim.bind(("127.0.0.2", 0))
        victim.listen()
        victim.setblocking(False)
        port = victim.getsockname()[1]
        wire = ftp_wire(site)
        wire.request(command.format(port=port, high=port // 256, low=port % 256), "501 Rejected")
        wire.request("STOR a.raw", "425")
        with pytest.raises(BlockingIOError):
            victim.accept()


@pytest.mark.parametrize(
    "command", ["PORT 192,0,2,1,200,1", "PORT 127,0,0,1,0,25", "EPRT |1|127.0.0.1|25|", "EPRT |2|::1|50000|"]
)
def test_active_data_goes_to_client_address_and_high_port_only(
    site: Any, ftp_wire: Callable[..., Any], command: str
) -> None:
    ftp_wire(site).request(command, "5")


def test_data_connection_from_another_address_is_closed(site: Any, ftp_wire: Callable[..., Any]) -> None:
    wire = ftp_wire(site)
    port = int(wire.request("EPSV", "229").split("|||")[1].split("|")[0])
    wire.request("STOR a.raw", "150")
    with socket.create_connection(("127.0.0.1", port), timeout=5, source_address=("127.0.0.9", 0)) as stranger:
        assert stranger.recv(1) == b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as data:
        data.sendall(TONE)
    wire.receive("226")
    assert site.served("a.raw") == TONE


def test_data_ports_come_from_the_range_or_not_at_all(ftp_site: Any, ftp_wire: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        site = ftp_site(passive_ports=(port, port))
        wire = ftp_wire(site)
        wire.request("EPSV", "425 No port for data is free")
        wire.request("PASV", "425")
    wire.request("EPSV", f"229 Entering extended passive mode (|||{port}|)")


def test_data_before_its_command_is_kept(site: Any, ftp_wire: Callable[..., Any]) -> None:
    wire = ftp_wire(site)
    with wire.data() as data:
        data.sendall(TONE)
    wire.request("NOOP", "200")
    wire.request("STOR a.raw", "125")
    wire.receive("226")
    assert site.served("a.raw") == TONE


def test_connections_are_limited(ftp_site: Any, ftp_wire: Callable[..., Any]) -> None:
    site = ftp_site(limits=FtpLimits(max_per_address=3, max_connections=4))
    wires = [ftp_wire(site) for _ in range(3)]
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as one_more:
        assert one_more.makefile("rb").readline().startswith(b"421 Too many connections from the same")
    with socket.create_connection(("127.0.0.1", site.port), timeout=5, source_address=("127.0.0.9", 0)) as fourth:
        assert fourth.recv(3) == b"220"
        with socket.create_connection(("127.0.0.1", site.port), timeout=5, source_address=("127.0.0.8", 0)) as fifth:
            assert fifth.recv(3) == b"421"
        # The limit permits one additional data port.
        wires[0].request("EPSV", "229")
        wires[1].request("EPSV", "425")


def test_client_without_login_is_disconnected(ftp_site: Any, ftp_wire: Callable[..., Any]) -> None:
    site = ftp_site(limits=FtpLimits(login_seconds=0.1))
    patient, quick = ftp_wire(site, login=False), ftp_wire(site)
    patient.receive("421")
    assert patient.is_closed()
    quick.request("NOOP", "200")


def test_idle_client_is_disconnected(ftp_site: Any, ftp_wire: Callable[..., Any]) -> None:
    wire = ftp_wire(ftp_site(limits=FtpLimits(idle_seconds=0.1)))
    wire.receive("421")
    assert wire.is_closed()


def test_long_command_is_one_command(site: Any, ftp_wire: Callable[..., Any]) -> None:
    put(site, "a.raw")
    wire = ftp_wire(site)
    wire.request("NOOP " + "x" * 100_000 + "DELE a.raw", "500 The command is too long")
    wire.request("NOOP", "200")
    assert site.served("a.raw") == TONE


def test_client_that_reads_no_replies_is_disconnected(site: Any, ftp_wire: Callable[..., Any], eventually: Any) -> None:
    wire = ftp_wire(site)
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with pytest.raises(ConnectionError):
        wire.socket.sendall(b"HELP\r\n" * 5_000_000)


def test_waiting_commands_are_limited(ftp_site: Any, ftp_wire: Callable[..., Any]) -> None:
    wire = ftp_wire(ftp_site(limits=FtpLimits(max_waiting_commands=4)))
    wire.send("\r\n".join(["SIZE a"] * 40))
    assert wire.is_closed()


def test_junk_does_not_affect_transfers(site: Any, ftp_wire: Callable[..., Any]) -> None:
    put(site, "a.raw")
    dice = random.Random(959)
    words = [b"USER", b"STOR", b"RETR", b"PORT", b"EPRT", b"PASV", b"EPSV", b"ABOR", b"REST", b"MLST", b"OPTS", b"STAT",
             b"LIST", b"ALLO", b"TYPE", b"SITE", b"AUTH TLS", b"PROT P", b"..", b"/", b"|1|1.2.3.4|5|", b"-1",
             b"9" * 30, b"\xff\xf4", b"\x80", b"%n", b"MLST unique;", b"REIN", b"HELP"]  # fmt: skip
    for _ in range(60):
        wire = ftp_wire(site)
        lines = [b" ".join(dice.choices(words, k=dice.randint(1, 3))) for _ in range(12)]
        wire.send(b"\r\n".join(lines) + b"\r\n" + dice.randbytes(40))
        wire.close()
    assert site.server.is_alive
    with site.client() as client:
        assert client.nlst() == ["a.raw"]


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("behind", [b"NOOP\r\n", b"USER evil", b"USER admin\r\nPASS correct horse\r\n"])
def test_commands_sent_before_the_tls_handshake_are_dropped(
    ftp_site: Any,
    certificate: tuple[Path, Path],
    trusting: ssl.SSLContext,
    ftp_wire: Callable[..., Any],
    behind: bytes,
) -> None:
    site = ftp_site(certificate=certificate)
    wire = ftp_wire(site, login=False)
    wire.socket.sendall(b"AUTH TLS\r\n" + behind)
    wire.receive("234")
    with trusting.wrap_socket(wire.socket.dup(), server_hostname="127.0.0.1") as secure:
        secure.settimeout(5)
        secure.sendall(b"\r\nPWD\r\n")
        answers = secure.recv(1000)
        while answers.count(b"\r\n") < 2:
            answers += secure.recv(1000)
    assert answers.split()[0] == b"500"
    assert b"530" in answers
    assert site.asked == []


@pytest.mark.needs("openssl")
def test_login_without_tls_is_refused_with_certificate(
    ftp_site: Any, certificate: tuple[Path, Path], ftp_wire: Callable[..., Any]
) -> None:
    wire = ftp_wire(ftp_site(certificate=certificate), login=False)
    wire.request("USER admin", "530 Passwords are taken over TLS only")
    wire.request(f"PASS {PASSWORD}", "530")


@pytest.mark.needs("openssl")
def test_old_versions_of_tls_are_refused(ftp_site: Any, certificate: tuple[Path, Path]) -> None:
    site = ftp_site(certificate=certificate)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(certificate[0])
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with ftplib.FTP_TLS(context=old, timeout=5) as client:
        client.connect("127.0.0.1", site.port)
        with pytest.raises(OSError, match=r"(?i)version|reset|eof|closed"):
            client.auth()


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("broken", ["absent", "no key", "other key", "passphrase"])
def test_unusable_certificate_is_reported(certificate: tuple[Path, Path], tmp_path: Path, broken: str) -> None:
    key = tmp_path / "key.pem"
    if broken == "no key":
        key.write_text("nothing")
    elif broken == "other key":
        key.write_bytes(certificate[0].read_bytes())
    elif broken == "passphrase":
        key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    with pytest.raises(ConfigurationError, match=r"ftp\.tls_key"):
        FtpServer(
            host="127.0.0.1",
            port=0,
            authenticator=Mock(),
            uploads=Mock(),
            on_fetch=print,
            certificate=(certificate[0], key),
        )


def test_download_is_reported_with_outcome(site: Any, ftp_wire: Callable[..., Any]) -> None:
    large = bytes(20_000_000)
    put(site, "a.raw")
    put(site, "large.bin", large)
    wire = ftp_wire(site)

    def fetched(name: str, *before: str, read: int = -1) -> Any:
        with wire.data() as data:
            for command in before:
                wire.request(command, "350")
            wire.send(f"RETR {name}")
            first = wire.receive()
            if first[0] == "1":
                with data.makefile("rb") as file:
                    file.read(read)
        if first[0] == "1":
            wire.receive("226" if read < 0 else "426")
        return site.fetches.get(timeout=5)

    whole = fetched("a.raw")
    assert (whole.outcome, whole.name, whole.size, whole.acknowledged) == (
        FetchOutcome.COMPLETED, "a.raw", len(TONE), len(TONE),
    )  # fmt: skip
    assert len(whole.sha256) == 64
    assert whole.peer == wire.socket.getsockname()
    assert fetched("A.RAW").outcome is FetchOutcome.COMPLETED
    assert fetched("a.raw", "REST 60000").acknowledged == 10_000
    absent = fetched("b.raw")
    assert (absent.outcome, absent.name, absent.size) == (FetchOutcome.ABSENT, "b.raw", 0)
    cut = fetched("large.bin", read=100_000)
    assert cut.outcome is FetchOutcome.ABORTED
    assert 100_000 <= cut.acknowledged < len(large)
    wire.request("REST 70001", "350")
    wire.request("EPSV", "229")
    wire.request("RETR a.raw", "554 The file has 70000 bytes")
    assert site.fetches.get(timeout=5).outcome is FetchOutcome.ABORTED


def test_listing_shows_library_instead_of_disk(site: Any) -> None:
    put(site, "a.raw")
    (site.root / ".hidden").write_bytes(b"x")
    (site.root / "folder").mkdir()
    (site.root / "folder" / os.fsdecode(b"\xff.raw")).write_bytes(TONE)
    (site.root / "link").symlink_to("/etc/passwd")
    os.mkfifo(site.root / "pipe")
    (site.root / "empty").mkdir()
    (site.root / "folder" / "b.raw").write_bytes(TONE)
    site.library.refresh()
    with site.client() as client:
        assert client.nlst() == ["a.raw", "folder"]
        lines: list[str] = []
        client.dir(lines.append)
        assert [line.split()[:5] for line in lines] == [
            ["-rw-r--r--", "1", "cisisk", "cisisk", str(len(TONE))],
            ["drwxr-xr-x", "1", "cisisk", "cisisk", "0"],
        ]
        assert {name for name, _ in client.mlsd("/folder")} == set(client.nlst("/folder")) >= {"b.raw"}
        for name in (".cisisk", ".hidden", "link", "empty", "pipe", "../..", "folder/../.cisisk"):
            for command in ("CWD", "SIZE", "MDTM", "MLST"):
                if name == "../.." and command in {"CWD", "MLST"}:
                    assert client.sendcmd(f"{command} {name}").startswith("250")
                    continue
                with pytest.raises(ftplib.error_perm):
                    client.sendcmd(f"{command} {name}")
            with pytest.raises(ftplib.error_perm):
                client.retrbinary(f"RETR {name}", print)
            with pytest.raises(ftplib.error_perm):
                client.delete(name)
        client.cwd("/")
        for wrong in ("a.raw", "folder", ".x", "a/b/c/d/e"):
            with pytest.raises(ftplib.error_perm):
                client.mkd(wrong)
        with pytest.raises(ftplib.error_perm, match="not empty"):
            client.rmd("folder")
    assert (site.root / "link").is_symlink()


def test_heartbeat_continues_without_traffic(site: Any, eventually: Any) -> None:
    before = site.server.heartbeat
    eventually(lambda: site.server.heartbeat > before)
    assert time.monotonic() - site.server.heartbeat < 2.0


def turns_in_a_while(monkeypatch: pytest.MonkeyPatch) -> int:
    turns: list[float] = []
    turn = Loop.turn

    def counted(loop: Loop, longest: float) -> None:
        turns.append(longest)
        turn(loop, longest)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "turn", counted)
        time.sleep(0.2)  # an idle loop emits no event
    return len(turns)


def test_idle_loop_sleeps(site: Any, ftp_wire: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    idle, early, ended, waiting, gone = (ftp_wire(site) for _ in range(5))
    with early.data() as early_data, ended.data() as ended_data:
        early_data.sendall(TONE)
        ended_data.shutdown(socket.SHUT_WR)
        waiting.request("EPSV", "229")
        waiting.request("STOR a.raw", "150")
        gone.data().close()
        for wire in (idle, early, ended, waiting, gone):
            wire.request("NOOP", "200")
        assert turns_in_a_while(monkeypatch) < 10


@pytest.mark.needs("openssl")
def test_idle_tls_session_does_not_keep_the_loop_busy(
    ftp_site: Any, certificate: tuple[Path, Path], trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = ftp_site(certificate=certificate)
    with ftplib.FTP_TLS(context=trusting, timeout=5) as client:
        client.connect("127.0.0.1", site.port)
        client.login("admin", PASSWORD)
        client.prot_p()
        with (
            socket.create_connection(client.makepasv(), timeout=5) as plain,
            trusting.wrap_socket(plain, server_hostname="127.0.0.1") as data,
        ):
            data.sendall(TONE)
            client.voidcmd("NOOP")
            assert turns_in_a_while(monkeypatch) < 10
            assert client.sendcmd("STOR a.raw").startswith("125")
            data.unwrap()
        client.voidresp()
    assert site.served("a.raw") == TONE


def test_stop_lets_upload_finish_within_grace(site: Any, ftp_wire: Callable[..., Any], eventually: Any) -> None:
    wire, idle = ftp_wire(site), ftp_wire(site)
    with wire.data() as data:
        wire.request("STOR a.raw", "1")
        data.sendall(TONE[:1000])
        eventually(lambda: any(path.stat().st_size for path in (site.root / ".cisisk").iterdir()))
        stopper = threading.Thread(target=site.server.stop, args=(5.0,))
        stopper.start()
        eventually(lambda: not accepts(site.port))
        data.sendall(TONE[1000:])
    wire.receive("226")
    stopper.join(5)
    assert not site.server.is_alive
    assert idle.is_closed()
    assert site.served("a.raw") == TONE


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_stop_discards_upload_after_grace(site: Any, ftp_wire: Callable[..., Any]) -> None:
    wire = ftp_wire(site)
    with wire.data() as data:
        wire.request("STOR a.raw", "1")
        data.sendall(TONE)
        started = time.monotonic()
        site.server.stop(0.1)
        assert time.monotonic() - started < 2.0
    assert site.staged_files == []
    assert wire.is_closed()


def test_server_never_started_releases_port() -> None:
    made = FtpServer(host="127.0.0.1", port=0, authenticator=Mock(), uploads=Mock(), on_fetch=print)
    with pytest.raises(OSError, match="in use"):
        FtpServer(host="127.0.0.1", port=made.address[1], authenticator=Mock(), uploads=Mock(), on_fetch=print)
    made.stop(0)
    made.stop(0)
    again = FtpServer(host="127.0.0.1", port=made.address[1], authenticator=Mock(), uploads=Mock(), on_fetch=print)
    again.stop(0)


def test_accept_without_descriptors_recovers(
    ftp_site: Any, ftp_wire: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    accept = loop.Listener.accept
    failures = [OSError(24, "Too many open files")] * 2

    def failing(listener: Any) -> Any:
        if failures:
            raise failures.pop()
        return accept(listener)

    monkeypatch.setattr(loop.Listener, "accept", failing)
    site = ftp_site(limits=FtpLimits(accept_pause_seconds=0.05))
    ftp_wire(site).request("PWD", "257")
    assert failures == []
    assert [record.getMessage() for record in caplog.records[:2]] == ["FTP connection not accepted"] * 2


def test_failure_in_one_session_keeps_others(
    site: Any, ftp_wire: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wire, other = ftp_wire(site), ftp_wire(site)
    monkeypatch.setattr(site.uploads, "entries", lambda: 1 / 0)
    wire.send("SIZE a")
    assert wire.is_closed()
    other.request("NOOP", "200")
    assert site.server.is_alive
    assert "ZeroDivisionError" in caplog.text


def test_disk_failure_during_a_download_is_reported(
    site: Any, ftp_wire: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "a.raw")
    opened = site.library.open("a.raw")
    monkeypatch.setattr(type(opened), "read", lambda *_: os.read(-1, 1))
    opened.close()
    wire = ftp_wire(site)
    with wire.data():
        wire.request("RETR a.raw", "1")
        wire.receive("451 The file cannot be read")
    assert site.fetches.get(timeout=5).outcome is FetchOutcome.CUT
