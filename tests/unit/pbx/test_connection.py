"""The connection to Asterisk: failures and interleaved responses."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cisisk.config import AsteriskSettings as Settings
from cisisk.model.codes.asterisk import AsteriskProblem
from cisisk.pbx.connection import Asterisk, AsteriskAway, AsteriskLimits, AsteriskRefused
from cisisk.pbx.readiness import BootLimits
from tests.notices import carries
from tests.patience import PATIENCE
from tests.protocol.asterisk import SECRET, USERNAME, AsteriskEmulator, Device, Registered

UNKNOWN_COMMAND = "Invalid/unknown command: Nonsense. Use Action: ListCommands to show available commands."

DEFAULT_LIMITS = AsteriskLimits()


def settings_for(emulator: AsteriskEmulator, *, secret: str = SECRET, tls: bool = False) -> Settings:
    return Settings(host="127.0.0.1", port=emulator.port, username=USERNAME, secret=secret, tls=tls)


@asynccontextmanager
async def connected(settings: Settings, limits: AsteriskLimits = DEFAULT_LIMITS) -> AsyncIterator[Asterisk]:
    asterisk = Asterisk(settings, limits)
    task = asyncio.create_task(asterisk.run())
    try:
        yield asterisk
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110 -- no event for it
            await asyncio.sleep(0.005)


async def until_connected(asterisk: Asterisk, wanted: bool = True) -> None:
    await until(lambda: asterisk.is_connected is wanted)


async def test_answers_reach_their_actions_in_any_order() -> None:
    phones = [Registered(str(number), "127.0.0.9", f"{number}@127.0.0.9") for number in range(100, 120)]
    emulator = AsteriskEmulator(phones=phones, interleaved=True)
    async with emulator, connected(settings_for(emulator)) as asterisk:
        asked = [asterisk.listing("PJSIPShowEndpoint", [("Endpoint", phone.name)]) for phone in phones]
        responses, _ = await asyncio.gather(asyncio.gather(*asked), asterisk.action("Ping"))
    assert [messages[1].get("callid") for messages in responses] == [phone.call_id for phone in phones]
    assert emulator.logins == 1


async def test_secret_is_never_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with AsteriskEmulator() as emulator, connected(settings_for(emulator)) as asterisk:
        await asterisk.action("Ping")
    assert b"Login" in emulator.raw
    assert SECRET.encode() not in emulator.raw
    assert SECRET not in caplog.text + repr(asterisk) + repr(settings_for(emulator))


async def test_wrong_secret_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    async with AsteriskEmulator() as emulator, connected(settings_for(emulator, secret="nonsense")) as asterisk:
        with pytest.raises(AsteriskAway, check=carries(AsteriskProblem.LOGIN_REFUSED)):
            await asterisk.action("Ping")
        await until(lambda: emulator.raw.count(b"Action: Login") >= 2)
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


async def test_asterisk_that_starts_later_is_found() -> None:
    async with AsteriskEmulator() as gone:
        pass
    async with connected(settings_for(gone)) as asterisk:
        with pytest.raises(AsteriskAway, check=carries(AsteriskProblem.CONNECTION_FAILED)):
            await asterisk.action("Ping")
        async with AsteriskEmulator(port=gone.port):
            await until_connected(asterisk)
            assert (await asterisk.action("Ping")).get("ping") == "Pong"


async def test_asterisk_that_restarts_is_found_again() -> None:
    emulator = AsteriskEmulator()
    await emulator.start()
    async with connected(settings_for(emulator)) as asterisk:
        await asterisk.action("Ping")
        await emulator.stop()
        await until_connected(asterisk, wanted=False)
        with pytest.raises(AsteriskAway):
            await asterisk.action("Ping")
        async with AsteriskEmulator(port=emulator.port):
            await until_connected(asterisk)
            await asterisk.action("Ping")


async def test_connection_cut_in_an_answer_is_no_answer() -> None:
    emulator = AsteriskEmulator(cut={"pjsipshowendpoint"}, phones=[Registered("1001", "127.0.0.9", "a")])
    async with emulator, connected(settings_for(emulator)) as asterisk:
        with pytest.raises(AsteriskAway, check=carries(AsteriskProblem.CONNECTION_LOST, action="PJSIPShowEndpoint")):
            await asterisk.listing("PJSIPShowEndpoint", [("Endpoint", "1001")])
        await until_connected(asterisk)
        await asterisk.action("Ping")


async def test_action_without_an_answer_times_out() -> None:
    limits = AsteriskLimits(action_seconds=0.2)
    async with AsteriskEmulator(silent={"getvar"}) as emulator, connected(settings_for(emulator), limits) as asterisk:
        await until_connected(asterisk)
        with pytest.raises(AsteriskAway, check=carries(AsteriskProblem.NO_ANSWER, action="Getvar", seconds=0.2)):
            await asterisk.action("Getvar", [("Variable", "X")])
        assert (await asterisk.action("Ping")).get("ping") == "Pong"


async def test_asterisk_without_ping_answer_is_reconnected() -> None:
    limits = AsteriskLimits(action_seconds=0.1, ping_seconds=0.05)
    async with AsteriskEmulator(silent={"ping"}) as emulator, connected(settings_for(emulator), limits) as asterisk:
        await until_connected(asterisk)
        await until(lambda: emulator.logins >= 2)
        assert emulator.asked("ping")


async def test_refusal_has_the_message_of_asterisk() -> None:
    async with AsteriskEmulator(denied={"ping"}) as emulator, connected(settings_for(emulator)) as asterisk:
        with pytest.raises(AsteriskRefused, check=carries(AsteriskProblem.REFUSED, said="Permission denied")):
            await asterisk.action("Ping")
        with pytest.raises(AsteriskRefused, check=carries(AsteriskProblem.REFUSED, said=UNKNOWN_COMMAND)):
            await asterisk.action("Nonsense")


async def test_starting_asterisk_is_asked_when_it_has_started() -> None:
    emulator = AsteriskEmulator(starting=True, phones=[Registered("201", "127.0.0.9", "a")])
    async with emulator, connected(settings_for(emulator)) as asterisk:
        await until_connected(asterisk)
        asked = asyncio.create_task(asterisk.listing("PJSIPShowEndpoint", [("Endpoint", "201")]))
        await asyncio.sleep(0)
        emulator.boots()
        assert (await asked)[1].get("callid") == "a"
    assert len(emulator.asked("pjsipshowendpoint")) == 1


async def test_nothing_is_asked_during_a_restart() -> None:
    emulator = AsteriskEmulator()
    limits = AsteriskLimits(action_seconds=0.3, boot=BootLimits(event_seconds=0.0))
    await emulator.start()
    async with connected(settings_for(emulator), limits) as asterisk:
        await until(lambda: asterisk.readiness.is_booted)
        await emulator.stop()
        await until_connected(asterisk, wanted=False)
        async with AsteriskEmulator(port=emulator.port, starting=True) as restarted:
            await until_connected(asterisk)
            with pytest.raises(AsteriskAway, check=carries(AsteriskProblem.NOT_READY)):
                await asterisk.listing("PJSIPShowRegistrationInboundContactStatuses")
            assert restarted.heard == []


_NO_EVENT = AsteriskLimits(action_seconds=2.0, boot=BootLimits(event_seconds=0.05))


async def test_start_without_event_is_waited_for_by_asking_again() -> None:
    emulator = AsteriskEmulator(starting=True, rights=frozenset(), phones=[Registered("201", "127.0.0.9", "a")])
    async with emulator, connected(settings_for(emulator), _NO_EVENT) as asterisk:
        asked = asyncio.create_task(asterisk.listing("PJSIPShowEndpoint", [("Endpoint", "201")]))
        await until(lambda: bool(emulator.asked("pjsipshowendpoint")))
        emulator.boots()
        assert (await asked)[1].get("callid") == "a"


@pytest.mark.parametrize("is_starting", [True, False])
async def test_unknown_action_of_starting_or_stopping_asterisk_is_no_refusal(is_starting: bool) -> None:
    emulator = AsteriskEmulator(starting=is_starting, rights=frozenset())
    limits = AsteriskLimits(action_seconds=0.5, boot=BootLimits(event_seconds=0.05))
    async with emulator, connected(settings_for(emulator), limits) as asterisk:
        if not is_starting:
            await asterisk.listing("PJSIPShowRegistrationInboundContactStatuses")
            emulator.unloaded.add("pjsipshowregistrationinboundcontactstatuses")
        with pytest.raises(AsteriskAway, check=carries(AsteriskProblem.NOT_READY)):
            await asterisk.listing("PJSIPShowRegistrationInboundContactStatuses")


async def test_stopping_asterisk_refuses_nothing() -> None:
    limits = AsteriskLimits(action_seconds=0.5)
    async with AsteriskEmulator() as emulator, connected(settings_for(emulator), limits) as asterisk:
        await until_connected(asterisk)
        emulator.stopping = True
        with pytest.raises(AsteriskAway, check=carries(AsteriskProblem.NOT_READY)):
            await asterisk.action("PJSIPNotify")


async def test_connection_that_ends_while_an_action_is_unknown_is_no_refusal() -> None:
    emulator = AsteriskEmulator(channel="sip")
    async with emulator, connected(settings_for(emulator)) as asterisk:
        asked = asyncio.create_task(asterisk.listing("PJSIPShowRegistrationInboundContactStatuses"))
        await until(lambda: bool(emulator.asked("pjsipshowregistrationinboundcontactstatuses")))
        await emulator.stop()
        with pytest.raises(AsteriskAway):
            await asked


async def test_action_that_stays_unknown_is_refused_at_once_the_second_time() -> None:
    emulator = AsteriskEmulator(channel="sip")
    async with emulator, connected(settings_for(emulator)) as asterisk:
        for _ in range(2):
            with pytest.raises(AsteriskRefused, check=lambda error: error.is_unknown_action):
                await asterisk.action("PJSIPNotify")
            asked = len(emulator.asked("pjsipnotify"))
    assert 3 < asked < 12


async def test_server_that_is_not_asterisk_is_reported() -> None:
    async with AsteriskEmulator(banner="220 ftp ready") as emulator, connected(settings_for(emulator)) as asterisk:
        with pytest.raises(AsteriskAway, check=carries(AsteriskProblem.NOT_AMI)):
            await asterisk.action("Ping")


@pytest.mark.parametrize("host", ["a..b", "x" * 300, "::bad::"])
async def test_impossible_host_is_reported_and_retried(host: str) -> None:
    async with connected(Settings(host=host)) as asterisk:
        with pytest.raises(AsteriskAway, check=carries(AsteriskProblem.CONNECTION_FAILED)):
            await asterisk.action("Ping")


async def test_list_end_without_action_id_finds_its_action() -> None:
    devices = [Device("SEP001122334455"), Device("SEP001122334456", active=True)]
    for run_together in (False, True):
        emulator = AsteriskEmulator(devices=devices, run_together=run_together)
        async with emulator, connected(settings_for(emulator)) as asterisk:
            responses = await asterisk.listing("SCCPListDevices")
        assert [(each.get("objectid"), each.get("active")) for each in responses] == [
            ("SEP001122334455", "No"),
            ("SEP001122334456", "Yes"),
        ]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=asterisk.test"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return certificate


@pytest.mark.needs("openssl")
async def test_tls_needs_a_trusted_certificate(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
    async with AsteriskEmulator(tls=tls) as emulator:
        async with connected(settings_for(emulator, tls=True)) as asterisk:
            with pytest.raises(AsteriskAway, check=carries(AsteriskProblem.CERTIFICATE)):
                await asterisk.action("Ping")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with connected(settings_for(emulator, tls=True)) as asterisk:
            assert (await asterisk.action("Ping")).get("ping") == "Pong"


@pytest.mark.needs("openssl")
async def test_plain_connection_to_tls_port_names_the_setting(certificate: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
    async with AsteriskEmulator(tls=tls) as emulator, connected(settings_for(emulator)) as asterisk:
        with pytest.raises(AsteriskAway, check=carries(AsteriskProblem.NO_GREETING)):
            await asterisk.action("Ping")


async def test_tls_to_plain_port_names_the_setting() -> None:
    async with AsteriskEmulator() as emulator, connected(settings_for(emulator, tls=True)) as asterisk:
        with pytest.raises(AsteriskAway, check=carries(AsteriskProblem.NO_TLS)):
            await asterisk.action("Ping")
