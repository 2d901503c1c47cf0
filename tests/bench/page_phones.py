"""A store with users and phones, an appliance that serves pages, and the HTTP client of the phones."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from uuid import uuid4

from cisisk.identity.passwords import PIN as PIN_COST
from cisisk.identity.passwords import Cost, Passwords
from cisisk.store import migrations
from tests.bench import storms

PIN, WRONG_PIN = "2468", "8642"
MODEL = "CP-8845"
FIRST_ADDRESS = IPv4Address("127.20.0.1")
MOMENT = "2026-06-28T12:00:00.000Z"
FIRST = -10
"""Niceness of the measuring process, if permitted. Otherwise the results would include waiting for the processor."""
CONFIG = "<device><deviceProtocol>SIP</deviceProtocol></device>"
SERVICES = "/cisco/services"


@dataclass(frozen=True, slots=True)
class BenchPhone:
    """A phone of the inventory with its own loopback address and its own user."""

    number: int

    @property
    def mac(self) -> str:
        """The twelve digits of the MAC."""
        return f"02{self.number:010X}"

    @property
    def address(self) -> str:
        """The source address of its requests."""
        return str(FIRST_ADDRESS + self.number)

    @property
    def username(self) -> str:
        """With the PIN :data:`PIN`."""
        return f"user{self.number}"

    @property
    def username_without_pin(self) -> str:
        """The name of a user without a PIN."""
        return f"none{self.number}"


def create_store(workshop: Path, phones: list[BenchPhone], *, profiles: int = 0, cost: Cost = PIN_COST) -> Path:
    """Create a store with phones and their users; return the config file.

    The first ``profiles`` users have a profile.
    """
    data = workshop / "data"
    data.mkdir(mode=0o700)
    path = data / "cisisk.db"
    migrations.migrate(path, migrations.steps())
    pin_hash = asyncio.run(Passwords(cost).hash(PIN))
    with closing(sqlite3.connect(path)) as store:
        for phone in phones:
            with_pin, without = str(uuid4()), str(uuid4())
            for uuid, name in ((with_pin, phone.username), (without, phone.username_without_pin)):
                user = {"uuid": uuid, "username": name, "email": f"{name}@example.org", "password_hash": "$none"}
                insert(store, "users", first_name="A", last_name="B", lang="en", timezone="UTC", is_active=1, **user)
            insert(store, "pins", uuid=str(uuid4()), user_uuid=with_pin, pin_hash=pin_hash)
            insert(store, "phones", mac=phone.mac, model=MODEL, phone_ip=phone.address)
            if phone.number < profiles:
                profile = {"user_uuid": with_pin, "name": "Desk", "cnf_xml": CONFIG.encode(), "compatible_models": "[]"}
                insert(store, "profiles", uuid=str(uuid4()), placeholders=0, **profile)
        store.commit()
    return write_config(workshop)


def insert(store: sqlite3.Connection, table: str, **columns: object) -> None:
    """Insert one row."""
    row = {**columns, "created_at": MOMENT, "updated_at": MOMENT}
    places = ", ".join("?" * len(row))
    store.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", tuple(row.values()))  # noqa: S608 -- no user input


def write_config(workshop: Path) -> Path:
    """Write a config file that enables only the pages, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = workshop / "config.toml"
    file.write_text(
        f'[server]\nhost = "127.0.0.1"\nport = {port}\n[data]\ndir = "{workshop / "data"}"\n'
        "[tftp]\nenabled = false\n[provisioning_http]\nenabled = false\n[ftp]\nenabled = false\n"
        '[phone_http]\ntimeout = 1\n[phone_sip]\ntimeout = 1\n[log]\nlevel = "error"\n'
    )
    (workshop / "port").write_text(str(port))
    return file


@contextmanager
def serving(workshop: Path, config: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run the appliance on one core and this process on the other; yield the server's process and port."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops the server too
    port = int((workshop / "port").read_text())
    with storms.server(storms.appliance(config)) as process:
        os.sched_setaffinity(0, storms.core(storms.LOAD_CORE))
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, FIRST)
        end = time.monotonic() + storms.START_SECONDS
        while True:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            if time.monotonic() > end:
                raise SystemExit("the appliance does not answer")
            time.sleep(0.1)
        yield process, port


@dataclass(frozen=True, slots=True)
class Response:
    """A response and its duration."""

    seconds: float
    head: bytes
    body: bytes

    @property
    def refresh(self) -> str | None:
        """The path of the Refresh header."""
        found = re.search(rb"\r\nRefresh: \d+; url=http://[^/]+(/\S+)", self.head)
        return found[1].decode() if found else None

    @property
    def form(self) -> str:
        """The path of the form."""
        found = re.search(rb"<URL(?: method=\"post\")?>http://[^/]+(/[^<]+)</URL>", self.body)
        if found is None:
            raise SystemExit(f"no form but {self.body!r}")
        return found[1].decode().replace("&amp;", "&")


class Browser:
    """A persistent connection of one phone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @contextlib.asynccontextmanager
    async def at(cls, phone: BenchPhone, port: int) -> AsyncIterator["Browser"]:
        """Connect from the address of ``desk``."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(phone.address, 0))
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def get(self, path: str) -> Response:
        """Load one page."""
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nx-CiscoIPPhoneModelName: {MODEL}\r\n\r\n".encode()
        began = time.perf_counter()
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        body = await self._reader.readexactly(int(length[1]) if length else 0)
        return Response(time.perf_counter() - began, head, body)

    async def submit(self, form: Response, username: str, pin: str) -> Response:
        """Submit a login form."""
        return await self.get(f"{form.form}&user={username}&pin={pin}")
