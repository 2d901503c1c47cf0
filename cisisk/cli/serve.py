"""``cisisk serve``: run the appliance until SIGTERM or SIGINT."""

import argparse
import asyncio
import logging
import signal

from cisisk.appliance import appliance, process
from cisisk.appliance.appliance import Appliance
from cisisk.appliance.process import notify, watchdog_interval
from cisisk.cli import log as logs
from cisisk.cli.options import add_config, load_settings
from cisisk.config import Settings

log = logging.getLogger(__name__)

SUPERVISION_SECONDS = 1.0
"""Interval of the health checks, unless the service manager's watchdog is faster."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser of the command to ``commands``."""
    parser = commands.add_parser("serve", help="run the appliance", description=__doc__)
    add_config(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the appliance. Return 0 after a clean stop, 1 if a part failed."""
    settings = load_settings(arguments)
    logs.configure(settings.log)
    process.configure_malloc()
    return asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with appliance.running(settings) as running:
        _announce(running)
        notify("READY=1")
        stopped = asyncio.create_task(stop.wait(), name="signal")
        failed = asyncio.create_task(_supervise(running), name="supervision")
        await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
        for task in (stopped, failed):
            task.cancel()
        for result in await asyncio.gather(stopped, failed, return_exceptions=True):
            if isinstance(result, Exception):
                log.critical("supervision failed, stopping", exc_info=result)
        notify("STOPPING=1")
    return 0 if stop.is_set() else 1


def _announce(running: Appliance) -> None:
    if running.new_admin_password:
        # Not through logging, which may send it to other systems.
        print(  # noqa: T201 -- shown only once and not logged
            f"The superadmin 'admin' was created with the password {running.new_admin_password}\n"
            "It is not shown again. Change it with: cisisk user passwd admin",
            flush=True,
        )
    tftp = "{}:{}".format(*running.tftp_address) if running.tftp_address else "off"
    ftp = "{}:{}".format(*running.ftp_address) if running.ftp_address else "off"
    http = "{}:{}".format(*running.provisioning_http_address) if running.provisioning_http_address else "off"
    log.info("serving API docs=%s/api/docs phone_services=%s", running.api_url, running.phones_url)
    log.info("serving files tftp=%s http=%s ftp=%s", tftp, http, ftp)


async def _supervise(running: Appliance) -> None:
    """Notify the watchdog while all parts run. Return when a part has failed, for a restart by the service manager."""
    interval = watchdog_interval()
    while True:
        if part := running.health.failed_part():
            log.critical("part failed or hangs, stopping part=%r", part)
            return
        if interval is not None and await running.health.database_answers():
            notify("WATCHDOG=1")
        await asyncio.sleep(min(interval or SUPERVISION_SECONDS, SUPERVISION_SECONDS))
