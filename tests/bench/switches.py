"""Measure switches until the restart reaches the phone: ``python -m tests.bench.switches``.

Starts the whole appliance with a thousand phones in its inventory, each with a served config. Switches them through the
API over persistent connections, each phone once: first one at a time, then 64 concurrently. A phone is a 7940 with SIP
firmware and a flat config. It accepts its restart immediately: a NOTIFY (check-sync) over UDP, which this process
answers for all phones. Latency is the time from the request to the arrival of the NOTIFY; the rate counts responses of
the API. The CPU time is that of the appliance's process.

The floor alternates with the switches on the same file system. It is the minimum that every switch needs, in plain
Python: write one temporary file of the same size, sync and rename it, sync its directory, and commit one transaction of
two inserts in a SQLite database with the same durability as Cisisk's. With 64 concurrent switches it uses 64 threads,
one of which uses the database at a time. Prints both, and Cisisk as a multiple of the floor: latencies, rate and CPU
time.

The appliance and the floor share one core, phones and clients have the other: run it on an idle machine with two or
more cores. Ratios are stable within a run and drift between runs.
"""

import argparse
import asyncio
import itertools
import json
import os
import secrets
import signal
import socket
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Self

from tests.bench import api_latency, storms

CONCURRENCY = (1, 64)
MOST_P50, LEAST_RATE = 4.0, 0.4
"""Limits in multiples of the floor: the median latency of single switches, the rate of 64 concurrent ones."""
ACCOUNT = {"username": "admin", "password": api_latency.PASSWORD}
FIRST_ADDRESS, FIRST_MAC = IPv4Address("127.40.0.1"), 0x001122330000
BEFORE, FIRST = 100, 101
"""Extensions of the configs at the start and of the first profile."""
PAUSE = 0.5
"""Seconds before each measurement, in which work of the previous one ends."""
_IP_PKTINFO = 8
"""The constant of Linux, which Python lacks."""
_PKTINFO = struct.Struct("=I4s4s")
"""struct in_pktinfo: interface, local address, destination."""
_KEPT = (b"via:", b"from:", b"to:", b"call-id:", b"cseq:")
"""The headers that a response copies from its request (RFC 3261 8.2.6.2)."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """The results of one pass over all phones.

    Attributes:
        seconds: the latency of each switch.
        rate: phones per second.
        cpu: seconds of processor time per phone.
    """

    seconds: list[float]
    rate: float
    cpu: float

    @property
    def p50(self) -> float:
        """The median, in seconds."""
        return api_latency.percentiles(self.seconds)[0]

    @property
    def p99(self) -> float:
        """The 99th percentile, in seconds."""
        return api_latency.percentiles(self.seconds)[1]


def main() -> int:
    """Measure and print; return 1 if a switch takes too many multiples of the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--phones", type=int, default=1000, help="in the inventory, each switched in each pass (1000)")
    parser.add_argument("--in", type=Path, dest="directory", help="where files and databases are made; the disk counts")
    parser.add_argument("--floor-in", nargs=3, metavar=("DIRECTORY", "COUNT", "AT_ONCE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.floor_in:
        directory, count, concurrency = asked.floor_in
        return run_floor(Path(directory), int(count), int(concurrency))
    if os.cpu_count() == 1:
        print("one core: the appliance and the load disturb each other, the figures are worth little")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops the appliance too
    os.sched_setaffinity(0, storms.core(storms.LOAD_CORE))
    with tempfile.TemporaryDirectory(prefix="switches-", dir=asked.directory) as made:
        return show_shares(asyncio.run(measure(Path(made), asked.rounds, asked.phones)))


async def measure(workshop: Path, rounds: int, count: int) -> dict[int, list[tuple[float, ...]]]:
    """Return p50, p99 and rate of each round in multiples of the floor, by number of concurrent switches."""
    root = workshop / "root"
    root.mkdir()
    for number in range(count):
        (root / f"SIP{mac(number)}.cnf").write_bytes(config(BEFORE))
    port, tftp = api_latency.free_tcp_port(), storms.free_port()
    settings = storms.settings(workshop, root, tftp, port)
    with Phones() as phones:
        with settings.open("a") as more:
            more.write(f"[phone_sip]\nport = {phones.port}\n[phone_http]\nport = {api_latency.free_tcp_port()}\n")
        with storms.server(storms.appliance(settings), CISISK_ADMIN_PASSWORD=api_latency.PASSWORD) as process:
            site = Site(port, phones, count)
            await site.add_phones()
            await asyncio.to_thread(storms.wait_until_idle, "cisisk", process)
            return await side_by_side(site, process, workshop, rounds)


async def side_by_side(
    site: "Site", process: subprocess.Popen[bytes], workshop: Path, rounds: int
) -> dict[int, list[tuple[float, ...]]]:
    """Alternate floor and switches, and print a line for each."""
    shares: dict[int, list[tuple[float, ...]]] = {concurrency: [] for concurrency in CONCURRENCY}
    heads = (
        ("p50 ms", 9),
        ("p99 ms", 9),
        ("a second", 10),
        *[(head, 8) for head in ("cpu ms", "p50", "p99", "rate", "cpu")],
    )
    print(" " * 28 + "".join(f"{head:>{width}}" for head, width in heads) + "  in floors")
    for turn, (round_, concurrency) in enumerate(itertools.product(range(1, rounds + 1), CONCURRENCY)):
        await asyncio.sleep(PAUSE)
        floor = await asyncio.to_thread(floor_of, workshop, site.count, concurrency)
        show(f"round {round_}, {concurrency} at once: floor", floor)
        switched = await site.switch_all(process, concurrency, FIRST + turn)
        shares[concurrency].append(
            (
                switched.p50 / floor.p50,
                switched.p99 / floor.p99,
                switched.rate / floor.rate,
                switched.cpu / floor.cpu,
            )
        )
        show("switches", switched, shares[concurrency][-1])
    return shares


def show(name: str, measured: Pass, shares: tuple[float, ...] = ()) -> None:
    """Print one line of the table."""
    ratios = "".join(f"{share:8.2f}" for share in shares)
    times = f"{measured.p50 * 1e3:9.2f}{measured.p99 * 1e3:9.2f}{measured.rate:10.0f}{measured.cpu * 1e3:8.2f}"
    print(f"{name:>28}{times}{ratios}", flush=True)


def show_shares(shares: dict[int, list[tuple[float, ...]]]) -> int:
    """Print the medians of all rounds; return 1 if they exceed the limits."""
    medians = {
        concurrency: list(map(statistics.median, zip(*each, strict=True))) for concurrency, each in shares.items()
    }
    for concurrency, (p50, p99, rate, cpu) in medians.items():
        print(f"{f'medians, {concurrency} at once':>28}{'':36}{p50:8.2f}{p99:8.2f}{rate:8.2f}{cpu:8.2f}")
    one, most = medians[CONCURRENCY[0]][0], medians[CONCURRENCY[-1]][2]
    print(f"one after the other: a p50 of {one:.2f} floors, at most {MOST_P50:g} are allowed")
    print(f"{CONCURRENCY[-1]} at once: {most:.2f} of the floor's rate, at least {LEAST_RATE:g} is wanted")
    return int(one > MOST_P50 or most < LEAST_RATE)


def mac(number: int) -> str:
    """Return the digits of a phone's MAC."""
    return f"{FIRST_MAC + number:012X}"


def address(number: int) -> str:
    """Return the address of a phone."""
    return str(FIRST_ADDRESS + number)


def config(extension: int) -> bytes:
    """Return a flat config of about 3 KB with one line, speed dials, and a placeholder for the device name."""
    settings = {
        "image_version": "P0S3-8-12-00",
        "proxy1_address": "192.0.2.5",
        "line1_name": str(extension),
        "line1_authname": str(extension),
        "line1_password": "secret",
        "line1_displayname": f"Desk {extension}",
        "phone_label": "{{device_name}}",
        **{f"speed_line{button}": str(extension + button) for button in range(2, 7)},
        **{f"speed_label{button}": f"Colleague {button}" for button in range(2, 7)},
    }
    lines = [f'{name}: "{value}"' for name, value in settings.items()]
    return "\n".join([*lines, *["# Settings of the site follow in SIPDefault.cnf."] * 50, ""]).encode()


class Phones:
    """All phones behind one socket, which answers from the address that received the request.

    Attributes:
        restarted_at: time of the last NOTIFY per address, in seconds of the performance counter.
    """

    def __init__(self) -> None:
        self.restarted_at: dict[str, float] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self._socket.bind(("", 0))
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._socket, self._answer)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _answer(self) -> None:
        request, [(_, _, info)], _, caller = self._socket.recvmsg(4096, socket.CMSG_SPACE(_PKTINFO.size))
        *_, address = _PKTINFO.unpack(info)
        self.restarted_at.setdefault(socket.inet_ntoa(address), time.perf_counter())
        kept = [line for line in request.split(b"\r\n") if line.lower().startswith(_KEPT)]
        response = b"\r\n".join([b"SIP/2.0 200 OK", *kept, b"Content-Length: 0", b"", b""])
        here = _PKTINFO.pack(0, address, bytes(4))
        self._socket.sendmsg([response], [(socket.IPPROTO_IP, _IP_PKTINFO, here)], 0, caller)


class Connection:
    """A persistent connection to the API."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader, self._writer = reader, writer
        self._head = (
            f"POST /api/v1{{}} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n"
        )

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Return the data of the response; end the measurement on an error."""
        content = json.dumps(body).encode()
        self._writer.write(self._head.format(path, len(content)).encode() + content)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        answer = json.loads(await self._reader.readexactly(length))
        if not answer["success"]:
            sys.exit(f"{path} answered {answer['message']}")
        return answer["data"]

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


class Site:
    """The appliance and the phones in its inventory."""

    def __init__(self, port: int, phones: Phones, count: int) -> None:
        self.count = count
        self._port = port
        self._phones = phones
        self._user = ""

    async def add_phones(self) -> None:
        """Add the phones to the inventory, each with its own address."""
        facts = {"model": "CP-7940G", "software": "SIP"}
        async with self._connections(1) as [api]:
            self._user = (await api.post("/auth/login", ACCOUNT))["user"]["uuid"]
            for number in range(self.count):
                await api.post("/phones", {"mac": mac(number), "phone_ip": address(number), **facts})

    async def switch_all(self, process: subprocess.Popen[bytes], concurrency: int, extension: int) -> Pass:
        """Switch each phone to a new profile. ``process`` is the appliance."""
        self._phones.restarted_at.clear()
        numbers, began = iter(range(self.count)), {}
        async with self._connections(concurrency) as connections:
            body = {
                "user_uuid": self._user,
                "name": str(extension),
                "cnf_xml": config(extension).decode(),
                "content_type": "cnf",
                "placeholders": True,
            }
            profile = (await connections[0].post("/phone-profiles", body))["uuid"]

            async def go_on_switching(api: Connection) -> None:
                for number in numbers:
                    began[address(number)] = time.perf_counter()
                    done = await api.post("/phone-profiles/switch", {"profile_uuid": profile, "mac": mac(number)})
                    if done["restart"] != "ok":
                        sys.exit(f"a phone was not restarted: {done['restart']}")

            used, start = storms.processor_seconds(process), time.perf_counter()
            await asyncio.gather(*map(go_on_switching, connections))
            rate = self.count / (time.perf_counter() - start)
            used = storms.processor_seconds(process) - used
        return Pass(
            seconds=[restarted_at - began[phone] for phone, restarted_at in self._phones.restarted_at.items()],
            rate=rate,
            cpu=used / self.count,
        )

    @asynccontextmanager
    async def _connections(self, count: int) -> AsyncIterator[list[Connection]]:
        """Open logged-in connections. Each pass logs in again, because tokens expire before the last round."""
        token = await asyncio.to_thread(api_latency.log_in, self._port)
        opened = [await asyncio.open_connection("127.0.0.1", self._port) for _ in range(count)]
        connections = [Connection(*each, token) for each in opened]
        try:
            yield connections
        finally:
            for connection in connections:
                connection.close()


def floor_of(directory: Path, count: int, concurrency: int) -> Pass:
    """Measure the floor in a process on the core of the appliance."""
    command = [sys.executable, "-m", "tests.bench.switches", "--floor-in", str(directory), str(count), str(concurrency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        os.sched_setaffinity(process.pid, storms.core(storms.SERVER_CORE))
        out, _ = process.communicate()
    return Pass(**json.loads(out))


def run_floor(workshop: Path, count: int, concurrency: int) -> int:
    """Write ``count`` files and commit as many transactions; print the fields of :class:`Pass`."""
    with tempfile.TemporaryDirectory(prefix="floor-", dir=workshop) as made, closing(Floor(Path(made))) as floor:
        floor.write(0, config(0))
        numbers, seconds = iter(range(1, count + 1)), []

        def go_on_writing() -> None:
            for number in numbers:
                began = time.perf_counter()
                floor.write(number, config(number))
                seconds.append(time.perf_counter() - began)

        threads = [threading.Thread(target=go_on_writing) for _ in range(concurrency)]
        used, start = time.process_time(), time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rate = count / (time.perf_counter() - start)
        print(json.dumps({"seconds": seconds, "rate": rate, "cpu": (time.process_time() - used) / count}))
    return 0


class Floor:
    """The writes that one switch needs, in a separate directory and database."""

    def __init__(self, directory: Path) -> None:
        (directory / "staging").mkdir()
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._staging = os.open(directory / "staging", os.O_RDONLY | os.O_DIRECTORY)
        self._writing = threading.Lock()
        self._store = sqlite3.connect(directory / "floor.db", isolation_level=None, check_same_thread=False)
        self._store.execute("PRAGMA journal_mode = WAL")
        self._store.execute("PRAGMA synchronous = FULL")
        self._store.execute("CREATE TABLE contents (sha256 TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT")
        self._store.execute("CREATE TABLE switches (number INTEGER PRIMARY KEY, mac TEXT, sha256 TEXT) STRICT")

    def write(self, number: int, content: bytes) -> None:
        """Write one file and commit one transaction."""
        temporary = secrets.token_hex(8)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._staging)
        with os.fdopen(fd, "wb", buffering=0) as file:
            file.write(content)
            os.fsync(fd)
        os.rename(temporary, f"SEP{mac(number)}.cnf.xml", src_dir_fd=self._staging, dst_dir_fd=self._directory)
        os.fsync(self._directory)
        with self._writing:
            self._store.execute("BEGIN IMMEDIATE")
            self._store.execute("INSERT INTO contents VALUES (?, ?)", (secrets.token_hex(32), content))
            self._store.execute("INSERT INTO switches (mac, sha256) VALUES (?, ?)", (mac(number), temporary))
            self._store.execute("COMMIT")

    def close(self) -> None:
        """Close the database; the files stay."""
        self._store.close()
        os.close(self._staging)
        os.close(self._directory)


if __name__ == "__main__":
    sys.exit(main())
