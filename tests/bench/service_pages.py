"""Measure pages on phones during logins: ``python -m tests.bench.service_pages``.

Starts the whole appliance. 500 phones have just switched to a profile and cannot restart, so they show the progress
page, which reloads every five seconds. Between reloads each phone loads a static page of similar size from the same
server over the same connection. Meanwhile 50 phones a second log in with user and PIN. Prints median and 99th
percentile of both pages, with and without logins, and their ratios within each round. Rounds alternate, so that other
load on the machine affects both.

The appliance has one core, the phones have another. On a busy machine all figures grow; the ratio of the medians is
then more reliable than the ratio of the 99th percentiles.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench import page_phones, storms
from tests.bench.page_phones import BenchPhone, Browser

IDLING, INTERVAL = 500, 5.0
"""Phones that show a page with a Refresh header, and its interval in seconds."""
LOGINS = 50
"""Logins per second."""
SECONDS = 15.0
CONCURRENT_SWITCHES = 20
"""Phones that switch concurrently."""
STATIC = "/api/docs"
"""A static page, which needs only the event loop."""
TARGET = 5.0
WAITING = b"could not be restarted"
PATIENCE = 60.0
"""Timeout in seconds until all restarts have failed."""


def main() -> int:
    """Measure and print; return 1 if the pages are too slow relative to the static page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each state is measured (3)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for how long (15)")
    asked = parser.parse_args()
    logging_in = [BenchPhone(IDLING + number) for number in range(int(LOGINS * asked.seconds) + 1)]
    idling = [BenchPhone(number) for number in range(IDLING)]
    with tempfile.TemporaryDirectory(prefix="pages-") as made:
        workshop = Path(made)
        config = page_phones.create_store(workshop, idling + logging_in, profiles=IDLING)
        with page_phones.serving(workshop, config) as (process, port):
            return asyncio.run(Measurement(process, port, idling, logging_in).run(asked.rounds, asked.seconds))


class Measurement:
    """The rounds of a measurement against one appliance."""

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, idling: list[BenchPhone], logging_in: list[BenchPhone]
    ) -> None:
        self._process = process
        self._port = port
        self._idling = idling
        self._logging_in = logging_in
        self._paths: dict[BenchPhone, str] = {}

    async def run(self, rounds: int, seconds: float) -> int:
        """Run the rounds; return 1 if the ratio exceeds the target."""
        await asyncio.gather(
            *(self._switch(self._idling[first::CONCURRENT_SWITCHES]) for first in range(CONCURRENT_SWITCHES))
        )
        ratios: list[float] = []
        print(f"{'ms':14}{'page p50':>10}{'p99':>8}{'static p50':>12}{'p99':>8}{'ratio p50':>11}{'p99':>8}")
        for _ in range(rounds):
            await self._round("idle", seconds, [])
            ratios.append(await self._round("with logins", seconds, self._logging_in))
            for each in self._logging_in:
                async with Browser.at(each, self._port) as browser:
                    await browser.get(f"{page_phones.SERVICES}/pdir/logout?mac={each.mac}")
        print(
            f"load average {os.getloadavg()[0]:.1f}; {statistics.median(ratios):.1f} times the p99 of the static page"
        )
        return int(statistics.median(ratios) > TARGET)

    async def _switch(self, some: list[BenchPhone]) -> None:
        """Log in on phones in turn. A user with one profile is switched to it immediately."""
        for phone in some:
            async with Browser.at(phone, self._port) as browser:
                form = await browser.get(f"{page_phones.SERVICES}/profile-switch?mac={phone.mac}")
                shown = await browser.submit(form, phone.username, page_phones.PIN)
                async with asyncio.timeout(PATIENCE):
                    while WAITING not in shown.body:
                        await asyncio.sleep(0.5)
                        if shown.refresh is None:
                            sys.exit(f"no page with Refresh but {shown.body!r}")
                        shown = await browser.get(shown.refresh)
                self._paths[phone] = shown.refresh or ""

    async def _round(self, state: str, seconds: float, logging_in: list[BenchPhone]) -> float:
        pages: list[float] = []
        static: list[float] = []
        logins: list[float] = []
        before = storms.processor_seconds(self._process)
        async with asyncio.TaskGroup() as group:
            for number, phone in enumerate(self._idling):
                start = INTERVAL * number / len(self._idling)
                group.create_task(self._idle(phone, start, seconds, pages, static))
            for number, phone in enumerate(logging_in):
                group.create_task(self._log_in(phone, number / LOGINS, logins))
        cpu = (storms.processor_seconds(self._process) - before) / seconds
        figures = [*percentiles(pages), *percentiles(static)]
        row = "{:14}{:10.2f}{:8.2f}{:12.2f}{:8.2f}{:11.1f}{:8.1f}"
        print(row.format(state, *figures, figures[0] / figures[2], figures[1] / figures[3]), end="")
        print(f"   {len(pages)} pages, server {cpu:.0%}", end="")
        print(f", {len(logins)} logins {'/'.join(f'{each:.1f}' for each in percentiles(logins))}" if logins else "")
        return figures[1] / figures[3]

    async def _idle(
        self, phone: BenchPhone, start: float, seconds: float, pages: list[float], static: list[float]
    ) -> None:
        """Load the page and, half an interval later, the static page, in turn."""
        async with Browser.at(phone, self._port) as browser:
            for at, is_page in moments(start, seconds):
                await until(at)
                shown = await browser.get(self._paths[phone] if is_page else STATIC)
                (pages if is_page else static).append(shown.seconds)
                if is_page and shown.refresh != self._paths[phone]:
                    sys.exit(f"not the page with Refresh but {shown.body!r}")

    async def _log_in(self, phone: BenchPhone, start: float, logins: list[float]) -> None:
        await asyncio.sleep(start)
        async with Browser.at(phone, self._port) as browser:
            form = await browser.get(f"{page_phones.SERVICES}/pdir?mac={phone.mac}")
            shown = await browser.submit(form, phone.username, page_phones.PIN)
            logins.append(shown.seconds)
            if b"There are no contacts yet." not in shown.body:
                sys.exit(f"not logged in but {shown.body!r}")


def moments(start: float, seconds: float) -> Iterator[tuple[float, bool]]:
    """Yield the times of requests, in loop time, and whether each is for the page."""
    now = asyncio.get_running_loop().time()
    for number in itertools.count():
        at = start + number * INTERVAL / 2
        if at > seconds:
            return
        yield now + at, number % 2 == 0


async def until(moment: float) -> None:
    """Wait until a loop time."""
    await asyncio.sleep(moment - asyncio.get_running_loop().time())


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """Return the 50th and the 99th percentile in milliseconds."""
    parts = statistics.quantiles(seconds, n=100)
    return parts[49] * 1e3, parts[98] * 1e3


if __name__ == "__main__":
    sys.exit(main())
