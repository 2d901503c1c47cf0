"""How long the API takes while phones fetch firmware: ``python -m tests.bench.api_latency``.

Starts the whole appliance and asks its API, over one kept connection and with a pause after each answer, first while
nothing else happens and then during a storm; what is printed are the median and the 99th percentile of both, and how
many times as long an answer takes in the storm. Rounds alternate, so that a busy minute of the machine meets both.

The appliance has one core to itself, its API and its TFTP server together. Phones and the asking client share the
other; the client is a process of its own and, where that is allowed, goes before the phones, or it would measure how
long it waits for its turn behind them.
"""

import argparse
import http.client
import json
import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench import storms

PASSWORD = "only for this measurement"
"""Of an account that lives as long as the measurement."""
PATHS = ("/api/v1/health", "/api/v1/phones")
"""Without and with a token; both ask the database."""
PAUSE = 0.004
"""Seconds between two requests: some hundred a second, more than any console asks for."""
IDLE_SECONDS = 3.0
STORMS = ("64 x 16 MB",)
TARGET = 3.0
"""Times as long as without a storm: the most that a 99th percentile may rise to during one."""
FIRST = -10
"""Niceness of the asking client."""


def main() -> int:
    """Measure, print, and fail when an answer takes too much longer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each state is measured (3)")
    parser.add_argument(
        "--storms", nargs="*", metavar="WORD", default=STORMS, help="storms with such a word in their name"
    )
    parser.add_argument("--ask", nargs=2, metavar=("PORT", "TOKEN"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.ask:
        return ask(int(asked.ask[0]), asked.ask[1])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = [storm for storm in storms.STORMS if any(word in storm.name for word in asked.storms)]
    with tempfile.TemporaryDirectory(prefix="storms-") as made:
        return show(measure(Path(made), chosen, asked.rounds))


def measure(workshop: Path, chosen: list[storms.Storm], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds per request, by state and path."""
    root, load = storms.furnish(workshop), workshop / "storm"
    if not storms.compiled(storms.HERE / "storm.c", load):
        sys.exit("no C compiler: the load cannot be made")
    address, api_port = storms.free_port(), free_tcp_port()
    command = storms.appliance(storms.settings(workshop, root, address, api_port))
    seconds: dict[str, dict[str, list[float]]] = {}
    with storms.server(command, CISISK_ADMIN_PASSWORD=PASSWORD) as process:
        storms.wait_until_it_answers("cisisk", address)
        token = log_in(api_port)
        for turn in range(rounds):
            with_answers(seconds, "idle", Asking(api_port, token).after(IDLE_SECONDS))
            for storm in chosen:
                asking = Asking(api_port, token)
                storms.run(load, address, workshop / "noise", storm, turn, process)
                with_answers(seconds, storm.name, asking.after(0))
    return seconds


def free_tcp_port() -> int:
    """A TCP port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def log_in(port: int) -> str:
    """An access token; the API listens as soon as TFTP does, or a moment later."""
    body = json.dumps({"username": "admin", "password": PASSWORD})
    end = time.monotonic() + storms.START_SECONDS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("POST", "/api/v1/auth/login", body, {"Content-Type": "application/json"})
            answer: dict[str, Any] = json.load(connection.getresponse())
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            token: str = answer["data"]["accessToken"]
            return token
        finally:
            connection.close()


class Asking:
    """The client's process, which asks until it is told to stop."""

    def __init__(self, port: int, token: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.api_latency", "--ask", str(port), token],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        os.sched_setaffinity(self._process.pid, storms.core(storms.LOAD_CORE))
        assert self._process.stdout
        self._process.stdout.readline()  # it has begun

    def after(self, seconds: float) -> dict[str, list[float]]:
        """Let it go on for so long; then what it measured."""
        time.sleep(seconds)
        out, _ = self._process.communicate()
        measured: dict[str, list[float]] = json.loads(out)
        return measured


def ask(port: int, token: str) -> int:
    """The client itself: ask for one path after another until the standard input ends."""
    if not os.geteuid():
        os.setpriority(os.PRIO_PROCESS, 0, FIRST)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    seconds: dict[str, list[float]] = {path: [] for path in PATHS}
    print("begun", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        for path in PATHS:
            began = time.perf_counter()
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
            seconds[path].append(time.perf_counter() - began)
            if answer.status != http.HTTPStatus.OK:
                sys.exit(f"{path} answered {answer.status}")
            time.sleep(PAUSE)
    print(json.dumps(seconds))
    return 0


def with_answers(seconds: dict[str, dict[str, list[float]]], state: str, measured: dict[str, list[float]]) -> None:
    """Add one round."""
    for path, more in measured.items():
        seconds.setdefault(state, {}).setdefault(path, []).extend(more)


def show(seconds: dict[str, dict[str, list[float]]]) -> int:
    """All rounds together; 1 when a 99th percentile rises above the target."""
    idle, *storming = seconds
    worst = 0.0
    print(f"{'ms':22}{'':20}{'p50':>8}{'p99':>8}{'requests':>10}{'p50 to idle':>13}{'p99 to idle':>13}")
    for path in PATHS:
        p50, p99 = percentiles(seconds[idle][path])
        print(f"{path:22}{idle:20}{p50 * 1e3:8.2f}{p99 * 1e3:8.2f}{len(seconds[idle][path]):10}")
        for state in storming:
            now50, now99 = percentiles(seconds[state][path])
            worst = max(worst, now99 / p99)
            figures = f"{now50 * 1e3:8.2f}{now99 * 1e3:8.2f}{len(seconds[state][path]):10}"
            print(f"{'':22}{state:20}{figures}{now50 / p50:13.1f}{now99 / p99:13.1f}")
    print(f"{worst:.1f} times the p99 without a storm, at most; {TARGET:.0f} are allowed")
    return int(worst > TARGET)


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """The 50th and the 99th."""
    parts = statistics.quantiles(seconds, n=100)
    return parts[49], parts[98]


if __name__ == "__main__":
    sys.exit(main())
