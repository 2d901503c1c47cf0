"""A switch that restarts the phone through Asterisk: each method, each refusal, and what is tried then."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cisisk.appliance.limits import DEFAULT_LIMITS, Limits
from cisisk.model.codes.asterisk import AsteriskProblem
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.notice import NoticeCode
from cisisk.pbx.connection import AsteriskLimits
from cisisk.simulator.faults import Faults
from cisisk.simulator.phone import PhoneState, SimulatedPhone
from tests.e2e.premises import Site, opened, settings_for, until
from tests.notices import codes_in
from tests.patience import PATIENCE
from tests.protocol.asterisk import SECRET, USERNAME, AsteriskEmulator, Device, Registered

PEER = "201"
CALL_ID = "001122-33445566-abcdef01@127.0.0.9"


@dataclass
class Premises:
    """A site whose phone runs profile 201 and is registered at an Asterisk; 305 is what it is switched to."""

    site: Site
    asterisk: AsteriskEmulator
    phone: SimulatedPhone
    profile: str
    asked: list[str] = field(default_factory=list)

    async def switch(self, profile: str | None = None) -> tuple[str, Any]:
        """What the answer says of the restart, and the deployment."""
        switched = await self.site.switch(profile or self.profile, self.phone.mac)
        return switched["restart"], await self.site.deployment(switched["deployment"])

    async def takes(self, deployment: Any) -> None:
        await self.phone.wait_for_config(deployment["sha256"], PATIENCE)

    def restarts(self, action: str) -> None:
        self.asked.append(action)
        self.phone.restart(action)


@asynccontextmanager
async def premises(
    directory: Path,
    asterisk: AsteriskEmulator,
    *methods: str,
    sccp: bool = False,
    dead: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    **asterisk_set: Any,
) -> AsyncIterator[Premises]:
    async with AsyncExitStack() as stack:
        await asterisk.start()
        if dead:
            await asterisk.stop()
        else:
            stack.push_async_callback(asterisk.stop)
        restart = {"sccp" if sccp else "sip": list(methods)} if methods else {}
        settings = settings_for(
            directory,
            asterisk={
                "host": "127.0.0.1",
                "port": asterisk.port,
                "username": USERNAME,
                "secret": SECRET,
                "channel": asterisk.channel,
                **asterisk_set,
            },
            restart=restart,
        )
        site = await stack.enter_async_context(opened(settings, limits))
        first, second = await site.profile("201"), await site.profile("305")
        # It obeys nobody over HTTP, so that what restarts it is Asterisk.
        phone = await stack.enter_async_context(site.phone(faults=Faults(refuse_restart=True)))
        if sccp:
            await site.data("POST", "/phones", {"mac": str(phone.mac), "software": "SCCP"})
        there = Premises(site, asterisk, phone, second)
        asterisk.phones.append(Registered(PEER, phone.address, CALL_ID, there.restarts))
        asterisk.devices.append(Device(phone.mac.device_name, on_restart=there.restarts))
        await phone.wait_for_boot(1, PATIENCE)
        prepared = await site.switch(first, phone.mac)
        phone.restart("plugged in")
        await phone.wait_for_config(prepared["sha256"], PATIENCE)
        await site.reaches(prepared["deployment"], "fetched")
        await phone.wait_until(lambda: phone.state is PhoneState.RUNNING, PATIENCE, "runs")
        there.asked.clear()
        asterisk.heard.clear()
        yield there


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
async def test_a_registered_phone_restarts_and_takes_its_config(tmp_path: Path, channel: str, method: str) -> None:
    async with premises(tmp_path, AsteriskEmulator(channel=channel, interleaved=True), method) as there:
        restart, deployment = await there.switch()
        assert (restart, deployment["restart_method"]) == ("ok", method)
        await there.takes(deployment)
        assert there.asked == ["restart"]


async def test_an_sccp_phone_is_reset(tmp_path: Path) -> None:
    async with premises(tmp_path, AsteriskEmulator(), sccp=True) as there:
        restart, deployment = await there.switch()
        assert (restart, deployment["restart_method"]) == ("ok", "ami-sccp")
        await there.takes(deployment)
        assert there.asked == ["reset"]


async def test_by_default_asterisk_is_asked_first(tmp_path: Path) -> None:
    async with premises(tmp_path, AsteriskEmulator()) as there:
        restart, deployment = await there.switch()
        assert (restart, deployment["restart_method"]) == ("ok", "ami-pjsip")
        # The served config names the endpoint: nobody has to list them all.
        assert [action for action, _ in there.asterisk.heard] == ["pjsipshowendpoint", "pjsipnotify"]


async def test_the_old_format_of_a_command_s_answer_is_understood(tmp_path: Path) -> None:
    emulator = AsteriskEmulator(channel="sip", old_commands=True)
    async with premises(tmp_path, emulator, "ami-command") as there:
        restart, deployment = await there.switch()
        assert restart == "ok"
        await there.takes(deployment)


async def test_who_the_phone_is_was_asked_before_the_file_changed(tmp_path: Path) -> None:
    async with premises(tmp_path, AsteriskEmulator(), "ami-pjsip") as there:
        served: list[bytes] = []
        answer = there.asterisk.phones[0]

        class Watched(str):
            """A name that tells what is served when it is asked for."""

            __slots__ = ()

            def __eq__(self, other: object) -> bool:
                served.append((there.site.root / there.phone.mac.config_name).read_bytes())
                return str.__eq__(self, other)

            __hash__ = str.__hash__

        answer.name = Watched(PEER)
        await there.switch()
        assert served[0] == there.site.config("201").encode()


async def test_a_phone_that_runs_another_line_than_the_served_one_is_found_by_its_address(tmp_path: Path) -> None:
    async with premises(tmp_path, AsteriskEmulator(), "ami-pjsip") as there:
        there.asterisk.phones[0].name = "777"
        there.asterisk.phones.append(Registered(PEER, "127.0.0.77", "other@127.0.0.77"))
        restart, deployment = await there.switch()
        assert restart == "ok"
        await there.takes(deployment)
        assert there.asterisk.asked("pjsipnotify")[0]["Endpoint"] == "777"


@pytest.mark.parametrize("channel", ["pjsip", "sip"])
async def test_two_registrations_at_one_address_are_told_and_none_is_guessed(tmp_path: Path, channel: str) -> None:
    async with premises(tmp_path, AsteriskEmulator(channel=channel), "ami-pjsip", "ami-sip") as there:
        there.asterisk.phones[0].name = "777"
        there.asterisk.phones.append(Registered("888", there.phone.address, "another", there.restarts))
        _, deployment = await there.switch()
        ambiguous = RestartRefusal.REGISTRATION_AMBIGUOUS.notice(address=there.phone.address, names="777, 888")
        assert ambiguous.plain() in reasons(deployment)
        assert deployment["state"] == "waiting"
        assert there.asked == []


async def test_an_endpoint_that_is_registered_twice_from_one_address_is_not_guessed(tmp_path: Path) -> None:
    async with premises(tmp_path, AsteriskEmulator(), "ami-pjsip") as there:
        there.asterisk.phones.append(Registered(PEER, there.phone.address, "another", there.restarts))
        _, deployment = await there.switch()
        assert RestartRefusal.REGISTERED_TWICE in codes_in(deployment["restart_detail"])
        assert there.asked == []


async def test_a_contact_that_has_gone_is_not_counted(tmp_path: Path) -> None:
    async with premises(tmp_path, AsteriskEmulator(), "ami-pjsip") as there:
        stale = Registered(PEER, there.phone.address, "before", there.restarts, status="Unreachable")
        there.asterisk.phones.append(stale)
        assert (await there.switch())[0] == "ok"


async def test_a_shared_endpoint_restarts_only_the_phone_that_is_meant(tmp_path: Path) -> None:
    async with premises(tmp_path, AsteriskEmulator(), "ami-pjsip") as there:
        others: list[str] = []
        there.asterisk.phones.append(Registered(PEER, "127.0.0.77", "x@127.0.0.77", others.append))
        restart, deployment = await there.switch()
        assert restart == "ok"
        await there.takes(deployment)
        assert others == []


def reasons(deployment: Any) -> list[Any]:
    """Why the methods were refused, as notices."""
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
    ("channel", "method", "happens", "reason"),
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
    tmp_path: Path, channel: str, method: str, happens: Callable[[AsteriskEmulator], None], reason: NoticeCode
) -> None:
    async with premises(tmp_path, AsteriskEmulator(channel=channel), method) as there:
        happens(there.asterisk)
        restart, deployment = await there.switch()
        assert reason in codes_in(deployment["restart_detail"])
        assert SECRET not in restart
        assert (deployment["state"], deployment["restart_method"]) == ("waiting", None)
        assert there.asked == []


def _device_unknown(asterisk: AsteriskEmulator) -> None:
    asterisk.devices.clear()


def _device_unregistered(asterisk: AsteriskEmulator) -> None:
    asterisk.devices[0].registered = False


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (_device_unknown, RestartRefusal.SCCP_UNKNOWN_DEVICE),
        (_device_unregistered, RestartRefusal.SCCP_NOT_REGISTERED),
        (_deny("sccplistdevices"), AsteriskProblem.PERMISSION_DENIED),
        (_deny("sccpdevicerestart"), AsteriskProblem.PERMISSION_DENIED),
    ],
)
async def test_why_chan_sccp_did_not_reset_a_phone_is_said_and_the_next_method_is_tried(
    tmp_path: Path, happens: Callable[[AsteriskEmulator], None], reason: NoticeCode
) -> None:
    async with premises(tmp_path, AsteriskEmulator(), sccp=True) as there:
        happens(there.asterisk)
        _, deployment = await there.switch()
        assert {reason, RestartRefusal.ITEM_UNKNOWN} <= codes_in(deployment["restart_detail"])
        assert there.asked == []


async def test_a_call_is_ended_by_no_method(tmp_path: Path) -> None:
    async with premises(tmp_path, AsteriskEmulator(), sccp=True) as there:
        there.asterisk.devices[0].active = True
        runs = there.phone.runs
        _, deployment = await there.switch()
        assert [(each["method"], each["code"]) for each in deployment["restart_detail"]] == [
            ("ami-sccp", RestartRefusal.IN_CALL)
        ]
        assert there.phone.runs == runs
        assert there.asterisk.asked("sccpdevicerestart") == []


async def test_the_next_method_is_tried_and_the_one_that_worked_is_recorded(tmp_path: Path) -> None:
    emulator = AsteriskEmulator(channel="sip", patched=False)
    async with premises(tmp_path, emulator, "ami-pjsip", "ami-sip", "ami-command") as there:
        restart, deployment = await there.switch()
        assert (restart, deployment["restart_method"]) == ("ok", "ami-command")
        await there.takes(deployment)


async def test_a_dead_asterisk_holds_up_neither_the_start_nor_a_switch_and_is_used_when_it_comes(
    tmp_path: Path,
) -> None:
    async with premises(tmp_path, AsteriskEmulator(), "ami-pjsip", "cgi-init-restart", dead=True) as there:
        health = await there.site.data("GET", "/health")
        assert (health["status"], health["asterisk"]) == ("ok", "failed")
        _, deployment = await there.switch()
        assert [(each["method"], each["code"]) for each in deployment["restart_detail"]] == [
            ("ami-pjsip", AsteriskProblem.CONNECTION_FAILED),
            ("cgi-init-restart", RestartRefusal.ITEM_UNKNOWN),
        ]
        async with there.asterisk:
            await until(lambda: there.site.data("GET", "/health"), lambda found: found["asterisk"] == "ok")
            restart, deployment = await there.switch()
            assert restart == "ok"
            await there.takes(deployment)
        await until(lambda: there.site.data("GET", "/health"), lambda found: found["asterisk"] == "failed")


@pytest.mark.parametrize("action", ["pjsipshowendpoint", "pjsipnotify"])
async def test_a_connection_that_is_lost_in_the_middle_is_told(tmp_path: Path, action: str) -> None:
    async with premises(tmp_path, AsteriskEmulator(), "ami-pjsip", "ami-sip") as there:
        there.asterisk.cut.add(action)
        _, deployment = await there.switch()
        assert deployment["restart_detail"][0]["code"] == AsteriskProblem.CONNECTION_LOST


async def test_an_asterisk_that_is_slow_is_waited_for_and_one_that_is_silent_is_not(
    tmp_path: Path,
) -> None:
    limits = Limits(identify_seconds=0.5, asterisk=AsteriskLimits(action_seconds=0.5))
    async with premises(tmp_path, AsteriskEmulator(slow=0.05), "ami-pjsip", limits=limits) as there:
        assert (await there.switch())[0] == "ok"
        there.asterisk.silent.add("pjsipnotify")
        no_answer = AsteriskProblem.NO_ANSWER.notice(action="PJSIPNotify", seconds=0.5)
        assert no_answer.plain() in reasons((await there.switch())[1])
        there.asterisk.silent.add("pjsipshowendpoint")
        slow = RestartRefusal.ASTERISK_SLOW.notice(seconds=0.5)
        assert slow.plain() in reasons((await there.switch())[1])


async def test_without_an_asterisk_its_methods_are_passed_over_with_a_word(tmp_path: Path) -> None:
    async with premises(tmp_path, AsteriskEmulator(), host="") as there:
        _, deployment = await there.switch()
        assert deployment["restart_detail"][0]["code"] == RestartRefusal.ASTERISK_NOT_SET
        assert "cgi-init-restart" in [refusal["method"] for refusal in deployment["restart_detail"]]
        assert (await there.site.data("GET", "/health"))["asterisk"] == "off"
        assert there.asterisk.logins == 0


async def test_many_switches_share_one_connection(tmp_path: Path) -> None:
    async with premises(tmp_path, AsteriskEmulator(interleaved=True), "ami-pjsip") as there:
        macs = [there.site.new_mac() for _ in range(20)]
        for number, mac in enumerate(macs):
            await there.site.data("POST", "/phones", {"mac": str(mac), "phone_ip": f"127.200.0.{number + 1}"})
            there.asterisk.phones.append(Registered(f"5{number:02}", f"127.200.0.{number + 1}", f"c{number}@x"))
        answers = await asyncio.gather(*(there.site.switch(there.profile, mac) for mac in macs))
        assert [answer["restart"] for answer in answers] == ["ok"] * 20
        assert sorted(asked["Endpoint"] for asked in there.asterisk.asked("pjsipnotify")) == [
            f"5{number:02}" for number in range(20)
        ]
        assert there.asterisk.logins == 1
