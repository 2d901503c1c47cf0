"""Measure whether the duration of a refused login reveals its cause: ``python -m tests.bench.pin_timing``.

Starts the whole appliance and sends wrong logins over HTTP: for unknown users, for users without a PIN, and with wrong
PINs. Each phone of a large inventory sends one login of each kind in random order, so that no throttle applies and
other load on the machine affects all kinds. Differences are computed per phone.

Prints the medians, the median difference with its 99 % confidence interval (from the order statistics of the pairs,
without assumptions about their distribution), and the probability that two samples of one distribution differ as much
(Mann-Whitney U, normal approximation with ties). A difference counts if the test is significant and the interval
excludes negligible values.
"""

import argparse
import asyncio
import math
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cisisk.identity.passwords import PASSWORD, PIN
from tests.bench import page_phones
from tests.bench.page_phones import BenchPhone, Browser

PHONES = 2000
UNKNOWN, NO_PIN, WRONG = "unknown user", "user without PIN", "wrong PIN"
SIGNIFICANT = 0.01 / 3
"""The level of each of three comparisons: together they fail once in a hundred runs by chance."""
Z = 2.576
"""Standard deviations of a 99 % interval."""
NEGLIGIBLE = 20e-6
"""Seconds. The throttles permit five guesses per user, then at most one in fifteen minutes. A difference a tenth of the
spread of the durations would take years to measure."""


def main() -> int:
    """Measure and print; return 1 if durations differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phones", type=int, default=PHONES, help="how many send each kind (2000)")
    parser.add_argument("--outdated", action="store_true", help="with PINs as an earlier version hashed them")
    asked = parser.parse_args()
    inventory = [BenchPhone(number) for number in range(asked.phones)]
    with tempfile.TemporaryDirectory(prefix="timing-") as made:
        config = page_phones.create_store(Path(made), inventory, cost=PASSWORD if asked.outdated else PIN)
        with page_phones.serving(Path(made), config) as (_, port):
            return show(asyncio.run(measure(port, inventory)))


async def measure(port: int, inventory: list[BenchPhone]) -> dict[str, list[float]]:
    """Return seconds by kind; equal indexes belong to one phone."""
    seconds: dict[str, list[float]] = {UNKNOWN: [], NO_PIN: [], WRONG: []}
    drawn = random.Random(4)

    for phone in inventory:
        for kind, took in (await refused(port, phone, drawn)).items():
            seconds[kind].append(took)
    return seconds


async def refused(port: int, phone: BenchPhone, drawn: random.Random) -> dict[str, float]:
    """Return the duration of each refusal for one phone."""
    names = {UNKNOWN: f"gone{phone.number}", NO_PIN: phone.username_without_pin, WRONG: phone.username}
    kinds = list(names)
    drawn.shuffle(kinds)
    seconds: dict[str, float] = {}
    async with Browser.at(phone, port) as browser:
        shown = await browser.get(f"{page_phones.SERVICES}/pdir?mac={phone.mac}")
        for kind in kinds:
            shown = await browser.submit(shown, names[kind], page_phones.WRONG_PIN)
            if b"Wrong user or PIN" not in shown.body:
                sys.exit(f"not refused but {shown.body!r}")
            seconds[kind] = shown.seconds
    return seconds


def show(seconds: dict[str, list[float]]) -> int:
    """Print all comparisons; return 1 if one shows a difference."""
    for kind, measured in seconds.items():
        quarters = statistics.quantiles(measured, n=4)
        print(f"{kind:20}{len(measured):6} answers, median {quarters[1] * 1e3:7.3f} ms", end="")
        print(f", the middle half within {(quarters[2] - quarters[0]) * 1e6:.0f} us")
    tells = False
    for one, other in ((UNKNOWN, WRONG), (NO_PIN, WRONG), (UNKNOWN, NO_PIN)):
        pairs = zip(seconds[one], seconds[other], strict=True)
        low, middle, high = median_of_differences([first - second for first, second in pairs])
        chance = mann_whitney(seconds[one], seconds[other])
        differs = chance < SIGNIFICANT and (low > NEGLIGIBLE or high < -NEGLIGIBLE)
        tells = tells or differs
        print(f"{one} - {other}: {middle * 1e6:+.1f} us (99 %: {low * 1e6:+.1f} to {high * 1e6:+.1f})", end="")
        print(f", p = {chance:.3f}: {'DIFFERENT' if differs else 'alike'}")
    print(f"load average {os.getloadavg()[0]:.1f}; ", end="")
    print("refusals tell why" if tells else "no refusal tells why")
    return int(tells)


def median_of_differences(differences: list[float]) -> tuple[float, float, float]:
    """Return the median and the bounds of its 99 % confidence interval."""
    ordered = sorted(differences)
    half = Z * math.sqrt(len(ordered)) / 2
    first, last = math.floor(len(ordered) / 2 - half), math.ceil(len(ordered) / 2 + half)
    return ordered[max(first, 0)], statistics.median(ordered), ordered[min(last, len(ordered) - 1)]


def mann_whitney(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the two-sided probability that samples of one distribution differ as much."""
    both = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    ranks, ties, position = 0.0, 0.0, 0
    while position < len(both):
        end = position
        while end < len(both) and both[end][0] == both[position][0]:
            end += 1
        count = end - position
        # Equal values share the mean of their ranks.
        ranks += (position + end + 1) / 2 * sum(group == 0 for _, group in both[position:end])
        ties += count**3 - count
        position = end
    m, n = len(one), len(other)
    u = ranks - m * (m + 1) / 2
    variance = m * n / 12 * (m + n + 1 - ties / ((m + n) * (m + n - 1)))
    return math.erfc(abs(u - m * n / 2) / math.sqrt(variance) / math.sqrt(2))


if __name__ == "__main__":
    sys.exit(main())
