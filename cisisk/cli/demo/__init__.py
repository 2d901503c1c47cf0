"""``cisisk demo``: the appliance with simulated phones on loopback, and one switch told line by line."""

import argparse
import asyncio
import os
import secrets
import signal
import socket
import tempfile
from pathlib import Path

from cisisk.appliance import appliance
from cisisk.appliance.appliance import Appliance
from cisisk.cli import log as logs
from cisisk.cli.demo.client import DemoClient, DemoFailed
from cisisk.cli.demo.story import Story
from cisisk.config import LogSettings, Settings, build

SERVER = "127.0.0.1"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("demo", help="see a switch from end to end on this machine", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the story; 1 if a step of it failed")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Tell the story; then stay up until interrupted, unless told otherwise."""
    logs.configure(LogSettings(level="warning"))
    # Ended by either signal, it leaves nothing behind.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with tempfile.TemporaryDirectory(prefix="cisisk-demo-") as directory:
            return asyncio.run(_demo(_settings(Path(directory)), stays=not arguments.once))
    except OSError as error:
        raise DemoFailed(f"the demo cannot run here: {error}") from error


def _settings(directory: Path) -> Settings:
    """Loopback and unprivileged ports; nothing of this machine's own configuration."""
    tables = {
        "server": {"host": SERVER, "port": 0, "public_url": f"http://{SERVER}", "environment": "demo"},
        "data": {"dir": str(directory)},
        "tftp": {"host": SERVER, "port": 0},
        "provisioning_http": {"host": SERVER, "port": 0},
        "ftp": {"host": SERVER, "port": 0},
        # On each simulated phone's own address.
        "phone_http": {"port": _free_port()},
    }
    return build(tables, {})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


async def _demo(settings: Settings, *, stays: bool) -> int:
    password = secrets.token_urlsafe(9)
    os.environ["CISISK_ADMIN_PASSWORD"] = password
    async with appliance.running(settings) as running, DemoClient(running.api_url) as client:
        await client.log_in("admin", password)
        async with Story(running, client, settings.phone_http.port) as story:
            is_true = await story.tell()
            if stays:
                _say_where(running, password)
                await _interrupted()
    return 0 if is_true else 1


def _say_where(running: Appliance, password: str) -> None:
    host, port = running.tftp_address or ("", 0)
    print(  # noqa: T201 -- what the command is for
        f"\nStill running, until you press Ctrl-C:\n"
        f"  API       {running.api_url}/api/v1\n"
        f"  docs      {running.api_url}/api/docs\n"
        f"  log in    admin / {password}\n"
        f"  TFTP      {host}, port {port}",
        flush=True,
    )


async def _interrupted() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
