"""Failures of ``cisisk`` commands: ports in use, bad settings, a hung service, interrupts."""

import asyncio
import os
import pty
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from cisisk.api.health import Health
from cisisk.appliance import appliance
from cisisk.appliance.appliance import Appliance
from cisisk.cli import main
from cisisk.cli.control import Refused, connect
from cisisk.cli.demo import scenario
from cisisk.cli.demo.client import DemoClient
from cisisk.cli.serve import _serve
from cisisk.config import build
from cisisk.fetches.tracker import FetchTracker
from cisisk.model.errors import ConfigurationError
from tests.e2e.running_site import settings_for
from tests.e2e.test_serve import CISISK, environment, run
from tests.patience import PATIENCE


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    return directory


# cisisk serve


def test_serve_with_port_in_use_exits_and_releases_lock(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        begun = time.monotonic()
        ended = run(tmp_path, "serve", CISISK_SERVER__PORT=str(other.getsockname()[1]), CISISK_LOG__LEVEL="debug")
        assert time.monotonic() - begun < PATIENCE / 2
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    listed = run(tmp_path, "user", "list")
    assert (listed.returncode, listed.stdout.split()[0]) == (0, "admin")


@pytest.mark.parametrize(
    ("setting", "value", "status", "reason"),
    [
        ("CISISK_RESTART__SIP", "telepathy", 2, 'restart.sip: unknown method "telepathy"'),
        ("CISISK_PROVISIONING__ROOT", "/dev/null", 1, "The served directory /dev/null cannot be used"),
        ("CISISK_DATA__DIR", "/dev/null", 1, "The data directory /dev/null cannot be made"),
    ],
)
def test_serve_with_unusable_setting_exits_with_reason(
    tmp_path: Path, setting: str, value: str, status: int, reason: str
) -> None:
    ended = run(tmp_path, "serve", **{setting: value})
    assert ended.returncode == status
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.needs("openssl")
async def test_serve_with_encrypted_key_is_refused_without_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CISISK_ADMIN_PASSWORD", "correct horse")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-passout", "pass:secret", "-keyout", key)
    process = await asyncio.create_subprocess_exec(
        *make, "-out", certificate, "-days", "2", "-subj", "/CN=cisisk.test", stderr=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0
    server = {"tls_cert": str(certificate), "tls_key": str(key), "tls_port": 0}
    with pytest.raises(ConfigurationError, match="the key has a passphrase"):
        async with appliance.running(settings_for(tmp_path, server=server)):
            pass


async def test_serve_with_dead_background_task_exits_nonzero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def die(_contacts: FetchTracker) -> None:
        raise RuntimeError("broken")

    monkeypatch.setenv("CISISK_ADMIN_PASSWORD", "correct horse")
    monkeypatch.setattr(FetchTracker, "run", die)
    async with asyncio.timeout(PATIENCE):
        assert await _serve(settings_for(tmp_path)) == 1
    assert "part='fetch tracker'" in caplog.text
    assert "RuntimeError: broken" in caplog.text


# cisisk user


async def test_connect_to_hung_service_is_refused(data: Path) -> None:
    settings = build({"data": {"dir": str(data)}}, {})
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(data / appliance.CONTROL_SOCKET))
        hung.listen()
        with pytest.raises(Refused, match=r"The service is running but did not answer within 0\.1 s"):
            async with connect(settings, seconds=0.1):
                pass


def test_user_list_ignores_stale_control_socket(tmp_path: Path, data: Path) -> None:
    with socket.socket(socket.AF_UNIX) as died:
        died.bind(str(data / appliance.CONTROL_SOCKET))
    ended = run(tmp_path, "user", "list")
    assert (ended.returncode, ended.stdout.split()[0]) == (0, "admin")


def test_password_prompt_interrupted_exits_130(tmp_path: Path) -> None:
    terminal, side = pty.openpty()
    with (
        os.fdopen(terminal, "r+b", buffering=0) as keyboard,
        subprocess.Popen(
            [*CISISK, "user", "passwd", "admin"],
            env=environment(tmp_path),
            cwd=tmp_path,
            stdin=side,
            stdout=side,
            stderr=side,
            start_new_session=True,
        ) as process,
    ):
        os.close(side)
        shown = b""
        while b"Password:" not in shown:
            shown += keyboard.read(1000)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130


# cisisk demo


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_interrupted_removes_its_directory(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, number: signal.Signals
) -> None:
    # A short path: the demo's control socket is below it, and the address of a socket has at most 107 bytes.
    directory = tmp_path_factory.mktemp("d")
    with subprocess.Popen(
        [*CISISK, "demo"],
        env=environment(tmp_path, TMPDIR=str(directory), CISISK_NONSENSE__X="1", CISISK_TFTP__PORT="none"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert "extension 201" in process.stdout.readline()
        process.send_signal(number)
        _, complaints = process.communicate(timeout=PATIENCE)
    assert (process.returncode, complaints) == (130, "")
    assert list(directory.iterdir()) == []


async def test_demo_phones_use_ephemeral_source_ports() -> None:
    running = Appliance(Health(None, None), None, tftp_address=("127.0.0.1", 69))  # type: ignore[arg-type]  # not asked
    async with DemoClient("http://127.0.0.1") as client:
        phones = scenario.Scenario(running, client, 80)._phones
    assert [phone._network.source_port for phone in phones] == [0, 0]


def test_demo_without_free_port_exits_with_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with socket.socket() as other:
        other.bind((scenario._PHONES[0][2], 0))
        other.listen()
        monkeypatch.setattr("cisisk.cli.demo._free_port", lambda: other.getsockname()[1])
        assert main(["demo", "--once"]) == 1
    signal.signal(signal.SIGTERM, before)
    assert "cisisk: The demo cannot start on this machine: " in capsys.readouterr().err
