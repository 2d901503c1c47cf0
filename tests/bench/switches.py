"""How long a switch takes until the phone is told to restart: ``python -m tests.bench.switches``.

Starts the whole appliance with a thousand phones in its inventory, each of which is served a config, and switches them
through the API, another phone each time, over kept connections: one after the other, then 64 at once. A phone is a 7940
with SIP firmware that takes its restart at once: a NOTIFY over UDP, which this process answers for all of them. Their
web servers are off, as their configs say. Latency counts from before the request is sent to the arrival of the NOTIFY;
the rate counts answers of the API.

The floor, in turn with the switches and on the same file system, is what no switch can do without: one file of the same
size written beside its name, synced and renamed, its directory synced, and one transaction of two inserts committed in
a SQLite database as safe as Cisisk's, in plain Python; with 64 at once in 64 threads, of which one uses the database at
a time. What is printed are both, and Cisisk as a multiple of the floor: of its latencies and of its rate.

The appliance and the floor have the same core to themselves, phones and clients the other: figures say something on a
machine with two cores or more, and nothing else to do. Within a run the ratios hold, from run to run they drift.
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

import cisisk
from tests.bench import api_latency, storms

AT_ONCE = (1, 64)
MOST_P50, LEAST_RATE = 4.0, 0.4
"""What is allowed, in floors: the median latency of one after the other, and the rate of 64 at once."""
ACCOUNT = {"username": "admin", "password": api_latency.PASSWORD}
FIRST_ADDRESS, FIRST_MAC = IPv4Address("127.40.0.1"), 0x001122330000
BEFORE, FIRST = 100, 101
"""Extensions: of what the phones are served at the start, and of the first profile."""
PAUSE = 0.5
"""Seconds before each measurement, in which what the last one left behind comes to an end."""
_IP_PKTINFO = 8
"""Linux's number, which Python does not name."""
_PKTINFO = struct.Struct("=I4s4s")
"""struct in_pktinfo: interface, local address, destination."""
_KEPT = (b"via:", b"from:", b"to:", b"call-id:", b"cseq:")
"""What a response repeats of its request (RFC 3261 8.2.6.2)."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One way through all phones.

    Attributes:
        seconds: that each took.
        rate: phones a second.
    """

    seconds: list[float]
    rate: float

    @property
    def p50(self) -> float:
        """The median, in seconds."""
        return api_latency.percentiles(self.seconds)[0]

    @property
    def p99(self) -> float:
        """The 99th percentile, in seconds."""
        return api_latency.percentiles(self.seconds)[1]


def main() -> int:
    """Measure, print, and fail when a switch takes too many floors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--phones", type=int, default=1000, help="in the inventory, each switched in each pass (1000)")
    parser.add_argument("--in", type=Path, dest="directory", help="where files and databases are made; the disk counts")
    parser.add_argument("--floor-in", nargs=3, metavar=("DIRECTORY", "COUNT", "AT_ONCE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.floor_in:
        directory, count, at_once = asked.floor_in
        return run_floor(Path(directory), int(count), int(at_once))
    if os.cpu_count() == 1:
        print("one core: the appliance and the load disturb each other, the figures are worth little")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the appliance is ended then too
    os.sched_setaffinity(0, storms.core(storms.LOAD_CORE))
    with tempfile.TemporaryDirectory(prefix="switches-", dir=asked.directory) as made:
        return show_shares(asyncio.run(measure(Path(made), asked.rounds, asked.phones)))


async def measure(workshop: Path, rounds: int, count: int) -> dict[int, list[tuple[float, ...]]]:
    """What each round took in floors, by how many were switched at once: p50, p99 and rate."""
    root = workshop / "root"
    root.mkdir()
    for number in range(count):
        (root / f"SEP{mac(number)}.cnf.xml").write_bytes(config(BEFORE))
    port, tftp = api_latency.free_tcp_port(), storms.free_port()
    settings = storms.settings(workshop, root, tftp, port)
    with Phones() as phones:
        with settings.open("a") as more:
            more.write(f"[phone_sip]\nport = {phones.port}\n[phone_http]\nport = {api_latency.free_tcp_port()}\n")
        with storms.server(storms.appliance(settings), CISISK_ADMIN_PASSWORD=api_latency.PASSWORD) as process:
            site = Site(port, phones, count)
            await site.furnish()
            await asyncio.to_thread(storms.wait_until_it_rests, "cisisk", process)
            return await side_by_side(site, workshop, rounds)


async def side_by_side(site: "Site", workshop: Path, rounds: int) -> dict[int, list[tuple[float, ...]]]:
    """Floor and switches in turn; a line is printed for each."""
    shares: dict[int, list[tuple[float, ...]]] = {at_once: [] for at_once in AT_ONCE}
    print(f"{'':28}{'p50 ms':>9}{'p99 ms':>9}{'a second':>10}{'p50':>8}{'p99':>8}{'rate':>8}  in floors")
    for turn, (round_, at_once) in enumerate(itertools.product(range(1, rounds + 1), AT_ONCE)):
        await asyncio.sleep(PAUSE)
        floor = await asyncio.to_thread(floor_of, workshop, site.count, at_once)
        show(f"round {round_}, {at_once} at once: floor", floor)
        switched = await site.switch_all(at_once, FIRST + turn)
        shares[at_once].append((switched.p50 / floor.p50, switched.p99 / floor.p99, switched.rate / floor.rate))
        show("switches", switched, shares[at_once][-1])
    return shares


def show(name: str, measured: Pass, shares: tuple[float, ...] = ()) -> None:
    """One line of the table."""
    ratios = "".join(f"{share:8.2f}" for share in shares)
    print(f"{name:>28}{measured.p50 * 1e3:9.2f}{measured.p99 * 1e3:9.2f}{measured.rate:10.0f}{ratios}", flush=True)


def show_shares(shares: dict[int, list[tuple[float, ...]]]) -> int:
    """The medians of all rounds; 1 when they are beyond what is allowed."""
    medians = {at_once: list(map(statistics.median, zip(*each, strict=True))) for at_once, each in shares.items()}
    for at_once, (p50, p99, rate) in medians.items():
        print(f"{f'medians, {at_once} at once':>28}{'':28}{p50:8.2f}{p99:8.2f}{rate:8.2f}")
    one, most = medians[AT_ONCE[0]][0], medians[AT_ONCE[-1]][2]
    print(f"one after the other: a p50 of {one:.2f} floors, at most {MOST_P50:g} are allowed")
    print(f"{AT_ONCE[-1]} at once: {most:.2f} of the floor's rate, at least {LEAST_RATE:g} is wanted")
    return int(one > MOST_P50 or most < LEAST_RATE)


def mac(number: int) -> str:
    """The digits of a phone's MAC."""
    return f"{FIRST_MAC + number:012X}"


def address(number: int) -> str:
    """A phone's own address."""
    return str(FIRST_ADDRESS + number)


def config(extension: int) -> bytes:
    """A profile for a phone with one line and five speed dials, some 3 KB; its own name stands in each phone's."""
    template = (Path(cisisk.__file__).parent / "cli" / "demo" / "SEP.cnf.xml").read_text("utf-8")
    dials = "".join(
        f'      <line button="{button}">\n        <featureID>21</featureID>\n'
        f"        <featureLabel>Colleague {button}</featureLabel>\n"
        f"        <speedDialNumber>{extension + button}</speedDialNumber>\n      </line>\n"
        for button in range(2, 7)
    )
    for name, value in (("EXTENSION", extension), ("NAME", f"Desk {extension}"), ("PASSWORD", "secret")):
        template = template.replace(f"@{name}@", str(value))
    template = template.replace("@PHONES_URL@", "http://192.0.2.5:8080").replace("{{server}}", "192.0.2.5")
    template = template.replace("<transportLayerProtocol>1<", "<transportLayerProtocol>2<")
    template = template.replace("<webAccess>0<", "<webAccess>1<")
    return template.replace("    </sipLines>", f"{dials}    </sipLines>").encode()


class Phones:
    """All phones behind one socket, which answers from the address that was asked.

    Attributes:
        told: when each address was told to restart, in seconds of the performance counter.
    """

    def __init__(self) -> None:
        self.told: dict[str, float] = {}
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
        self.told.setdefault(socket.inet_ntoa(address), time.perf_counter())
        kept = [line for line in request.split(b"\r\n") if line.lower().startswith(_KEPT)]
        response = b"\r\n".join([b"SIP/2.0 200 OK", *kept, b"Content-Length: 0", b"", b""])
        here = _PKTINFO.pack(0, address, bytes(4))
        self._socket.sendmsg([response], [(socket.IPPROTO_IP, _IP_PKTINFO, here)], 0, caller)


class Connection:
    """A kept connection to the API."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader, self._writer = reader, writer
        self._head = (
            f"POST /api/v1{{}} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n"
        )

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """What the answer carries; ends the measurement when it is no success."""
        content = json.dumps(body).encode()
        self._writer.write(self._head.format(path, len(content)).encode() + content)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        answer = json.loads(await self._reader.readexactly(length))
        if not answer["success"]:
            sys.exit(f"{path} answered {answer['message']}")
        return answer["data"]

    def close(self) -> None:
        """It is needed no more."""
        self._writer.close()


class Site:
    """The appliance, and the phones in its inventory."""

    def __init__(self, port: int, phones: Phones, count: int) -> None:
        self.count = count
        self._port = port
        self._phones = phones
        self._user = ""

    async def furnish(self) -> None:
        """Put the phones into the inventory, each at an address of its own."""
        facts = {"model": "CP-7940G", "software": "SIP"}
        async with self._connections(1) as [api]:
            self._user = (await api.post("/auth/login", ACCOUNT))["user"]["uuid"]
            for number in range(self.count):
                await api.post("/phones", {"mac": mac(number), "phone_ip": address(number), **facts})

    async def switch_all(self, at_once: int, extension: int) -> Pass:
        """Switch each phone to a profile that is new."""
        self._phones.told.clear()
        numbers, began = iter(range(self.count)), {}
        async with self._connections(at_once) as connections:
            body = {
                "user_uuid": self._user,
                "name": str(extension),
                "cnf_xml": config(extension).decode(),
                "placeholders": True,
            }
            profile = (await connections[0].post("/phone-profiles", body))["uuid"]

            async def go_on_switching(api: Connection) -> None:
                for number in numbers:
                    began[address(number)] = time.perf_counter()
                    done = await api.post("/phone-profiles/switch", {"profile_uuid": profile, "mac": mac(number)})
                    if done["restart"] != "ok":
                        sys.exit(f"a phone was not restarted: {done['restart']}")

            start = time.perf_counter()
            await asyncio.gather(*map(go_on_switching, connections))
            rate = self.count / (time.perf_counter() - start)
        return Pass(seconds=[told - began[phone] for phone, told in self._phones.told.items()], rate=rate)

    @asynccontextmanager
    async def _connections(self, count: int) -> AsyncIterator[list[Connection]]:
        """So many, logged in: a token does not last as long as all rounds."""
        token = await asyncio.to_thread(api_latency.log_in, self._port)
        opened = [await asyncio.open_connection("127.0.0.1", self._port) for _ in range(count)]
        connections = [Connection(*each, token) for each in opened]
        try:
            yield connections
        finally:
            for connection in connections:
                connection.close()


def floor_of(directory: Path, count: int, at_once: int) -> Pass:
    """The floor, in a process on the appliance's core."""
    command = [sys.executable, "-m", "tests.bench.switches", "--floor-in", str(directory), str(count), str(at_once)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        os.sched_setaffinity(process.pid, storms.core(storms.SERVER_CORE))
        out, _ = process.communicate()
    return Pass(**json.loads(out))


def run_floor(workshop: Path, count: int, at_once: int) -> int:
    """Write ``count`` files and commit as many transactions; print what :class:`Pass` holds."""
    with tempfile.TemporaryDirectory(prefix="floor-", dir=workshop) as made, closing(Floor(Path(made))) as floor:
        floor.write(0, config(0))
        numbers, seconds = iter(range(1, count + 1)), []

        def go_on_writing() -> None:
            for number in numbers:
                began = time.perf_counter()
                floor.write(number, config(number))
                seconds.append(time.perf_counter() - began)

        threads = [threading.Thread(target=go_on_writing) for _ in range(at_once)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(json.dumps({"seconds": seconds, "rate": count / (time.perf_counter() - start)}))
    return 0


class Floor:
    """What is synced to the disk for one switch, in a directory and a database of its own."""

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
        """One file, one transaction."""
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
        """The files stay."""
        self._store.close()
        os.close(self._staging)
        os.close(self._directory)


if __name__ == "__main__":
    sys.exit(main())
