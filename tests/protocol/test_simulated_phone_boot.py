"""Simulated phones against a small TFTP server and an aiohttp one."""

import asyncio
import hashlib
import os
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self

import pytest
from aiohttp import web

from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac
from cisisk.provisioning.tftp import wire
from cisisk.simulator import tftp_client
from cisisk.simulator.boot import BootOutcome, FetchResult, Via
from cisisk.simulator.faults import Faults
from cisisk.simulator.fleet import Fleet, build_phones
from cisisk.simulator.models import MODELS
from cisisk.simulator.phone import PhoneState, SimulatedPhone
from cisisk.simulator.tftp_client import TftpRetry
from cisisk.simulator.tftp_download import FileAbsent, TransferFailed
from cisisk.simulator.timing import Timing

HOST = "127.0.0.1"
NETWORK = f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}"
"""A network per process: source ports are fixed, and tests run in parallel."""
PHONE = f"{NETWORK}.7"
FLEET_NETWORK = f"{NETWORK}.16/28"
MAC = Mac.parse("ACBBCCDDEE02")
CTL, ITL, SEP = f"CTLSEP{MAC.digits}.tlv", f"ITLSEP{MAC.digits}.tlv", MAC.config_name
CONFIG = b"<device><vendorConfig><webAccess>0</webAccess></vendorConfig></device>"
QUICK = Timing(tftp=TftpRetry(interval=5.0, retries=3), http=5.0, authentication=5.0, offline=0.01, boot_pause=0.01)
"""Short pauses, but long retry intervals: a repeated request would get two answers on a slow machine, and the phone
would take the second one as the answer for its next file."""
SHORT_RETRIES = replace(QUICK, tftp=TftpRetry(interval=0.1, retries=3))
"""Short retry intervals, for tests that lose packets."""
DEADLINE = 20.0


@dataclass
class TftpResponder:
    """Serves ``files`` in 512-byte blocks, each transfer from a new port, optionally with faults."""

    files: dict[str, bytes]
    lose_requests: int = 0
    lose_blocks: bool = False
    duplicate: bool = False
    stray: bool = False
    errors: Mapping[str, int] = field(default_factory=dict)
    requests: list[tuple[str, tuple[str, int]]] = field(default_factory=list)
    stray_answers: list[wire.Packet] = field(default_factory=list)
    retransmits: int = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._sock = self._bound()
        self._transfers = asyncio.TaskGroup()
        await self._transfers.__aenter__()
        self._listener = self._transfers.create_task(self._listen())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._listener.cancel()
        await self._transfers.__aexit__(None, None, None)
        self._sock.close()

    @property
    def port(self) -> int:
        return int(self._sock.getsockname()[1])

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.requests]

    def _bound(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(0)
        sock.bind((HOST, 0))
        return sock

    async def _listen(self) -> None:
        while True:
            datagram, peer = await self._loop.sock_recvfrom(self._sock, 1024)
            request = wire.parse(datagram)
            assert isinstance(request, wire.TftpRequest)
            assert request.mode == "octet"
            self.requests.append((request.name, peer))
            if self.lose_requests:
                self.lose_requests -= 1
                continue
            self._transfers.create_task(self._transfer(request.name, peer))

    async def _transfer(self, name: str, peer: tuple[str, int]) -> None:
        with self._bound() as sock:
            if name in self.errors:
                await self._loop.sock_sendto(sock, wire.error(wire.ErrorCode(self.errors[name]), "no"), peer)
            elif name not in self.files:
                await self._loop.sock_sendto(sock, wire.error(wire.ErrorCode.NOT_FOUND, "absent"), peer)
            else:
                await self._send(sock, self.files[name], peer)

    async def _send(self, sock: socket.socket, content: bytes, peer: tuple[str, int]) -> None:
        for number in range(1, len(content) // 512 + 2):
            if self.stray and number == 2:
                await self._send_stray(peer)
            block = wire.data(number, content[(number - 1) * 512 : number * 512])
            for attempt in range(10):
                self.retransmits += attempt > 0
                for _ in range(not (self.lose_blocks and attempt == 0) and 1 + self.duplicate):
                    await self._loop.sock_sendto(sock, block, peer)
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.15):
                        while (answer := wire.parse(await self._loop.sock_recv(sock, 1024))) != wire.Ack(number):
                            if isinstance(answer, wire.Error):
                                return
                    break

    async def _send_stray(self, peer: tuple[str, int]) -> None:
        with self._bound() as sock:
            await self._loop.sock_sendto(sock, wire.data(2, b"stray"), peer)
            async with asyncio.timeout(DEADLINE):
                self.stray_answers.append(wire.parse(await self._loop.sock_recv(sock, 1024)))


@dataclass
class HttpProvisioning:
    """Serves ``files`` over HTTP; a name in ``statuses`` gets that status."""

    files: dict[str, bytes]
    statuses: Mapping[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    models: set[str | None] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{name:.*}", self._get)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.requests.append((name, request.remote))
        self.models.add(request.headers.get("x-CiscoIPPhoneModelName"))
        if name in self.statuses:
            return web.Response(status=self.statuses[name], body=b"nothing a phone wants")
        if name not in self.files:
            raise web.HTTPNotFound
        return web.Response(body=self.files[name])


@pytest.fixture
async def tftp() -> AsyncIterator[TftpResponder]:
    async with TftpResponder({SEP: CONFIG}) as responder:
        yield responder


@pytest.fixture
async def http() -> AsyncIterator[HttpProvisioning]:
    async with HttpProvisioning({SEP: CONFIG}) as provisioning:
        yield provisioning


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


def phone_of(model: str, tftp: TftpResponder, **changes: Any) -> SimulatedPhone:
    wanted: dict[str, Any] = {
        "address": PHONE,
        "server": HOST,
        "tftp_port": tftp.port,
        "http_port": changes.pop("http_port", 0) or closed_port(),
        "web_port": 0,
        "timing": QUICK,
    }
    return SimulatedPhone(MAC, MODELS[model], **(wanted | changes))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def fetched(tftp: TftpResponder, name: str, **changes: Any) -> bytes:
    return await tftp_client.fetch(
        name, server=(HOST, tftp.port), local=(PHONE, 0), retry=SHORT_RETRIES.tftp, **changes
    )


# One file


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024, 5000])
async def test_tftp_fetch_of_any_size_is_complete(tftp: TftpResponder, size: int) -> None:
    tftp.files["f"] = bytes(number % 256 for number in range(size))
    assert await fetched(tftp, "f") == tftp.files["f"]


@pytest.mark.parametrize(
    "trouble", [{"lose_requests": 2}, {"lose_blocks": True}, {"duplicate": True}, {"stray": True}], ids=str
)
async def test_tftp_fetch_survives_lost_and_repeated_packets(tftp: TftpResponder, trouble: dict[str, Any]) -> None:
    tftp.files["f"] = bytes(range(256)) * 5
    for name, value in trouble.items():
        setattr(tftp, name, value)
    assert await fetched(tftp, "f") == tftp.files["f"]
    assert all(answer == wire.Error(5, "Unknown transfer ID") for answer in tftp.stray_answers)
    assert len(tftp.stray_answers) == tftp.stray


async def test_tftp_fetch_from_silent_server_retries_until_limit(tftp: TftpResponder) -> None:
    tftp.lose_requests = 100
    with pytest.raises(TransferFailed, match="no answer"):
        await fetched(tftp, "f")
    assert tftp.names == ["f"] * (1 + SHORT_RETRIES.tftp.retries)
    assert len({peer for _, peer in tftp.requests}) == 1


async def test_tftp_fetch_repeats_lost_last_acknowledgement(tftp: TftpResponder) -> None:
    tftp.files["f"] = b"x" * 600
    assert await fetched(tftp, "f", lose_last_ack=True) == tftp.files["f"]
    assert tftp.retransmits == 1


async def test_tftp_fetch_distinguishes_absence_from_errors(tftp: TftpResponder) -> None:
    tftp.errors = {"denied": 2}
    with pytest.raises(FileAbsent):
        await fetched(tftp, "absent")
    with pytest.raises(TransferFailed, match="error 2"):
        await fetched(tftp, "denied")


async def test_tftp_fetch_with_source_port_in_use_fails(tftp: TftpResponder) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((PHONE, 0))
        with pytest.raises(TransferFailed, match=f"{re.escape(PHONE)} port"):
            await tftp_client.fetch("f", server=(HOST, tftp.port), local=other.getsockname(), retry=SHORT_RETRIES.tftp)


# One boot


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("7940", [CTL, SEP]),
        ("7942", [CTL, ITL, "ITLFile.tlv", SEP]),
        ("7970", [CTL, "CTLFile.tlv", SEP]),
        ("7965", [CTL, ITL, "ITLFile.tlv", SEP]),
        ("8845", [CTL, ITL, "ITLFile.tlv", SEP]),
        ("8851", [CTL, ITL, "ITLFile.tlv", SEP]),
        ("9971", [CTL, ITL, "ITLFile.tlv", SEP]),
    ],
)
async def test_model_requests_its_names_in_order_from_its_port(
    tftp: TftpResponder, model: str, names: list[str]
) -> None:
    boot = await phone_of(model, tftp).boot()
    assert boot.outcome is BootOutcome.CONFIGURED
    assert boot.names == tftp.names == names
    assert {peer for _, peer in tftp.requests} == {(PHONE, MODELS[model].source_port)}


@pytest.mark.parametrize("model", [name for name, model in MODELS.items() if not model.http_first])
async def test_old_model_does_not_request_over_http(tftp: TftpResponder, http: HttpProvisioning, model: str) -> None:
    boot = await phone_of(model, tftp, http_port=http.port).boot()
    assert boot.outcome is BootOutcome.CONFIGURED
    assert http.requests == []


async def test_file_served_over_http_is_not_requested_over_tftp(tftp: TftpResponder, http: HttpProvisioning) -> None:
    http.files = {CTL: b"", ITL: b"", SEP: CONFIG}
    phone = phone_of("8851", tftp, http_port=http.port)
    boot = await phone.boot()
    assert [(attempt.via, attempt.result) for attempt in boot.attempts] == [(Via.HTTP, FetchResult.RECEIVED)] * 3
    assert http.requests == [(name, PHONE) for name in (CTL, ITL, SEP)]
    assert http.models == {"CP-8851"}
    assert tftp.requests == []
    assert phone.config == CONFIG


@pytest.mark.parametrize("status", [404, 403, 500, 301])
async def test_file_not_served_over_http_is_requested_over_tftp(
    tftp: TftpResponder, http: HttpProvisioning, status: int
) -> None:
    http.statuses = {SEP: status}
    boot = await phone_of("8851", tftp, http_port=http.port).boot()
    by_http, by_tftp = boot.attempts[-2:]
    assert (by_http.via, by_http.result) == (Via.HTTP, FetchResult.ABSENT if status == 404 else FetchResult.FAILED)
    assert (by_tftp.via, by_tftp.result, by_tftp.size) == (Via.TFTP, FetchResult.RECEIVED, len(CONFIG))


async def test_closed_http_port_is_tried_once_per_file(tftp: TftpResponder) -> None:
    boot = await phone_of("8851", tftp).boot()
    assert [attempt.result for attempt in boot.attempts if attempt.via is Via.HTTP] == [FetchResult.REFUSED] * 4
    assert boot.outcome is BootOutcome.CONFIGURED


async def test_phone_without_config_requests_default(tftp: TftpResponder) -> None:
    tftp.files = {"XMLDefault.cnf.xml": b"<Default/>"}
    phone = phone_of("7940", tftp)
    boot = await phone.boot()
    assert tftp.names == [CTL, SEP, "XMLDefault.cnf.xml"]
    assert (boot.outcome, boot.config_name) == (BootOutcome.CONFIGURED, "XMLDefault.cnf.xml")
    assert phone.config == b"<Default/>"


async def test_phone_without_a_new_config_keeps_the_old_one(tftp: TftpResponder) -> None:
    phone = phone_of("7940", tftp)
    await phone.boot()
    tftp.files = {}
    assert (await phone.boot()).outcome is BootOutcome.NO_CONFIG
    assert phone.config == CONFIG


@pytest.mark.parametrize("broken", [CONFIG[:30], b"", b"<html>404</html>"], ids=["half", "empty", "a web page"])
async def test_phone_with_broken_new_config_keeps_old_one(tftp: TftpResponder, broken: bytes) -> None:
    phone = phone_of("7940", tftp)
    await phone.boot()
    tftp.files[SEP] = broken
    boot = await phone.boot()
    assert (boot.outcome, boot.config_name) == (BootOutcome.XML_ERROR, SEP)
    assert boot.problem
    assert phone.config_sha256 == sha256(CONFIG)


async def test_files_named_in_config_are_requested_after_it(tftp: TftpResponder) -> None:
    tftp.files[SEP] = b"""<device><loadInformation>SCCP42.9-9</loadInformation>
        <userLocale><name/></userLocale><networkLocale>United Kingdom</networkLocale>
        <dialTemplate>dialplan.xml</dialTemplate><softKeyFile>keys.xml</softKeyFile></device>"""
    phone = phone_of("7942", tftp)
    boot = await phone.boot()
    assert boot.outcome is BootOutcome.CONFIGURED
    assert tftp.names[4:] == [
        "SCCP42.9-9.loads",
        "/mk-sccp.jar",
        "United Kingdom/g3-tones.xml",
        "keys.xml",
        "dialplan.xml",
    ]
    assert phone.load == MODELS["7942"].load


async def test_unusual_file_name_is_quoted_in_http_path(tftp: TftpResponder, http: HttpProvisioning) -> None:
    http.files[SEP] = b"""<device><userLocale><name/></userLocale>
        <networkLocale>United Kingdom</networkLocale></device>"""
    await phone_of("8851", tftp, http_port=http.port).boot()
    assert [name for name, _ in http.requests][-2:] == ["sl-be-sip.jar", "United Kingdom/g3-tones.xml"]


async def test_running_firmware_is_not_requested(tftp: TftpResponder) -> None:
    tftp.files[SEP] = f"<device><loadInformation>{MODELS['7940'].load}</loadInformation></device>".encode()
    await phone_of("7940", tftp).boot()
    assert tftp.names == [CTL, SEP]


async def test_new_firmware_causes_second_boot(tftp: TftpResponder) -> None:
    tftp.files |= {SEP: b"<device><loadInformation>P003081</loadInformation></device>", "P003081.loads": b"image"}
    async with phone_of("7940", tftp) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        assert [boot.outcome for boot in phone.boots] == [BootOutcome.UPGRADED, BootOutcome.CONFIGURED]
        assert phone.load == "P003081"
    assert tftp.names == [CTL, SEP, "P003081.loads", CTL, SEP]


async def test_last_acknowledgement_is_repeated_only_after_first_boot(tftp: TftpResponder) -> None:
    phone = phone_of("7940", tftp, faults=Faults(lose_last_ack=True))
    await phone.boot()
    await phone.boot()
    assert phone.config == CONFIG
    assert tftp.retransmits == 1


# Life cycle


async def test_boot_with_silent_server_repeats_until_answered(tftp: TftpResponder) -> None:
    tftp.lose_requests = 1 + SHORT_RETRIES.tftp.retries
    async with phone_of("7940", tftp, timing=SHORT_RETRIES) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        assert [boot.outcome for boot in phone.boots] == [BootOutcome.TRANSFER_FAILED, BootOutcome.CONFIGURED]


async def test_restart_fetches_new_config_from_same_port(tftp: TftpResponder) -> None:
    async with phone_of("7940", tftp) as phone:
        await phone.wait_for_config(sha256(CONFIG), DEADLINE)
        tftp.files[SEP] = new = b"<device><loadInformation/></device>"
        phone.restart("a test")
        await phone.wait_for_config(sha256(new), DEADLINE)
        assert phone.runs == 2
    assert {peer for _, peer in tftp.requests} == {(PHONE, 49152)}
    assert phone.state is PhoneState.OFF


async def test_flash_content_survives_power_cut(tftp: TftpResponder) -> None:
    phone = phone_of("7940", tftp)
    async with phone:
        await phone.wait_for_boot(1, DEADLINE)
    tftp.files = {}
    async with phone:
        await phone.wait_for_boot(2, DEADLINE)
        assert phone.config == CONFIG


async def test_two_phones_boot_from_same_port_on_two_addresses(tftp: TftpResponder) -> None:
    second = Mac.parse("ACBBCCDDEE03")
    tftp.files[second.config_name] = other = b"<device><!-- another --></device>"
    tftp.duplicate = True
    wanted: dict[str, Any] = {"server": HOST, "tftp_port": tftp.port, "web_port": 0, "timing": QUICK}
    async with (
        SimulatedPhone(MAC, MODELS["7940"], address=PHONE, **wanted) as one,
        SimulatedPhone(second, MODELS["7940"], address=f"{NETWORK}.9", **wanted) as two,
    ):
        await one.wait_for_config(sha256(CONFIG), DEADLINE)
        await two.wait_for_config(sha256(other), DEADLINE)
    assert {peer for _, peer in tftp.requests} == {(PHONE, 49152), (f"{NETWORK}.9", 49152)}


async def test_phone_powered_off_during_boot_stops(tftp: TftpResponder) -> None:
    tftp.lose_requests = 1000
    phone = phone_of("7940", tftp)
    phone.start()
    await phone.wait_until(lambda: phone.state is PhoneState.BOOTING, DEADLINE, "boots")
    await phone.stop()
    assert phone.state is PhoneState.OFF
    assert phone.boots == []


async def test_running_phone_cannot_be_started_again(tftp: TftpResponder) -> None:
    async with phone_of("7940", tftp) as phone:
        with pytest.raises(RuntimeError, match="already on"):
            phone.start()
        with pytest.raises(RuntimeError, match="already on"):
            await phone.boot()


async def test_wait_timeout_names_state_of_phone(tftp: TftpResponder) -> None:
    async with phone_of("7940", tftp) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        with pytest.raises(TimeoutError, match=r"has booted 2 times; state=running runs=1"):
            await phone.wait_for_boot(2, 0.01)


async def test_web_port_in_use_fails_wait_and_stop(tftp: TftpResponder) -> None:
    with socket.create_server((PHONE, 0)) as other:
        phone = phone_of("7940", tftp, web_port=other.getsockname()[1])
        phone.start()
        with pytest.raises(RuntimeError, match="has failed"):
            await phone.wait_for_boot(1, DEADLINE)
        with pytest.raises(OSError, match="address already in use"):
            await phone.stop()


# Fleets


async def test_fleet_boots_and_reports_all_phones(tftp: TftpResponder) -> None:
    heard: set[tuple[str, str]] = set()
    phones = build_phones(
        12,
        MODELS["7940"],
        first_mac=MAC,
        network=FLEET_NETWORK,
        server=HOST,
        tftp_port=tftp.port,
        web_port=0,
        timing=QUICK,
        on_event=lambda phone, text: heard.add((phone.device_name, text)),
    )
    for phone in phones:
        tftp.files[phone.mac.config_name] = f"<device>{phone.mac}</device>".encode()
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(DEADLINE):
            fleet = await stack.enter_async_context(Fleet(phones, concurrency=3))
        assert {phone.state for phone in fleet.phones} == {PhoneState.RUNNING}
    assert {peer for _, peer in tftp.requests} == {(f"{NETWORK}.{host}", 49152) for host in range(17, 29)}
    assert {(phone.device_name, "boot: configured") for phone in phones} <= heard
    assert {phone.state for phone in phones} == {PhoneState.OFF}


async def test_fleet_with_silent_server_keeps_booting(tftp: TftpResponder) -> None:
    tftp.lose_requests = 1000
    phones = build_phones(
        3, MODELS["7940"], first_mac=MAC, network=FLEET_NETWORK, server=HOST, tftp_port=tftp.port, timing=SHORT_RETRIES
    )
    async with asyncio.timeout(DEADLINE), Fleet(phones, concurrency=1) as fleet:
        assert all(phone.boots[0].outcome is BootOutcome.TRANSFER_FAILED for phone in fleet.phones)


async def test_fleet_with_a_failed_phone_does_not_start(tftp: TftpResponder) -> None:
    with socket.create_server((f"{NETWORK}.18", 0)) as other:
        phones = build_phones(
            3,
            MODELS["7940"],
            first_mac=MAC,
            network=FLEET_NETWORK,
            server=HOST,
            tftp_port=tftp.port,
            web_port=other.getsockname()[1],
            timing=QUICK,
        )
        with pytest.raises(ExceptionGroup):
            await Fleet(phones).__aenter__()
    assert {phone.state for phone in phones} == {PhoneState.OFF}


@pytest.mark.parametrize(
    ("network", "first"), [("127.0.9.0/30", MAC), ("nonsense", MAC), ("127.0.9.0/24", Mac.parse("FEFFFFFFFFFE"))]
)
def test_fleet_with_invalid_network_is_refused(network: str, first: Mac) -> None:
    with pytest.raises(Invalid):
        build_phones(3, MODELS["7940"], first_mac=first, network=network, server=HOST)
