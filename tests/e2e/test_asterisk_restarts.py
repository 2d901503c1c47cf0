"""Switches that restart the phone through Asterisk: each method, each refusal, and the next method."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cisisk.appliance.limits import DEFAULT_LIMITS, Limits
from cisisk.model.codes.asterisk import AsteriskProblem, SetupProblem
from cisisk.model.codes.restart import RestartNotice, RestartRefusal
from cisisk.model.notice import NoticeCode
from cisisk.pbx.connection import AsteriskLimits
from cisisk.simulator.faults import Faults
from cisisk.simulator.phone import PhoneState, SimulatedPhone
from tests.e2e.running_site import Site, asterisk_settings, open_site, settings_for, until
from tests.notices import codes_in
from tests.patience import PATIENCE
from tests.protocol.asterisk import SECRET, AsteriskEmulator, Device, Registered

PEER = "201"
REFUSING = Faults(refuse_restart=True)
CALL_ID = "001122-33445566-abcdef01@127.0.0.9"


@dataclass
class RestartSite:
    """A site with an Asterisk and a registered phone that runs profile 201.

    Attributes:
        profile: the uuid of profile 305, the target of switches.
        asked: the actions that Asterisk sent to the phone.
    """

    site: Site
    asterisk: AsteriskEmulator
    phone: SimulatedPhone
    profile: str
    asked: list[str] = field(default_factory=list)

    async def switch(self, profile: str | None = None, **policy: Any) -> tuple[str, Any]:
        """Switch the phone; return the restart field of the answer and the deployment."""
        body = {"profile_uuid": profile or self.profile, "mac": str(self.phone.mac), "policy": policy}
        switched = await self.site.data("POST", "/phone-profiles/switch", body)
        return switched["restart"], await self.site.deployment(switched["deployment"])

    async def runs(self, deployment: Any) -> None:
        await self.phone.wait_for_config(deployment["sha256"], PATIENCE)

    def restarts(self, action: str) -> None:
        self.asked.append(action)
        self.phone.restart(action)


@asynccontextmanager
async def restart_site(
    directory: Path,
    asterisk: AsteriskEmulator,
    *methods: str,
    sccp: bool = False,
    offline: bool = False,
    faults: Faults = REFUSING,
    limits: Limits = DEFAULT_LIMITS,
    **section: Any,
) -> AsyncIterator[RestartSite]:
    """Run a site with a phone that by default refuses restarts over HTTP, so only Asterisk can restart it."""
    async with AsyncExitStack() as stack:
        await asterisk.start()
        if offline:
            await asterisk.stop()
        else:
            stack.push_async_callback(asterisk.stop)
        restart = {"sccp" if sccp else "sip": list(methods)} if methods else {}
        settings = settings_for(
            directory,
            asterisk=asterisk_settings(asterisk.port, channel=asterisk.channel, **section),
            restart=restart,
        )
        site = await stack.enter_async_context(open_site(settings, limits))
        first, second = await site.profile("201"), await site.profile("305")
        phone = await stack.enter_async_context(site.phone(faults=faults))
        if sccp:
            await site.data("POST", "/phones", {"mac": str(phone.mac), "software": "SCCP"})
        setup = RestartSite(site, asterisk, phone, second)
        asterisk.phones.append(Registered(PEER, phone.address, CALL_ID, setup.restarts))
        asterisk.devices.append(Device(phone.mac.device_name, on_restart=setup.restarts))
        await phone.wait_for_boot(1, PATIENCE)
        prepared = await site.switch(first, phone.mac)
        phone.restart("plugged in")
        await phone.wait_for_config(prepared["sha256"], PATIENCE)
        await site.reaches(prepared["deployment"], "fetched")
        await phone.wait_until(lambda: phone.state is PhoneState.RUNNING, PATIENCE, "runs")
        setup.asked.clear()
        asterisk.heard.clear()
        yield setup


@pytest.mark.parametrize(
    ("channel", "method"),
    [
        ("pjsip", "ami-pjsip"),
        ("sip", "ami-sip"),
        ("usecallmanager", "ami-sip"),
        ("sip", "ami-command"),
        ("usecallmanager", "ami-command"),
    ],
)
async def test_restart_of_registered_phone_succeeds(tmp_path: Path, channel: str, method: str) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(channel=channel, interleaved=True), method) as setup:
        restart, deployment = await setup.switch()
        assert (restart, deployment["restart_method"]) == ("ok", method)
        await setup.runs(deployment)
        assert setup.asked == ["restart"]


async def test_restart_of_sccp_phone_is_a_reset(tmp_path: Path) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(), sccp=True) as setup:
        restart, deployment = await setup.switch()
        assert (restart, deployment["restart_method"]) == ("ok", "ami-sccp")
        await setup.runs(deployment)
        assert setup.asked == ["reset"]


async def test_restart_without_configured_methods_asks_asterisk_first(tmp_path: Path) -> None:
    async with restart_site(tmp_path, AsteriskEmulator()) as setup:
        restart, deployment = await setup.switch()
        assert (restart, deployment["restart_method"]) == ("ok", "ami-pjsip")
        # The served config names the endpoint, so Cisisk does not list all endpoints.
        named = [fields["Endpoint"] for fields in setup.asterisk.asked("PJSIPShowEndpoint")]
        assert named == [PEER, "305"]


async def test_command_response_in_old_format_is_parsed(tmp_path: Path) -> None:
    emulator = AsteriskEmulator(channel="sip", old_commands=True)
    async with restart_site(tmp_path, emulator, "ami-command") as setup:
        restart, deployment = await setup.switch()
        assert restart == "ok"
        await setup.runs(deployment)


async def test_registration_is_read_before_config_changes(tmp_path: Path) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(), "ami-pjsip") as setup:
        served: list[bytes] = []
        answer = setup.asterisk.phones[0]

        class RecordingName(str):
            """An endpoint name that records the served config when Asterisk looks the endpoint up."""

            __slots__ = ()

            def __eq__(self, other: object) -> bool:
                served.append((setup.site.root / setup.phone.mac.config_name).read_bytes())
                return str.__eq__(self, other)

            __hash__ = str.__hash__

        answer.name = RecordingName(PEER)
        await setup.switch()
        assert served[0] == setup.site.config("201").encode()


async def test_phone_with_unserved_line_is_found_by_address(tmp_path: Path) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(), "ami-pjsip") as setup:
        setup.asterisk.phones[0].name = "777"
        setup.asterisk.phones.append(Registered(PEER, "127.0.0.77", "other@127.0.0.77"))
        restart, deployment = await setup.switch()
        assert restart == "ok"
        await setup.runs(deployment)
        assert setup.asterisk.asked("pjsipnotify")[0]["Endpoint"] == "777"


@pytest.mark.parametrize("channel", ["pjsip", "sip"])
async def test_two_registrations_at_one_address_are_ambiguous(tmp_path: Path, channel: str) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(channel=channel), "ami-pjsip", "ami-sip") as setup:
        setup.asterisk.phones[0].name = "777"
        setup.asterisk.phones.append(Registered("888", setup.phone.address, "another", setup.restarts))
        _, deployment = await setup.switch()
        ambiguous = RestartRefusal.REGISTRATION_AMBIGUOUS.notice(address=setup.phone.address, names="777, 888")
        assert ambiguous.plain() in reasons(deployment)
        assert deployment["state"] == "waiting"
        assert setup.asked == []


async def test_notify_that_the_phone_refuses_leads_to_the_next_method(tmp_path: Path) -> None:
    methods = ("ami-pjsip", "cgi-keys", "cgi-init-restart")
    async with restart_site(tmp_path, AsteriskEmulator(), *methods, faults=Faults()) as setup:
        # Asterisk sends the NOTIFY, with the Call-ID of a registration before a power cut.
        setup.asterisk.phones[0].on_notify = lambda _action: None
        restart, deployment = await setup.switch(fetch_seconds=1, retry=False, escalate=False)
        assert (restart, deployment["restart_methods"]) == ("ok", [{"method": "ami-pjsip", "worth": "sent"}])
        await setup.runs(deployment)
        ended = await setup.site.deployment(deployment["uuid"])
        assert ended["restart_methods"][0] == {"method": "ami-pjsip", "worth": "sent"}
        assert ended["restart_methods"][-1]["worth"] == "answered"
        assert ended["tries"] == 1
        codes = [step["code"] for step in ended["steps"] if step["step"] == "restart_accepted"]
        assert codes == [RestartNotice.SENT, RestartNotice.ACCEPTED]
        assert len(setup.asterisk.asked("PJSIPNotify")) == 1


async def test_endpoint_registered_twice_from_one_address_is_refused(tmp_path: Path) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(), "ami-pjsip") as setup:
        setup.asterisk.phones.append(Registered(PEER, setup.phone.address, "another", setup.restarts))
        _, deployment = await setup.switch()
        assert RestartRefusal.REGISTERED_TWICE in codes_in(deployment["restart_detail"])
        assert setup.asked == []


async def test_unreachable_contact_is_ignored(tmp_path: Path) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(), "ami-pjsip") as setup:
        stale = Registered(PEER, setup.phone.address, "before", setup.restarts, status="Unreachable")
        setup.asterisk.phones.append(stale)
        assert (await setup.switch())[0] == "ok"


async def test_shared_endpoint_restarts_only_target_phone(tmp_path: Path) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(), "ami-pjsip") as setup:
        others: list[str] = []
        setup.asterisk.phones.append(Registered(PEER, "127.0.0.77", "x@127.0.0.77", others.append))
        restart, deployment = await setup.switch()
        assert restart == "ok"
        await setup.runs(deployment)
        assert others == []


def reasons(deployment: Any) -> list[Any]:
    """Return the refusals of the methods as notices."""
    return [{name: refusal[name] for name in ("code", "parameters")} for refusal in deployment["restart_detail"]]


def _unregister(asterisk: AsteriskEmulator) -> None:
    asterisk.phones.clear()


def _deny(*actions: str) -> Callable[[AsteriskEmulator], None]:
    return lambda asterisk: asterisk.denied.update(actions)


def _hostile(asterisk: AsteriskEmulator) -> None:
    asterisk.phones[0].call_id = 'x",Request-URI=sip:me@192.0.2.66'


def _no_call_id(asterisk: AsteriskEmulator) -> None:
    asterisk.phones[0].call_id = ""


def _unpatched(asterisk: AsteriskEmulator) -> None:
    asterisk.patched = False


def _no_templates(asterisk: AsteriskEmulator) -> None:
    asterisk.templates = ()


@pytest.mark.parametrize(
    ("channel", "method", "change", "reason"),
    [
        ("pjsip", "ami-pjsip", _unregister, RestartRefusal.NOT_REGISTERED),
        ("pjsip", "ami-pjsip", _deny("pjsipshowendpoint"), AsteriskProblem.PERMISSION_DENIED),
        ("pjsip", "ami-pjsip", _deny("pjsipnotify"), AsteriskProblem.PERMISSION_DENIED),
        ("pjsip", "ami-pjsip", _hostile, RestartRefusal.CALL_ID_UNUSABLE),
        ("pjsip", "ami-pjsip", _no_call_id, RestartRefusal.CALL_ID_NOT_SHOWN),
        ("pjsip", "ami-sip", lambda _: None, RestartRefusal.ASTERISK_CHANNEL),
        ("sip", "ami-pjsip", lambda _: None, RestartRefusal.ASTERISK_CHANNEL),
        ("sip", "ami-sip", _unregister, RestartRefusal.NOT_REGISTERED),
        ("sip", "ami-sip", _unpatched, RestartRefusal.CALL_ID_NOT_SHOWN_BY_CHAN_SIP),
        ("sip", "ami-sip", _deny("sipnotify"), AsteriskProblem.PERMISSION_DENIED),
        ("usecallmanager", "ami-sip", _hostile, RestartRefusal.CALL_ID_UNUSABLE),
        ("sip", "ami-command", _deny("command"), AsteriskProblem.PERMISSION_DENIED),
        ("sip", "ami-command", _no_templates, RestartRefusal.ASTERISK_NO_NOTIFY_TYPE),
    ],
)
async def test_restart_refused_by_asterisk_has_the_reason(
    tmp_path: Path, channel: str, method: str, change: Callable[[AsteriskEmulator], None], reason: NoticeCode
) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(channel=channel), method) as setup:
        change(setup.asterisk)
        restart, deployment = await setup.switch()
        assert reason in codes_in(deployment["restart_detail"])
        assert SECRET not in restart
        assert (deployment["state"], deployment["restart_method"]) == ("waiting", None)
        assert setup.asked == []


def _device_unknown(asterisk: AsteriskEmulator) -> None:
    asterisk.devices.clear()


def _device_unregistered(asterisk: AsteriskEmulator) -> None:
    asterisk.devices[0].registered = False


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_device_unknown, RestartRefusal.SCCP_UNKNOWN_DEVICE),
        (_device_unregistered, RestartRefusal.SCCP_NOT_REGISTERED),
        (_deny("sccplistdevices"), AsteriskProblem.PERMISSION_DENIED),
        (_deny("sccpdevicerestart"), AsteriskProblem.PERMISSION_DENIED),
    ],
)
async def test_reset_refused_by_chan_sccp_tries_next_method(
    tmp_path: Path, change: Callable[[AsteriskEmulator], None], reason: NoticeCode
) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(), sccp=True) as setup:
        change(setup.asterisk)
        _, deployment = await setup.switch()
        assert {reason, RestartRefusal.ITEM_UNKNOWN} <= codes_in(deployment["restart_detail"])
        assert setup.asked == []


async def test_restart_in_call_tries_no_other_method(tmp_path: Path) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(), sccp=True) as setup:
        setup.asterisk.devices[0].active = True
        runs = setup.phone.runs
        _, deployment = await setup.switch()
        assert [(each["method"], each["code"]) for each in deployment["restart_detail"]] == [
            ("ami-sccp", RestartRefusal.IN_CALL)
        ]
        assert setup.phone.runs == runs
        assert setup.asterisk.asked("sccpdevicerestart") == []


async def test_restart_records_first_method_that_works(tmp_path: Path) -> None:
    emulator = AsteriskEmulator(channel="sip", patched=False)
    async with restart_site(tmp_path, emulator, "ami-pjsip", "ami-sip", "ami-command") as setup:
        restart, deployment = await setup.switch()
        assert (restart, deployment["restart_method"]) == ("ok", "ami-command")
        await setup.runs(deployment)


async def test_asterisk_offline_delays_nothing_and_reconnects(
    tmp_path: Path,
) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(), "ami-pjsip", "cgi-init-restart", offline=True) as setup:
        health = await setup.site.data("GET", "/health")
        assert (health["status"], health["asterisk"]) == ("ok", "failed")
        _, deployment = await setup.switch()
        assert [(each["method"], each["code"]) for each in deployment["restart_detail"]] == [
            ("ami-pjsip", AsteriskProblem.CONNECTION_FAILED),
            ("cgi-init-restart", RestartRefusal.ITEM_UNKNOWN),
        ]
        async with setup.asterisk:
            await until(lambda: setup.site.data("GET", "/health"), lambda found: found["asterisk"] == "ok")
            restart, deployment = await setup.switch()
            assert restart == "ok"
            await setup.runs(deployment)
        await until(lambda: setup.site.data("GET", "/health"), lambda found: found["asterisk"] == "failed")


async def test_health_names_a_missing_permission(tmp_path: Path) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(denied={"getvar"}), "ami-pjsip") as setup:
        health = await until(lambda: setup.site.data("GET", "/health"), lambda found: found["asterisk"] == "degraded")
        assert health["status"] == "ok"
        assert codes_in(health) == {SetupProblem.NO_CALLS, AsteriskProblem.PERMISSION_DENIED}


@pytest.mark.parametrize("action", ["pjsipshowendpoint", "pjsipnotify"])
async def test_connection_lost_during_action_is_reported(tmp_path: Path, action: str) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(), "ami-pjsip", "ami-sip") as setup:
        setup.asterisk.cut.add(action)
        _, deployment = await setup.switch()
        assert deployment["restart_detail"][0]["code"] == AsteriskProblem.CONNECTION_LOST


async def test_slow_asterisk_succeeds_and_silent_asterisk_times_out(
    tmp_path: Path,
) -> None:
    limits = Limits(identify_seconds=0.5, asterisk=AsteriskLimits(action_seconds=0.5))
    async with restart_site(tmp_path, AsteriskEmulator(slow=0.05), "ami-pjsip", limits=limits) as setup:
        assert (await setup.switch())[0] == "ok"
        setup.asterisk.silent.add("pjsipnotify")
        no_answer = AsteriskProblem.NO_ANSWER.notice(action="PJSIPNotify", seconds=0.5)
        assert no_answer.plain() in reasons((await setup.switch())[1])
        setup.asterisk.silent.add("pjsipshowendpoint")
        slow = RestartRefusal.ASTERISK_SLOW.notice(seconds=0.5)
        assert slow.plain() in reasons((await setup.switch())[1])


async def test_asterisk_methods_without_asterisk_are_skipped_with_reason(tmp_path: Path) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(), host="") as setup:
        _, deployment = await setup.switch()
        assert deployment["restart_detail"][0]["code"] == RestartRefusal.ASTERISK_NOT_SET
        assert "cgi-init-restart" in [refusal["method"] for refusal in deployment["restart_detail"]]
        assert (await setup.site.data("GET", "/health"))["asterisk"] == "off"
        assert setup.asterisk.logins == 0


async def test_many_switches_share_one_asterisk_connection(tmp_path: Path) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(interleaved=True), "ami-pjsip") as setup:
        macs = [setup.site.new_mac() for _ in range(20)]
        for number, mac in enumerate(macs):
            await setup.site.data("POST", "/phones", {"mac": str(mac), "phone_ip": f"127.200.0.{number + 1}"})
            setup.asterisk.phones.append(Registered(f"5{number:02}", f"127.200.0.{number + 1}", f"c{number}@x"))
        answers = await asyncio.gather(*(setup.site.switch(setup.profile, mac) for mac in macs))
        assert [answer["restart"] for answer in answers] == ["ok"] * 20
        assert sorted(asked["Endpoint"] for asked in setup.asterisk.asked("pjsipnotify")) == [
            f"5{number:02}" for number in range(20)
        ]
        assert setup.asterisk.logins == 1
