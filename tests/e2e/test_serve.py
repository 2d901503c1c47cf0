"""``cisisk serve`` under a service manager and at a terminal."""

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cisisk.cli.serve import _serve
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.server import TftpServer
from tests.e2e.running_site import free_port, settings_for
from tests.patience import PATIENCE

CISISK = [sys.executable, "-m", "cisisk"]


def environment(directory: Path, **more: str) -> dict[str, str]:
    """Return an environment that keeps data in ``directory`` and listens on loopback."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("CISISK_")},
        "CISISK_DATA__DIR": str(directory / "data"),
        "CISISK_SERVER__HOST": "127.0.0.1",
        "CISISK_SERVER__PORT": str(free_port()),
        "CISISK_TFTP__HOST": "127.0.0.1",
        "CISISK_TFTP__PORT": str(free_port()),
        "CISISK_PROVISIONING_HTTP__HOST": "127.0.0.1",
        "CISISK_PROVISIONING_HTTP__PORT": str(free_port()),
        "CISISK_FTP__HOST": "127.0.0.1",
        "CISISK_FTP__PORT": "0",
        **more,
    }


class ServiceManager:
    """Receives notifications as systemd does."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(PATIENCE)

    def wait_for(self, state: str) -> None:
        """Wait until the service notifies ``state``."""
        while self.socket.recv(1024).decode() != state:
            pass


@contextmanager
def serving(
    directory: Path, command: Sequence[str] = CISISK, **more: str
) -> Iterator[tuple[subprocess.Popen[str], ServiceManager]]:
    """Start the service and wait until it is ready."""
    manager = ServiceManager(directory)
    with (
        closing(manager.socket),
        subprocess.Popen(
            [*command, "serve"],
            env=environment(directory, NOTIFY_SOCKET=str(manager.path), **more),
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            manager.wait_for("READY=1")
            yield process, manager
        finally:
            process.kill()


def run(
    directory: Path, *arguments: str, command: Sequence[str] = CISISK, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments],
        env=environment(directory, **more),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_first_start_prints_valid_admin_password_once(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, CISISK_SERVER__PORT=str(port)) as (process, manager):
        assert process.stdout
        password = process.stdout.readline().split()[-1]
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as client:
            body = json.dumps({"username": "admin", "password": password})
            client.request("POST", "/api/v1/auth/login", body, {"Content-Type": "application/json"})
            assert json.load(client.getresponse())["data"]["user"]["username"] == "admin"
        process.send_signal(signal.SIGTERM)
        manager.wait_for("STOPPING=1")
        assert process.wait(10) == 0
        assert process.stderr
        assert password not in process.stderr.read()
    (tmp_path / "notify").unlink()
    with serving(tmp_path) as (process, _):
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=10)
        assert process.returncode == 0
        assert printed == ""


def test_watchdog_is_notified_while_service_runs(tmp_path: Path) -> None:
    with serving(tmp_path, WATCHDOG_USEC="1000000") as (_, manager):
        for _ in range(3):
            manager.wait_for("WATCHDOG=1")


def test_second_service_on_same_data_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, _):
        second = run(tmp_path, "serve")
    assert second.returncode == 1
    assert f"already runs on {tmp_path / 'data'} (process {process.pid})" in second.stderr


def test_stop_waits_for_open_tftp_transfer(tmp_path: Path) -> None:
    port = free_port()
    content = os.urandom(4 * 512 + 100)
    (tmp_path / "data" / "tftpboot").mkdir(parents=True)
    (tmp_path / "data" / "tftpboot" / "ring.raw").write_bytes(content)
    with (
        serving(tmp_path, CISISK_TFTP__PORT=str(port)) as (process, manager),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone,
    ):
        phone.settimeout(PATIENCE)
        phone.sendto(wire.read_request("ring.raw"), ("127.0.0.1", port))
        datagram, server = phone.recvfrom(2048)
        process.send_signal(signal.SIGTERM)
        manager.wait_for("STOPPING=1")
        received = b""
        while True:
            block = wire.parse(datagram)
            assert isinstance(block, wire.Data)
            received += block.payload
            phone.sendto(wire.ack(block.block), server)
            if len(block.payload) < 512:
                break
            datagram, server = phone.recvfrom(2048)
        assert received == content
        assert process.wait(10) == 0


def test_stop_ends_despite_stalled_tftp_transfer(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "data" / "tftpboot").mkdir(parents=True)
    (tmp_path / "data" / "tftpboot" / "ring.raw").write_bytes(bytes(2000))
    with (
        serving(tmp_path, CISISK_TFTP__PORT=str(port)) as (process, _),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone,
    ):
        phone.settimeout(PATIENCE)
        phone.sendto(wire.read_request("ring.raw"), ("127.0.0.1", port))
        phone.recvfrom(2048)
        stopped_at = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert time.monotonic() - stopped_at < 10


def test_start_with_unknown_setting_names_it(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[tftp]\nprot = 69\n")
    ended = run(tmp_path, "serve")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "unknown key tftp.prot" in ended.stderr


@pytest.mark.needs("setpriv")
@pytest.mark.skipif(
    int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) == 0,
    reason="every user may bind every port here",
)
def test_start_without_port_capability_names_remedy(tmp_path: Path) -> None:
    unprivileged = ["setpriv", "--bounding-set=-net_bind_service", *CISISK] if os.geteuid() == 0 else CISISK
    ended = run(tmp_path, "serve", command=unprivileged, CISISK_TFTP__PORT="69")
    assert ended.returncode == 1
    assert "UDP port 69 on 127.0.0.1 (tftp.port) cannot be opened" in ended.stderr
    assert "CAP_NET_BIND_SERVICE" in ended.stderr


@pytest.mark.parametrize("section", ["server", "tftp", "provisioning_http", "ftp"])
def test_start_with_port_in_use_names_port(tmp_path: Path, section: str) -> None:
    kind = socket.SOCK_DGRAM if section == "tftp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        port = other.getsockname()[1]
        ended = run(tmp_path, "serve", **{f"CISISK_{section.upper()}__PORT": str(port)})
    assert ended.returncode == 1
    assert f"port {port} on 127.0.0.1 ({section}.port) cannot be opened: another program has it" in ended.stderr


async def test_service_exits_nonzero_when_tftp_thread_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_server: TftpServer) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(TftpServer, "_serve", die)
    async with asyncio.timeout(PATIENCE):
        assert await _serve(settings_for(tmp_path)) == 1


@pytest.mark.parametrize("arguments", [[], ["--help"], ["serve", "--help"], ["nonsense"]])
def test_command_without_valid_arguments_prints_usage(tmp_path: Path, arguments: list[str]) -> None:
    ended = run(tmp_path, *arguments)
    assert ended.returncode == (0 if "--help" in arguments else 2)
    assert "usage: cisisk" in ended.stdout + ended.stderr


def test_demo_once_completes_its_scenario(tmp_path: Path) -> None:
    ended = run(tmp_path, "demo", "--once")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "restart accepted by cgi-init-restart" in ended.stdout
    assert "restart accepted by cgi-keys" in ended.stdout
    assert [ended.stdout.count(f"fetched over {protocol} by") for protocol in ("TFTP", "HTTP")] == [2, 2]
    assert "NOT" not in ended.stdout
    assert ended.stderr == ""


def test_simulate_prints_each_request(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, CISISK_TFTP__PORT=str(port)):
        where = ("--tftp-port", str(port), "--web-port", str(free_port()))
        ended = run(tmp_path, "simulate", "7942", "--once", "--network", "127.0.3.0/24", *where)
    assert ended.returncode == 1
    assert "SEP001122000001.cnf.xml: absent" in ended.stdout
    assert "XMLDefault.cnf.xml: absent" in ended.stdout
