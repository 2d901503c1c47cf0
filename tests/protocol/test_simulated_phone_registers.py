"""Simulated phones register their first line at the emulated Asterisk and at SIPp."""

import asyncio
import os
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cisisk.model.mac import Mac
from cisisk.simulator.faults import Faults
from cisisk.simulator.fleet import Fleet, build_phones
from cisisk.simulator.models import MODELS
from cisisk.simulator.phone import PhoneState, SimulatedPhone
from cisisk.simulator.tftp_client import TftpRetry
from cisisk.sip import message
from cisisk.sip.message import SipRequest
from tests.protocol.asterisk import AsteriskEmulator, Registered
from tests.protocol.sip_registrar import Binding, SipRegistrar
from tests.protocol.sipp import scenario
from tests.protocol.test_simulated_phone_boot import DEADLINE, QUICK, TftpResponder

NETWORK = f"127.{64 + os.getpid() % 128}.{128 + os.getpid() // 128 % 64}"
ADDRESS = f"{NETWORK}.7"
MAC = Mac.parse("ACBBCCDDEE03")
TIMING = replace(QUICK, registration=2.0, unregister=0.5)
MANY_PHONES_TIMING = replace(TIMING, tftp=TftpRetry(interval=10.0, retries=3), registration=60.0)
MANY_PHONES_DEADLINE = 60.0
SCENARIO = scenario(
    "a registrar that wants credentials",
    "REGISTER",
    realm="sipp",
    username="201",
    password="s3cret",
    header="Reason",
    regexp="Last=[a-z-]*",
    accepted="Expires: 60\n",
)


def config(port: int, line: str = "201", host: str = "127.0.0.1", transport: int = 2) -> bytes:
    return (
        "<device><devicePool><callManagerGroup><members><member priority='0'><callManager>"
        f"<ports><sipPort>{port}</sipPort></ports><processNodeName>{host}</processNodeName>"
        "</callManager></member></members></callManagerGroup></devicePool>"
        "<sipProfile><sipLines><line button='1'><featureID>9</featureID><proxy>USECALLMANAGER</proxy>"
        f"<name>{line}</name><contact>c-{line}</contact><authName>{line}</authName>"
        f"<authPassword>s3cret</authPassword></line></sipLines></sipProfile>"
        f"<transportLayerProtocol>{transport}</transportLayerProtocol></device>"
    ).encode()


@asynccontextmanager
async def started(file: bytes, **options: Any) -> AsyncIterator[tuple[SimulatedPhone, TftpResponder]]:
    """Start a phone whose config is ``file``."""
    async with TftpResponder({MAC.config_name: file}) as server:
        phone = SimulatedPhone(
            MAC,
            MODELS["7965"],
            address=ADDRESS,
            server="127.0.0.1",
            tftp_port=server.port,
            http_port=9,
            web_port=0,
            source_port=0,
            **{"timing": TIMING, **options},
        )
        async with phone:
            await phone.wait_for_boot(1, DEADLINE)
            yield phone, server


@pytest.fixture
async def asterisk() -> AsyncIterator[AsteriskEmulator]:
    async with AsteriskEmulator(sip=SipRegistrar()) as running:
        yield running


def registrar_of(asterisk: AsteriskEmulator) -> SipRegistrar:
    assert asterisk.sip is not None
    return asterisk.sip


@pytest.mark.parametrize("transport", [1, 2])
async def test_phone_registers_its_first_line_with_its_identity(asterisk: AsteriskEmulator, transport: int) -> None:
    sip = registrar_of(asterisk)
    sip.passwords["201"] = "s3cret"
    async with started(config(sip.port, transport=transport), sip_port=5098) as (phone, _):
        await phone.wait_for_registration(DEADLINE)
        (known,) = asterisk.phones
    assert (known.name, known.address, known.call_id) == ("201", ADDRESS, phone.call_id)
    assert known.uri == f"sip:c-201@{ADDRESS}:5098;transport={'tcp' if transport == 1 else 'udp'}"
    first, second = sip.heard
    assert first.get("Authorization") is None
    contact = second.get("Contact") or ""
    assert message.parameter(contact, "+u.sip!devicename.ccm.cisco.com") == f'"{MAC.device_name}"'
    assert message.parameter(contact, "+sip.instance") == f'"<urn:uuid:00000000-0000-0000-0000-{MAC.digits.lower()}>"'
    assert "Last=initialized" in (second.get("Reason") or "")
    assert "s3cret" not in str(second.headers)
    assert phone.is_registered is False


@pytest.mark.parametrize("transport", [1, 2])
async def test_phone_registers_from_the_port_it_listens_on(asterisk: AsteriskEmulator, transport: int) -> None:
    sip = registrar_of(asterisk)
    bindings: list[Binding] = []
    sip.on_register = bindings.append
    async with started(config(sip.port, transport=transport), sip_port=5098) as (phone, _):
        await phone.wait_for_registration(DEADLINE)
        phone.restart("SIP restart")
        await phone.wait_for_boot(2, DEADLINE)
        await phone.wait_for_registration(DEADLINE)
    assert [(each.address, each.port, each.expires > 0) for each in bindings] == [
        (ADDRESS, 5098, True),
        (ADDRESS, 5098, False),
        (ADDRESS, 5098, True),
    ]


async def test_phone_with_proxy_registers_there(asterisk: AsteriskEmulator) -> None:
    sip = registrar_of(asterisk)
    async with started(config(9, host="192.0.2.1"), sip_proxy=("127.0.0.1", sip.port)) as (phone, _):
        await phone.wait_for_registration(DEADLINE)
        assert [known.call_id for known in asterisk.phones] == [phone.call_id]


async def test_phone_registers_again_after_failure(asterisk: AsteriskEmulator) -> None:
    sip = registrar_of(asterisk)
    sip.refused["201"] = 503
    heard: list[str] = []
    options = {"timing": replace(TIMING, registration_retry=0.01), "on_event": lambda _, text: heard.append(text)}
    async with started(config(sip.port), **options) as (phone, _):
        await _until(lambda: "not registered: refused with 503" in heard)
        sip.refused.clear()
        await phone.wait_for_registration(DEADLINE)


async def test_restart_registers_with_new_call_id(asterisk: AsteriskEmulator) -> None:
    sip = registrar_of(asterisk)
    async with started(config(sip.port)) as (phone, server):
        await phone.wait_for_registration(DEADLINE)
        first = phone.call_id
        server.files[MAC.config_name] = config(sip.port, line="305")
        phone.restart("SIP restart")
        await phone.wait_for_boot(2, DEADLINE)
        await phone.wait_for_registration(DEADLINE)
        assert [(known.name, known.call_id) for known in asterisk.phones] == [("305", phone.call_id)]
        assert phone.call_id != first
    requests = [(request.get("Expires"), request.get("Call-ID"), _last(request)) for request in sip.heard]
    assert requests == [
        ("3600", first, "initialized"),
        ("0", first, "initialized"),
        ("3600", phone.call_id, "reset-restart"),
    ]


def _last(request: SipRequest) -> str:
    match = re.search(r"Last=([a-z-]+)", request.get("Reason") or "")
    assert match
    return match[1]


async def test_notify_through_asterisk_restarts_phone_after_call(asterisk: AsteriskEmulator) -> None:
    sip = registrar_of(asterisk)
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port = probe.getsockname()[1]
    heard: list[str] = []
    async with started(config(sip.port), sip_port=port, on_event=lambda _, text: heard.append(text)) as (phone, _):
        await phone.wait_for_registration(DEADLINE)
        phone.in_call = True
        body = f"action=restart\r\nRegisterCallId={{{phone.call_id}}}\r\n"
        headers = {"event": "service-control", "content-type": "text/plain"}
        sip.notify(asterisk.phones[0].contact, headers, body)
        await _until(lambda: "restart deferred until the call ends (SIP restart)" in heard)
        assert phone.is_registered
        phone.in_call = False
        await phone.wait_for_boot(2, DEADLINE)
        await phone.wait_for_registration(DEADLINE)
        assert _last(sip.heard[-1]) == "reset-restart"


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not is_so():  # noqa: ASYNC110 -- polls state without events
            await asyncio.sleep(0.005)


async def test_registration_refresh_keeps_call_id(
    asterisk: AsteriskEmulator,
) -> None:
    sip = registrar_of(asterisk)
    sip.granted = 1
    async with started(config(sip.port), timing=replace(TIMING, min_refresh=0.01)) as (phone, _):
        await _until(lambda: len(sip.heard) >= 2)
        assert {request.get("Call-ID") for request in sip.heard} == {phone.call_id}
        assert len({request.get("CSeq") for request in sip.heard}) == len(sip.heard)
        assert len(asterisk.phones) == 1


def _deaf(sip: SipRegistrar) -> None:
    sip.deaf = True


def _refusing(sip: SipRegistrar) -> None:
    sip.refused["201"] = 403


def _wrong_password(sip: SipRegistrar) -> None:
    sip.passwords["201"] = "another"


@pytest.mark.parametrize(
    ("happens", "why"), [(_deaf, "no answer"), (_refusing, "refused with 403"), (_wrong_password, "refused with 403")]
)
async def test_phone_without_registration_runs_and_restarts(
    asterisk: AsteriskEmulator, happens: Callable[[SipRegistrar], None], why: str
) -> None:
    sip = registrar_of(asterisk)
    happens(sip)
    heard: list[str] = []
    timing = replace(TIMING, registration=0.7)
    options = {"timing": timing, "on_event": lambda _, text: heard.append(text)}
    async with started(config(sip.port), **options) as (phone, _):
        assert phone.state is PhoneState.RUNNING
        await _until(lambda: f"not registered: {why}" in heard)
        began = time.monotonic()
        phone.restart("SIP reset")
        await phone.wait_for_boot(2, DEADLINE)
        assert time.monotonic() - began < timing.registration
        assert not phone.is_registered
    assert asterisk.phones == []
    assert "0" not in {request.get("Expires") for request in sip.heard}


@pytest.mark.parametrize("transport", [1, 2])
async def test_refused_registration_port_is_reported_at_once(transport: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    heard: list[str] = []
    async with started(config(port, transport=transport), on_event=lambda _, text: heard.append(text)):
        await _until(lambda: any("not registered: " in text for text in heard))
    (message,) = [text for text in heard if "not registered" in text]
    assert "refused" in message.lower()


@pytest.mark.parametrize(
    ("file", "faults"),
    [
        (config(5060, host="192.0.2.1"), Faults()),
        (config(5060, host="pbx.example.org"), Faults()),
        (config(5060, transport=3), Faults()),
        (config(5060), Faults(never_register=True)),
        (b"<device/>", Faults()),
    ],
)
async def test_phone_registers_on_loopback_without_tls_only(file: bytes, faults: Faults) -> None:
    heard: list[str] = []
    async with started(file, faults=faults, on_event=lambda _, text: heard.append(text)) as (phone, _):
        phone.restart("plugged in")
        await phone.wait_for_boot(2, DEADLINE)
    assert not any("registered" in text for text in heard)


async def test_powered_off_phone_does_not_unregister(asterisk: AsteriskEmulator) -> None:
    sip = registrar_of(asterisk)
    async with started(config(sip.port)) as (phone, _):
        await phone.wait_for_registration(DEADLINE)
    assert [request.get("Expires") for request in sip.heard] == ["3600"]
    assert [known.name for known in asterisk.phones] == ["201"]


@pytest.mark.slow
async def test_thousand_phones_register_concurrently(asterisk: AsteriskEmulator) -> None:
    sip = registrar_of(asterisk)
    registered: list[Registered] = []
    asterisk.on_register = registered.append
    files: dict[str, bytes] = {}
    async with TftpResponder(files) as server, AsyncExitStack() as stack:
        phones = build_phones(
            1000,
            MODELS["7940"],
            first_mac=MAC,
            network=f"127.{64 + os.getpid() % 128}.64.0/18",
            server="127.0.0.1",
            tftp_port=server.port,
            web_port=8099,
            timing=MANY_PHONES_TIMING,
        )
        for number, phone in enumerate(phones):
            files[phone.mac.config_name] = config(sip.port, line=str(1000 + number))
        await stack.enter_async_context(Fleet(phones))
        for phone in phones:
            await phone.wait_for_registration(MANY_PHONES_DEADLINE)
        assert len({known.call_id for known in asterisk.phones}) == len(registered) == 1000


@pytest.mark.needs("sipp")
@pytest.mark.parametrize("transport", [1, 2])
async def test_sipp_registrar_accepts_credentials(tmp_path: Path, transport: int) -> None:
    script, said = tmp_path / "registrar.xml", tmp_path / "said"
    script.write_text(SCENARIO, "utf-8")
    host = f"{NETWORK}.9"
    process = await asyncio.create_subprocess_exec(
        "sipp", "-sf", str(script), "-i", host, "-p", "5097", "-m", "1", "-timeout", f"{DEADLINE:g}",
        "-t", "t1" if transport == 1 else "u1", "-timeout_error", "-nostdin", "-trace_logs", "-log_file", str(said),
        "-deadcall_wait", "0", cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _until(lambda: _listens(host, 5097, socket.SOCK_STREAM if transport == 1 else socket.SOCK_DGRAM))
        async with started(config(5097, host=host, transport=transport)) as (phone, _):
            await phone.wait_for_registration(DEADLINE)
            async with asyncio.timeout(DEADLINE):
                assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    assert said.read_text("utf-8").strip() == "Last=initialized"


def _listens(host: str, port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return True
        return False
