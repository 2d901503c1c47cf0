"""Compare files over HTTP with nginx: ``python -m tests.bench.http_storm``.

Starts Cisisk, its HTTP server alone, and nginx (one worker, sendfile, the same directory), and loads them in turn with
wrk for several rounds, so that other load on the machine affects all of them. Prints medians, and the rate of Cisisk
relative to nginx within a round.

The servers share one core and the load generator has another: run it on an idle machine with two or more cores. Needs
nginx and wrk.
"""

import argparse
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIGS, CONFIG_BYTES, FIRMWARE_BYTES = 350, 16 << 10, 16 << 20
"""The default memory cache holds these configs; ``spread`` requests many more."""
SPREAD = 5000
CONNECTIONS = 32
SECONDS = 2
SERVER_CORE, LOAD_CORE = 0, 1
START_SECONDS = 15.0
OURS = ("cisisk", "engine")

NGINX = """
worker_processes 1; daemon off; pid {workshop}/nginx.pid; error_log {workshop}/nginx.log; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  types {{ text/xml xml; }} default_type application/octet-stream;
  client_body_temp_path {workshop}/t1; proxy_temp_path {workshop}/t2; fastcgi_temp_path {workshop}/t3;
  uwsgi_temp_path {workshop}/t4; scgi_temp_path {workshop}/t5;
  server {{ listen 127.0.0.1:{port} backlog=1024; root {root}; }}
}}
"""
CISISK = """
[server]
host = "127.0.0.1"
port = 0
[data]
dir = "{workshop}/data"
[provisioning]
root = "{root}"
access = "off"
[tftp]
enabled = false
[ftp]
enabled = false
[provisioning_http]
host = "127.0.0.1"
port = {port}
[log]
level = "warning"
"""
LUA = """
local i = 0
request = function()
  i = (i + 7) % {count}
  return wrk.format("GET", string.format("{path}", i))
end
"""


@dataclass(frozen=True, kw_only=True)
class Storm:
    """A load: requests for ``count`` files named by ``path``, with or without persistent connections."""

    name: str
    path: str
    count: int
    keep_alive: bool = True
    connections: int = CONNECTIONS


STORMS = [
    Storm(name="16 KiB, kept", path="/SEP%012X.cnf.xml", count=CONFIGS),
    Storm(name="16 KiB, closed", path="/SEP%012X.cnf.xml", count=CONFIGS, keep_alive=False),
    Storm(name="16 KiB, kept, spread", path="/SEP%012X.cnf.xml", count=SPREAD),
    Storm(name="16 MB, kept", path="/image%d.bin", count=1, connections=4),
    Storm(name="16 MB, closed", path="/image%d.bin", count=1, connections=4, keep_alive=False),
]


def main() -> int:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each server meets each storm (3)")
    parser.add_argument("--storms", nargs="*", metavar="WORD", help="only storms with one of these words in their name")
    parser.add_argument("--json", type=Path, help="write every single measurement there")
    parser.add_argument("--engine-on", nargs=2, metavar=("PORT", "DIRECTORY"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.engine_on:
        return serve_engine(int(asked.engine_on[0]), Path(asked.engine_on[1]))
    if missing := [program for program in ("wrk", "taskset") if shutil.which(program) is None]:
        sys.exit(f"not installed: {', '.join(missing)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops the servers too
    storms = [storm for storm in STORMS if not asked.storms or any(word in storm.name for word in asked.storms)]
    with tempfile.TemporaryDirectory(prefix="http-storm-") as made:
        Path(made).chmod(0o755)  # nginx reads as another user
        figures = measure(Path(made), storms, asked.rounds)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))
    show(figures, storms)
    return 0


def measure(workshop: Path, storms: list[Storm], rounds: int) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Return all measurements by storm and server."""
    root = create_files(workshop)
    figures: dict[str, dict[str, list[dict[str, float]]]] = {storm.name: {} for storm in storms}
    with ExitStack() as running:
        servers = {}
        for name, (command, port) in commands(workshop, root).items():
            servers[name] = port, running.enter_context(server(command))
        for name, (port, _) in servers.items():
            check(name, port, root)
        for storm, _ in itertools.product(storms, range(rounds)):
            for name, (port, process) in servers.items():
                figures[storm.name].setdefault(name, []).append(load(workshop, port, storm, process))
            print(".", end="", flush=True)
        print()
    return figures


def create_files(workshop: Path) -> Path:
    """Create the served files; return their directory."""
    root, noise = workshop / "root", random.Random(6970)
    root.mkdir(mode=0o755)
    for index in range(SPREAD):
        (root / f"SEP{index:012X}.cnf.xml").write_bytes(noise.randbytes(CONFIG_BYTES))
    (root / "image0.bin").write_bytes(noise.randbytes(FIRMWARE_BYTES))
    return root


def commands(workshop: Path, root: Path) -> dict[str, tuple[list[str], int]]:
    """Return commands and ports of the installed servers."""
    ports = [free_port() for _ in range(3)]
    config = workshop / "config.toml"
    config.write_text(CISISK.format(workshop=workshop, root=root, port=ports[0]))
    found = {
        "cisisk": ([sys.executable, "-m", "cisisk", "serve", "--config", str(config)], ports[0]),
        "engine": ([sys.executable, "-m", "tests.bench.http_storm", "--engine-on", str(ports[1]), str(root)], ports[1]),
    }
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        print("without nginx: not installed")
    else:
        config = workshop / "nginx.conf"
        user = "" if os.geteuid() else "user root;"
        config.write_text(NGINX.format(workshop=workshop, root=root, port=ports[2], user=user))
        found["nginx"] = [nginx, "-c", str(config)], ports[2]
    return found


def serve_engine(port: int, root: Path) -> int:
    """Serve ``root`` by the HTTP server alone until SIGTERM."""
    import asyncio

    from cisisk.provisioning.access.policy import AccessPolicy, Mode
    from cisisk.provisioning.http.server import HttpServer
    from cisisk.provisioning.library import Library

    async def serve() -> None:
        source = AccessPolicy(Library(root), Mode.OFF)
        engine = HttpServer(host="127.0.0.1", port=port, source=source, on_fetch=lambda _: None)
        engine.start()
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
        await engine.stop(0)

    asyncio.run(serve())
    return 0


def free_port() -> int:
    """Return a free TCP port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server on its core during the block."""
    process = subprocess.Popen(
        ["taskset", "--cpu-list", str(SERVER_CORE), *command], stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        # nginx has a worker process; the session contains only this server.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def check(name: str, port: int, root: Path) -> None:
    """Wait until the server answers, and check the bytes it serves."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            for file in ("SEP000000000001.cnf.xml", "image0.bin"):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{file}", timeout=5) as answer:
                    if answer.read() != (root / file).read_bytes():
                        sys.exit(f"{name} serves the wrong bytes")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return
    sys.exit(f"{name} does not answer")


def load(workshop: Path, port: int, storm: Storm, process: subprocess.Popen[bytes]) -> dict[str, float]:
    """Run one storm; return requests per second, and microseconds of processor time per request."""
    script = workshop / "names.lua"
    script.write_text(LUA.format(count=storm.count, path=storm.path))
    wrk = ["wrk", "-t1", f"-c{storm.connections}", f"-d{SECONDS}s", "--latency", "-s", str(script)]
    fields = ["-H", "Connection: keep-alive" if storm.keep_alive else "Connection: close"]
    before = processor_seconds(process)
    output = subprocess.run(
        ["taskset", "--cpu-list", str(LOAD_CORE), *wrk, *fields, f"http://127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    spent = processor_seconds(process) - before
    if "Non-2xx" in output:
        sys.exit(f"{storm.name}: not every answer was a file\n{output}")
    found = re.search(r"(\d+) requests in", output)
    rate = re.search(r"Requests/sec: +([\d.]+)", output)
    if found is None or rate is None or not int(found[1]):
        sys.exit(f"{storm.name}: wrk says\n{output}")
    return {"rate": float(rate[1]), "cpu": spent / int(found[1]) * 1e6}


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time of ``process`` and its children."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    each = [Path(f"/proc/{number}/schedstat").read_text().split()[0] for number in [str(process.pid), *children]]
    return sum(map(int, each)) / 1e9


def show(figures: dict[str, Any], storms: list[Storm]) -> None:
    """Print a table of medians: requests per second (microseconds of processor time each), and ratios to nginx."""
    for storm in storms:
        measured = figures[storm.name]
        print(f"\n{storm.name}")
        for name, each in measured.items():
            rate, cpu = (statistics.median(one[key] for one in each) for key in ("rate", "cpu"))
            share = ""
            if name in OURS and "nginx" in measured:
                pairs = list(zip(each, measured["nginx"], strict=True))
                rates = statistics.median(mine["rate"] / theirs["rate"] for mine, theirs in pairs)
                costs = statistics.median(theirs["cpu"] / mine["cpu"] for mine, theirs in pairs)
                share = f"   {rates:.2f} of nginx's rate, {costs:.2f} by processor time"
            print(f"  {name:8}{rate:10.0f}/s {cpu:8.1f} us{share}")


if __name__ == "__main__":
    sys.exit(main())
