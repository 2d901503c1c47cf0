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
"""Between two looks at the parts when the service manager does not ask more often."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("serve", help="run the appliance", description=__doc__)
    add_config(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the appliance; 0 after an orderly stop, 1 when a part of it died."""
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
        dead = asyncio.create_task(_supervise(running), name="supervision")
        await asyncio.wait({stopped, dead}, return_when=asyncio.FIRST_COMPLETED)
        for task in (stopped, dead):
            task.cancel()
        for ended in await asyncio.gather(stopped, dead, return_exceptions=True):
            if isinstance(ended, Exception):
                log.critical("the supervision has failed: stopping", exc_info=ended)
        notify("STOPPING=1")
    return 0 if stop.is_set() else 1


def _announce(running: Appliance) -> None:
    if running.new_admin_password:
        # Not through the log: its handlers may send it elsewhere.
        print(  # noqa: T201 -- shown once, to the person who starts Cisisk for the first time
            f"The superadmin 'admin' was created with the password {running.new_admin_password}\n"
            "It is shown only this once. Change it with: cisisk user passwd admin",
            flush=True,
        )
    tftp = "{}:{}".format(*running.tftp_address) if running.tftp_address else "off"
    ftp = "{}:{}".format(*running.ftp_address) if running.ftp_address else "off"
    http = "{}:{}".format(*running.provisioning_http_address) if running.provisioning_http_address else "off"
    log.info("API %s/api/docs, phone services %s", running.api_url, running.phones_url)
    log.info("TFTP %s, provisioning over HTTP %s, FTP %s", tftp, http, ftp)


async def _supervise(running: Appliance) -> None:
    """Feed the watchdog while all is well; return when a part has died, so that the service manager starts us anew."""
    interval = watchdog_interval()
    while True:
        if dead := running.health.dead_part():
            log.critical("the %s has died or stands still: stopping", dead)
            return
        if interval is not None and await running.health.database_answers():
            notify("WATCHDOG=1")
        await asyncio.sleep(min(interval or SUPERVISION_SECONDS, SUPERVISION_SECONDS))
