"""Compare boot storms of TFTP servers: ``python -m tests.bench.storms``.

Starts Cisisk, its TFTP engine alone (``engine``), the engine without its fast path (``plain``), the installed ones of
tftpd-hpa, atftpd and dnsmasq (as TFTP only), and a minimal server in C (``floor.c``) that shows the limit of the
kernel. All run the same storms in turn for several rounds, so that other load on the machine affects all of them.
Prints medians, and the ratios of Cisisk: of the rate, and of the processor time per transfer.

Servers share one core and the load generator has another: run it on an idle machine with two or more cores. Needs a C
compiler; dnsmasq needs the right to bind port 69. Debian's tftpd-hpa and atftpd exclude each other: install one and put
the other's program, unpacked from its package, on the PATH.
"""

import argparse
import errno
import itertools
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PERIOD, STEP = 65521, 37
"""The content of files, as in storm.c."""
CONFIGS, CONFIG_BYTES = 5000, 16 << 10
FIRMWARE_BYTES = 16 << 20
SERVER_CORE, LOAD_CORE = 0, 1
START_SECONDS, IDLE_SECONDS = 15.0, 120.0
IDLE_SHARE = 0.1
"""A server that uses less processor time per second counts as idle."""
OURS, FLOOR = ("cisisk", "engine"), "floor"
BUSY = 0.7
"""A load generator that uses a larger share of its core may be the bottleneck."""

ATFTPD = ("--daemon", "--no-fork", "--maxthread", "4000")
DNSMASQ: tuple[str, ...] = (
    "-k",
    "--port=0",
    "--enable-tftp",
    "--bind-interfaces",
    "--conf-file=/dev/null",
    "--pid-file=",
)
DNSMASQ += ("--user=root", "--tftp-max=4000")
"""Options for many phones: the default permits 50 transfers."""


@dataclass(frozen=True, kw_only=True)
class Storm:
    """A load, and the unit of its rate: transfers, or megabytes if ``counts_bytes``."""

    name: str
    load: dict[str, int]
    counts_bytes: bool = False


CONFIG = {"files": CONFIGS, "size": CONFIG_BYTES}
FIRMWARE = {"files": 1, "size": FIRMWARE_BYTES, "blksize": 1428, "firmware": 1}
STORMS = [
    Storm(name="2000 at once", load=CONFIG | {"n": 5000, "at_once": 2000}),
    Storm(name="500 at once", load=CONFIG | {"n": 5000, "at_once": 500}),
    Storm(name="64 at once", load=CONFIG | {"n": 5000, "at_once": 64}),
    Storm(name="one by one", load=CONFIG | {"n": 500, "at_once": 1}),
    Storm(name="64, blksize 1428", load=CONFIG | {"n": 5000, "at_once": 64, "blksize": 1428}),
    Storm(name="64 x 16 MB", load=FIRMWARE | {"n": 64, "at_once": 64}, counts_bytes=True),
    Storm(name="1 x 16 MB, window 8", load=FIRMWARE | {"n": 3, "at_once": 1, "windowsize": 8}, counts_bytes=True),
    Storm(name="64, 1 % loss", load=CONFIG | {"n": 1000, "at_once": 64, "loss": 1}),
    Storm(name="64, missing", load=CONFIG | {"n": 30000, "phones": CONFIGS, "at_once": 64, "missing": 1}),
]


def main() -> int:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each server meets each storm (5)")
    parser.add_argument("--storms", nargs="*", metavar="WORD", help="only storms with one of these words in their name")
    parser.add_argument("--servers", nargs="*", metavar="NAME", help="only these servers")
    parser.add_argument("--json", type=Path, help="write every single measurement there")
    parser.add_argument("--engine-on", nargs=2, metavar=("PORT", "DIRECTORY"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.engine_on:
        return serve_engine(int(asked.engine_on[0]), Path(asked.engine_on[1]))
    if os.cpu_count() == 1:
        print("one core: servers and load disturb each other, the figures are worth little")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops the servers too
    storms = [storm for storm in STORMS if not asked.storms or any(word in storm.name for word in asked.storms)]
    with tempfile.TemporaryDirectory(prefix="storms-") as made:
        Path(made).chmod(0o755)  # some servers read as another user
        figures = measure(Path(made), storms, asked.servers, asked.rounds)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))
    show(figures, [storm for storm in storms if all(name in figures[storm.name] for name in figures["memory"])])
    return 0


def measure(workshop: Path, storms: list[Storm], only: list[str] | None, rounds: int) -> dict[str, Any]:
    """Return all measurements by storm and server, and the peak memory of each server."""
    root, noise, load = create_files(workshop), workshop / "noise", workshop / "storm"
    if not compiled(HERE / "storm.c", load):
        sys.exit("no C compiler: the load cannot be made")
    figures: dict[str, Any] = {storm.name: {} for storm in storms}
    figures["memory"] = {}
    with ExitStack() as running:
        servers = {}
        for name, (command, address) in commands(workshop, root).items():
            if only and name not in only:
                continue
            servers[name] = address, running.enter_context(server(command))
        for name, (address, process) in servers.items():
            wait_until_answering(name, address)
            if process.poll() is not None:
                sys.exit(f"{name} has ended, and another server answers in its place")
            wait_until_idle(name, process)
        # Run all rounds of a storm together, so that an interrupted run has complete storms.
        for storm, turn in itertools.product(storms, range(rounds)):
            for name, (address, process) in servers.items():
                try:
                    measured = run(load, address, noise, storm, turn, process)
                except KeyboardInterrupt:
                    print(f" interrupted in {storm.name}")
                    return figures
                figures[storm.name].setdefault(name, []).append(measured)
                figures["memory"][name] = peak_memory(process)
            print(".", end="", flush=True)
        print()
    return figures


def create_files(workshop: Path) -> Path:
    """Create the served files; return their directory."""
    noise = random.Random(69).randbytes(PERIOD)
    (workshop / "noise").write_bytes(noise)
    root = workshop / "root"
    root.mkdir()
    for index in range(CONFIGS):
        start = index * STEP % PERIOD
        (root / f"SEP{index:012X}.cnf.xml").write_bytes((noise[start:] + noise)[:CONFIG_BYTES])
    image = (noise * (FIRMWARE_BYTES // PERIOD + 1))[:FIRMWARE_BYTES]
    (root / "image0.bin").write_bytes(image)
    return root


def compiled(source: Path, program: Path) -> bool:
    """Compile ``source``; return whether that succeeded."""
    return bool(shutil.which("cc")) and not subprocess.run(["cc", "-O2", "-o", program, source], check=False).returncode


def commands(workshop: Path, root: Path) -> dict[str, tuple[list[str], tuple[str, int]]]:
    """Return commands and addresses of the installed servers; print the missing ones."""
    found: dict[str, tuple[list[str], tuple[str, int]]] = {}
    port = free_port()
    found["cisisk"] = appliance(settings(workshop, root, port)), port
    port = free_port()
    found["engine"] = engine(port, root), port
    port = free_port()
    found["plain"] = ["env", "CISISK_TFTP_FASTPATH=0", *engine(port, root)], port
    port = free_port()
    if compiled(HERE / "floor.c", workshop / "floor"):
        found[FLOOR] = [str(workshop / "floor"), port[0], str(port[1]), str(root)], port
    for name, program, arguments in (
        ("tftpd-hpa", "in.tftpd", ["-L", "-u", "root", "-a", "{0}:{1}", "-s", "{2}"]),
        ("atftpd", "atftpd", [*ATFTPD, "--port", "{1}", "--bind-address", "{0}", "{2}"]),
        ("dnsmasq", "dnsmasq", [*DNSMASQ, "--listen-address={0}", "--tftp-root={2}"]),
    ):
        path = peer(program)
        if path is None or (name == "dnsmasq" and os.geteuid()):
            print(f"without {name}: {'not installed' if path is None else 'port 69 needs root'}")
        else:
            address = free_port("127.0.0.69", 69) if name == "dnsmasq" else free_port()
            found[name] = [path, *(part.format(*address, root) for part in arguments)], address
    return found


def peer(program: str) -> str | None:
    """Return the path of a server. Debian names atftpd in.tftpd too."""
    for directory in f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin".split(":"):
        path = shutil.which(program, path=directory)
        if path and (program != "in.tftpd" or is_tftpd_hpa(path)):
            return path
    return None


def is_tftpd_hpa(path: str) -> bool:
    """Return whether the program says that it is tftpd-hpa."""
    return b"tftp-hpa" in subprocess.run([path, "-V"], check=False, capture_output=True).stdout


def appliance(config: Path) -> list[str]:
    """Return the command that starts Cisisk."""
    return [sys.executable, "-m", "cisisk", "serve", "--config", str(config)]


def settings(workshop: Path, root: Path, address: tuple[str, int], api_port: int = 0) -> Path:
    """Write a config file that serves ``root`` over TFTP, with other services on free ports unless one is given."""
    file = workshop / "config.toml"
    file.write_text(
        f'[server]\nhost = "127.0.0.1"\nport = {api_port}\n[data]\ndir = "{workshop / "data"}"\n'
        "[provisioning_http]\nenabled = false\n[ftp]\nenabled = false\n"
        f'[provisioning]\nroot = "{root}"\n[tftp]\nhost = "{address[0]}"\nport = {address[1]}\n'
        '[log]\nlevel = "warning"\n'
    )
    return file


def engine(address: tuple[str, int], root: Path) -> list[str]:
    """Return the command that starts the TFTP engine alone."""
    return [sys.executable, "-m", "tests.bench.storms", "--engine-on", str(address[1]), str(root)]


def serve_engine(port: int, root: Path) -> int:
    """Serve ``root`` with the TFTP engine alone until SIGTERM."""
    from cisisk.provisioning.access.policy import AccessPolicy, Mode
    from cisisk.provisioning.library import Library
    from cisisk.provisioning.tftp.fastpath.switch import choose_path
    from cisisk.provisioning.tftp.server import TftpServer

    server = TftpServer(
        host="127.0.0.1",
        port=port,
        source=AccessPolicy(Library(root), Mode.OFF),
        on_fetch=lambda _: None,
        max_transfers=4096,
        path=choose_path(),
    )
    server.start()
    signal.sigwait({signal.SIGTERM})
    server.stop(0)
    return 0


def free_port(host: str = "127.0.0.1", port: int = 0) -> tuple[str, int]:
    """Return a free UDP port; with a ``port``, the first address from ``host`` on where it is free.

    Two dnsmasq share a port without an error, and the newer one receives all datagrams.
    """
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                host = str(IPv4Address(host) + 1)
            else:
                address: tuple[str, int] = probe.getsockname()
                return address


@contextmanager
def server(command: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server on its core during the block."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | environment,
    )
    os.sched_setaffinity(process.pid, core(SERVER_CORE))
    try:
        yield process
    finally:
        # tftpd-hpa has child processes; the session contains only this server.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def core(number: int) -> set[int]:
    """Return one core if there are several, else all."""
    return {number % (os.cpu_count() or 1)}


def wait_until_answering(name: str, address: tuple[str, int]) -> None:
    """Request an absent file until the server answers with an error."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.settimeout(0.2)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            phone.sendto(b"\0\1nothing\0octet\0", address)
            try:
                phone.recv(600)
            except OSError:
                continue
            return
    sys.exit(f"{name} does not answer")


def wait_until_idle(name: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server has finished its start: the appliance adopts the configs of the directory."""
    end = time.monotonic() + IDLE_SECONDS
    before = processor_seconds(process)
    while time.monotonic() < end:
        time.sleep(1)
        now = processor_seconds(process)
        if now - before < IDLE_SHARE:
            return
        before = now
    sys.exit(f"{name} does not come to rest")


def run(
    load: Path, address: tuple[str, int], noise: Path, storm: Storm, turn: int, process: subprocess.Popen[bytes]
) -> dict[str, float]:
    """Run one storm; return the counts of the load generator, with the processor time of the server."""
    words = [f"{key}={value}" for key, value in storm.load.items()]
    before = processor_seconds(process)
    done = subprocess.run(
        [
            "taskset",
            "--cpu-list",
            str(*core(LOAD_CORE)),
            load,
            address[0],
            str(address[1]),
            noise,
            f"seed={turn + 1}",
            *words,
        ],
        capture_output=True,
        check=True,
    )
    counted: dict[str, float] = json.loads(done.stdout)
    counted["server_cpu"] = processor_seconds(process) - before
    return counted


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time of the threads of ``process`` and of its ended children."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def peak_memory(process: subprocess.Popen[bytes]) -> float:
    """Return the peak resident memory in megabytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def show(figures: dict[str, Any], storms: list[Storm]) -> None:
    """Print tables of medians: the rate of each server, and the ratios of Cisisk."""
    servers = list(figures["memory"])
    row = "{:20}" + "{:>28}" * len(servers)
    print(row.format("per second", *servers))
    for storm in storms:
        unit = "megabytes" if storm.counts_bytes else "rate"
        print(row.format(storm.name, *(cell(figures[storm.name][name], unit) for name in servers)))
    print(row.format("peak memory, MiB", *(f"{figures['memory'][name]:.0f}" for name in servers)))
    print("  (p99 in ms; r: repetitions by clients; L: transfers lost, F: failed; large files in MB;")
    print(f"  c: of its core, what the load took if over {BUSY:.0%}, so that it may have set the pace)\n")
    for ours in OURS:
        others = [name for name in servers if name not in OURS]
        if ours not in servers or not others:
            continue
        row = "{:20}" + "{:>12}" * len(others)
        print(row.format(f"{ours} to", *others))
        for storm in storms:
            print(row.format(storm.name, *(ratio(figures[storm.name], storm, ours, other) for other in others)))
        print(row.format("processor time:", *("" for _ in others)))
        for storm in storms:
            print(row.format(storm.name, *(cpu_ratio(figures[storm.name], ours, other) for other in others)))
        print()


def cell(measured: list[dict[str, float]], unit: str) -> str:
    """Return the table cell of one server in one storm."""
    figure, p99, repeated, lost, failed = (
        statistics.median(one[key] for one in measured) for key in (unit, "p99", "retransmits", "lost", "failed")
    )
    busy = statistics.median(one["cpu"] / one["seconds"] for one in measured)
    troubles = "".join(f" {sign}{count:.0f}" for sign, count in (("r", repeated), ("L", lost), ("F", failed)) if count)
    troubles += f" c{busy:.0%}" if busy > BUSY else ""
    wrong = " WRONG CONTENT" if any(one["wrong"] for one in measured) else ""
    return f"{figure:.0f} ({p99 * 1e3:.0f}{troubles}){wrong}"


def ratio(measured: dict[str, list[dict[str, float]]], storm: Storm, ours: str, other: str) -> str:
    """Return the ratio of rates; with packet loss, of 99th percentiles, which timers determine."""
    unit = "p99" if "loss" in storm.load else "megabytes" if storm.counts_bytes else "rate"
    pairs = zip(measured[ours], measured[other], strict=False)
    shares = [mine[unit] / theirs[unit] for mine, theirs in pairs if theirs[unit]]
    return f"{statistics.median(shares):.2f}" + (" of p99" if unit == "p99" else "") if shares else "-"


def cpu_ratio(measured: dict[str, list[dict[str, float]]], ours: str, other: str) -> str:
    """Return the ratio of processor time per transfer. Other load on the machine affects it less."""
    pairs = zip(measured[ours], measured[other], strict=False)
    shares = [cpu_per_transfer(mine) / each for mine, theirs in pairs if (each := cpu_per_transfer(theirs))]
    return f"{statistics.median(shares):.2f}" if shares else "-"


def cpu_per_transfer(measured: dict[str, float]) -> float:
    """Return the processor seconds of the server per transfer."""
    return measured["server_cpu"] / max(measured["rate"] * measured["seconds"], 1)


if __name__ == "__main__":
    sys.exit(main())
