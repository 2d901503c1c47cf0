"""How long the phones' pages take while people log in: ``python -m tests.bench.service_pages``.

Starts the whole appliance. 500 phones have each just switched to a profile and cannot be restarted, so that they show
the page that looks by itself how far the switch is, every five seconds; each asks for a static page of similar size in
between, from the same server over the same connection. Meanwhile 50 phones a second log in with user and PIN. What is
printed are the median and the 99th percentile of both pages, with logins and without, and their ratios within each
round. Rounds alternate, so that a busy minute of the machine meets both.

The appliance has one core to itself, the phones have another; a busy machine makes all figures larger, and the ratio of
the medians says more there than that of the 99th percentiles.
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

from tests.bench import desks, storms
from tests.bench.desks import Browser, Desk

IDLING, INTERVAL = 500, 5.0
"""Phones that show a page with Refresh, and after how many seconds each of them asks for it again."""
LOGINS = 50
"""A second."""
SECONDS = 15.0
AT_ONCE = 20
"""Phones that are switched at the same time."""
STATIC = "/api/docs"
"""A page that is the same bytes each time and needs nothing but the event loop."""
TARGET = 5.0
WAITING = b"could not be restarted"
PATIENCE = 60.0
"""Seconds until all switches have failed to restart their phones."""


def main() -> int:
    """Measure, print, and fail when the pages take too many times as long as the static one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each state is measured (3)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for how long (15)")
    asked = parser.parse_args()
    logging_in = [Desk(IDLING + number) for number in range(int(LOGINS * asked.seconds) + 1)]
    idling = [Desk(number) for number in range(IDLING)]
    with tempfile.TemporaryDirectory(prefix="pages-") as made:
        workshop = Path(made)
        config = desks.furnish(workshop, idling + logging_in, profiles=IDLING)
        with desks.serving(workshop, config) as (process, port):
            return asyncio.run(Measurement(process, port, idling, logging_in).run(asked.rounds, asked.seconds))


class Measurement:
    """All rounds against one appliance."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, idling: list[Desk], logging_in: list[Desk]) -> None:
        self._process = process
        self._port = port
        self._idling = idling
        self._logging_in = logging_in
        self._paths: dict[Desk, str] = {}

    async def run(self, rounds: int, seconds: float) -> int:
        """The rounds; 1 when the ratio is above the target."""
        await asyncio.gather(*(self._switch(self._idling[first::AT_ONCE]) for first in range(AT_ONCE)))
        ratios: list[float] = []
        print(f"{'ms':14}{'page p50':>10}{'p99':>8}{'static p50':>12}{'p99':>8}{'ratio p50':>11}{'p99':>8}")
        for _ in range(rounds):
            await self._round("idle", seconds, [])
            ratios.append(await self._round("with logins", seconds, self._logging_in))
            for each in self._logging_in:
                async with Browser.at(each, self._port) as browser:
                    await browser.get(f"{desks.SERVICES}/pdir/logout?mac={each.mac}")
        print(
            f"load average {os.getloadavg()[0]:.1f}; {statistics.median(ratios):.1f} times the p99 of the static page"
        )
        return int(statistics.median(ratios) > TARGET)

    async def _switch(self, some: list[Desk]) -> None:
        """Log in on phones one after the other; who has one profile is switched to it at once."""
        for desk in some:
            async with Browser.at(desk, self._port) as browser:
                form = await browser.get(f"{desks.SERVICES}/profile-switch?mac={desk.mac}")
                shown = await browser.submit(form, desk.username, desks.PIN)
                async with asyncio.timeout(PATIENCE):
                    while WAITING not in shown.body:
                        await asyncio.sleep(0.5)
                        if shown.refresh is None:
                            sys.exit(f"no page with Refresh but {shown.body!r}")
                        shown = await browser.get(shown.refresh)
                self._paths[desk] = shown.refresh or ""

    async def _round(self, state: str, seconds: float, logging_in: list[Desk]) -> float:
        pages: list[float] = []
        static: list[float] = []
        logins: list[float] = []
        before = storms.processor_seconds(self._process)
        async with asyncio.TaskGroup() as group:
            for number, desk in enumerate(self._idling):
                start = INTERVAL * number / len(self._idling)
                group.create_task(self._idle(desk, start, seconds, pages, static))
            for number, desk in enumerate(logging_in):
                group.create_task(self._log_in(desk, number / LOGINS, logins))
        cpu = (storms.processor_seconds(self._process) - before) / seconds
        figures = [*percentiles(pages), *percentiles(static)]
        row = "{:14}{:10.2f}{:8.2f}{:12.2f}{:8.2f}{:11.1f}{:8.1f}"
        print(row.format(state, *figures, figures[0] / figures[2], figures[1] / figures[3]), end="")
        print(f"   {len(pages)} pages, server {cpu:.0%}", end="")
        print(f", {len(logins)} logins {'/'.join(f'{each:.1f}' for each in percentiles(logins))}" if logins else "")
        return figures[1] / figures[3]

    async def _idle(self, desk: Desk, start: float, seconds: float, pages: list[float], static: list[float]) -> None:
        """One phone: its page, half an interval later the static one, and so on."""
        async with Browser.at(desk, self._port) as browser:
            for at, is_page in moments(start, seconds):
                await until(at)
                shown = await browser.get(self._paths[desk] if is_page else STATIC)
                (pages if is_page else static).append(shown.seconds)
                if is_page and shown.refresh != self._paths[desk]:
                    sys.exit(f"not the page with Refresh but {shown.body!r}")

    async def _log_in(self, desk: Desk, start: float, logins: list[float]) -> None:
        await asyncio.sleep(start)
        async with Browser.at(desk, self._port) as browser:
            form = await browser.get(f"{desks.SERVICES}/pdir?mac={desk.mac}")
            shown = await browser.submit(form, desk.username, desks.PIN)
            logins.append(shown.seconds)
            if b"nobody" not in shown.body:
                sys.exit(f"not logged in but {shown.body!r}")


def moments(start: float, seconds: float) -> Iterator[tuple[float, bool]]:
    """When a phone asks, in the loop's time, and whether for its page."""
    now = asyncio.get_running_loop().time()
    for number in itertools.count():
        at = start + number * INTERVAL / 2
        if at > seconds:
            return
        yield now + at, number % 2 == 0


async def until(moment: float) -> None:
    """Wait for a moment of the loop's time."""
    await asyncio.sleep(moment - asyncio.get_running_loop().time())


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """The 50th and the 99th, in milliseconds."""
    parts = statistics.quantiles(seconds, n=100)
    return parts[49] * 1e3, parts[98] * 1e3


if __name__ == "__main__":
    sys.exit(main())
