"""Measure the API while phones fetch firmware: ``python -m tests.bench.api_latency``.

Starts the whole appliance and sends requests to its API over one persistent connection, with a pause after each
response, first on an idle appliance and then during a storm. Prints median and 99th percentile of both, and their
ratios. Rounds alternate, so that other load on the machine affects both.

The API and the TFTP server of the appliance share one core. Phones and the client share the other; the client is a
separate process with a higher priority than the phones, if permitted.
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
"""The password of an account that exists during the measurement."""
PATHS = ("/api/v1/health", "/api/v1/phones")
"""Operations without and with a token; both read the database."""
PAUSE = 0.004
"""Seconds between two requests: about 200 a second, more than a console sends."""
IDLE_SECONDS = 3.0
STORMS = ("64 x 16 MB",)
TARGET = 3.0
"""Highest permitted ratio of 99th percentiles with and without a storm."""
FIRST = -10
"""Niceness of the client."""


def main() -> int:
    """Measure and print; return 1 if responses during storms are too slow."""
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
    """Return seconds per request, by state and path."""
    root, load = storms.create_files(workshop), workshop / "storm"
    if not storms.compiled(storms.HERE / "storm.c", load):
        sys.exit("no C compiler: the load cannot be made")
    address, api_port = storms.free_port(), free_tcp_port()
    command = storms.appliance(storms.settings(workshop, root, address, api_port))
    seconds: dict[str, dict[str, list[float]]] = {}
    with storms.server(command, CISISK_ADMIN_PASSWORD=PASSWORD) as process:
        storms.wait_until_answering("cisisk", address)
        token = log_in(api_port)
        for turn in range(rounds):
            with_answers(seconds, "idle", ClientProcess(api_port, token).after(IDLE_SECONDS))
            for storm in chosen:
                asking = ClientProcess(api_port, token)
                storms.run(load, address, workshop / "noise", storm, turn, process)
                with_answers(seconds, storm.name, asking.after(0))
    return seconds


def free_tcp_port() -> int:
    """Return a free TCP port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def log_in(port: int) -> str:
    """Return an access token; retry until the API listens."""
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


class ClientProcess:
    """The process of the client, which sends requests until it is stopped."""

    def __init__(self, port: int, token: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.api_latency", "--ask", str(port), token],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        os.sched_setaffinity(self._process.pid, storms.core(storms.LOAD_CORE))
        assert self._process.stdout
        self._process.stdout.readline()  # wait for the first line

    def after(self, seconds: float) -> dict[str, list[float]]:
        """Let the client run for ``seconds``; return what it measured."""
        time.sleep(seconds)
        out, _ = self._process.communicate()
        measured: dict[str, list[float]] = json.loads(out)
        return measured


def ask(port: int, token: str) -> int:
    """Request the paths in turn until stdin ends."""
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
    """Add the results of one round."""
    for path, more in measured.items():
        seconds.setdefault(state, {}).setdefault(path, []).extend(more)


def show(seconds: dict[str, dict[str, list[float]]]) -> int:
    """Print all rounds; return 1 if a ratio of 99th percentiles exceeds the target."""
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
    """Return the 50th and the 99th percentile."""
    parts = statistics.quantiles(seconds, n=100)
    return parts[49], parts[98]


if __name__ == "__main__":
    sys.exit(main())
