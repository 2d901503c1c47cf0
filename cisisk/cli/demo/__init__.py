"""``cisisk demo``: the appliance with simulated phones on the loopback network, and switches step by step."""

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
from cisisk.cli.demo.scenario import Scenario
from cisisk.config import LogSettings, Settings, build

SERVER = "127.0.0.1"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser of the command to ``commands``."""
    parser = commands.add_parser(
        "demo", help="show switches with simulated phones on this machine", description=__doc__
    )
    parser.add_argument("--once", action="store_true", help="exit after the last step, with status 1 if a step failed")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo, then keep serving until interrupted unless ``--once`` is given."""
    logs.configure(LogSettings(level="warning"))
    # Handle SIGTERM like SIGINT, so that both remove the temporary directory.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with tempfile.TemporaryDirectory(prefix="cisisk-demo-") as directory:
            return asyncio.run(_demo(_settings(Path(directory)), keeps_running=not arguments.once))
    except OSError as error:
        raise DemoFailed(f"The demo cannot start on this machine: {error}") from error


def _settings(directory: Path) -> Settings:
    """Return settings with loopback addresses and unprivileged ports, independent of the machine's configuration."""
    tables = {
        "server": {"host": SERVER, "port": 0, "public_url": f"http://{SERVER}", "environment": "demo"},
        "data": {"dir": str(directory)},
        "tftp": {"host": SERVER, "port": 0},
        "provisioning_http": {"host": SERVER, "port": 0},
        "ftp": {"host": SERVER, "port": 0},
        # The same port on the address of each simulated phone.
        "phone_http": {"port": _free_port()},
    }
    return build(tables, {})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


async def _demo(settings: Settings, *, keeps_running: bool) -> int:
    password = secrets.token_urlsafe(9)
    os.environ["CISISK_ADMIN_PASSWORD"] = password
    async with appliance.running(settings) as running, DemoClient(running.api_url) as client:
        await client.log_in("admin", password)
        async with Scenario(running, client, settings.phone_http.port) as scenario:
            succeeded = await scenario.run()
            if keeps_running:
                _print_access(running, password)
                await _interrupted()
    return 0 if succeeded else 1


def _print_access(running: Appliance, password: str) -> None:
    host, port = running.tftp_address or ("", 0)
    print(  # noqa: T201 -- output of the command
        f"\nThe demo keeps running. Press Ctrl-C to stop it.\n"
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
