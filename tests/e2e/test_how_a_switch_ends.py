"""A switch and what becomes of its phone: simulated phones that register, an Asterisk, and time that runs out."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cisisk.appliance.limits import DEFAULT_LIMITS, Limits
from cisisk.mobility import watcher
from cisisk.model.codes.asterisk import RegistrationEvidence
from cisisk.model.codes.deployment import RollbackRefusal, StepNotice, TimeoutNotice
from cisisk.model.codes.error import ErrorKind
from cisisk.model.errors import StorageFailed
from cisisk.model.mac import Mac
from cisisk.model.messages import render
from cisisk.simulator.faults import Faults
from cisisk.simulator.models import find_model
from cisisk.simulator.phone import PhoneState, SimulatedPhone
from cisisk.store import progress
from tests.e2e.premises import TIMING, Site, config, free_port, opened, settings_for, until
from tests.patience import PATIENCE
from tests.protocol.asterisk import SECRET, USERNAME, AsteriskEmulator
from tests.protocol.sip_registrar import SipRegistrar

ROOT = Path(__file__).parents[2]
SWITCH = "/phone-profiles/switch"
OLD, NEW = "201", "305"
REGISTERS_IN = replace(TIMING, registration=2.0, unregister=0.5)
QUICK: dict[str, Any] = {"fetch_seconds": 1, "register_seconds": 1, "retry": False, "escalate": False}


@dataclass
class Premises:
    """A site with an Asterisk, where phones register."""

    site: Site
    asterisk: AsteriskEmulator

    def config(self, line: str) -> str:
        return config_at(self.asterisk, line)

    async def profile(self, line: str) -> str:
        return await self.site.profile(line, cnf_xml=self.config(line))

    def phone(self, **options: Any) -> SimulatedPhone:
        return self.site.phone("7942", timing=REGISTERS_IN, sip_port=self.site.settings.phone_sip.port, **options)

    @asynccontextmanager
    async def in_service(self, **options: Any) -> AsyncIterator[SimulatedPhone]:
        """A phone that runs the old profile, and is registered with it unless its faults say otherwise."""
        old = await self.profile(OLD)
        phone = self.phone(**options)
        first = await self.site.switch(old, phone.mac)
        async with phone:
            await phone.wait_for_config(first["sha256"], PATIENCE)
            if not options.get("faults", Faults()).never_register:
                await phone.wait_for_registration(PATIENCE)
            await until(lambda: self.site.deployment(first["deployment"]), lambda found: bool(found["fetched_at"]))
            yield phone

    async def switch(self, mac: Mac, wait: int = 30, line: str = NEW, **policy: Any) -> Any:
        body = {"profile_uuid": await self.profile(line), "mac": str(mac), "policy": policy}
        switched = await self.site.data("POST", f"{SWITCH}?wait={wait}", body)
        return await self.site.deployment(switched["deployment"])


def config_at(asterisk: AsteriskEmulator, line: str) -> str:
    """A config whose line registers at this Asterisk, over UDP."""
    assert asterisk.sip is not None
    member = (
        f"<callManager><ports><sipPort>{asterisk.sip.port}</sipPort></ports>"
        "<processNodeName>127.0.0.1</processNodeName></callManager>"
    )
    group = f"<callManagerGroup><members><member priority='0'>{member}</member></members></callManagerGroup>"
    return config(line, devicePool=group, transportLayerProtocol="2")


def steps(deployment: Any) -> list[str]:
    return [step["step"] for step in deployment["steps"]]


def time_outs(mac: Mac, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of the phone's switches to the new profile that have timed out."""
    begins = f"switch of {mac} to '{NEW}' has timed out "
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    return [text.removeprefix(begins) for text in warned if text.startswith(begins)]


def sections(asterisk: AsteriskEmulator) -> dict[str, dict[str, Any]]:
    there = {"host": "127.0.0.1", "port": asterisk.port, "username": USERNAME, "secret": SECRET}
    return {"asterisk": there, "restart": {"sip": ["ami-pjsip"]}, "switch": {"fetch_seconds": 60}}


@asynccontextmanager
async def premises(directory: Path, limits: Limits = DEFAULT_LIMITS) -> AsyncIterator[Premises]:
    async with AsyncExitStack() as stack:
        asterisk = await stack.enter_async_context(AsteriskEmulator(sip=SipRegistrar()))
        settings = settings_for(directory, **sections(asterisk))
        yield Premises(await stack.enter_async_context(opened(settings, limits)), asterisk)


async def test_a_switch_ends_confirmed_once_the_phone_has_registered_with_its_new_config(tmp_path: Path) -> None:
    async with premises(tmp_path) as there, there.in_service() as phone:
        ended = await there.switch(phone.mac)
        assert (ended["state"], ended["restart"], ended["restart_method"]) == ("confirmed", "ok", "ami-pjsip")
        assert steps(ended) == ["recorded", "written", "restart_accepted", "fetch_started", "fetched", "registered"]
        assert ended["registered_detail"]["code"] == RegistrationEvidence.ENDPOINT_WITH_NEW_CALL_ID
        assert ended["registered_detail"]["parameters"] == {"name": NEW, "address": phone.address}
        assert (ended["fetched_from"], ended["action"]) == (phone.address, "restart")


async def test_the_same_line_is_confirmed_by_the_new_call_id(tmp_path: Path) -> None:
    async with premises(tmp_path) as there, there.in_service() as phone:
        ended = await there.switch(phone.mac, line=OLD)
        assert ended["state"] == "confirmed"
        assert ended["registered_detail"]["code"] == RegistrationEvidence.ENDPOINT_WITH_NEW_CALL_ID
        assert ended["registered_detail"]["parameters"] == {"name": OLD, "address": phone.address}


async def test_a_phone_in_a_call_restarts_after_it_and_is_confirmed(tmp_path: Path) -> None:
    async with premises(tmp_path) as there, there.in_service() as phone:
        phone.in_call = True
        switching = asyncio.create_task(there.switch(phone.mac))
        (waiting,) = await until(lambda: there.site.data("GET", f"/deployments?mac={phone.mac}&state=restarting"), bool)
        assert phone.state is PhoneState.RUNNING
        phone.in_call = False
        ended = await switching
        assert (ended["uuid"], ended["state"]) == (waiting["uuid"], "confirmed")


async def test_a_switch_that_waits_for_the_end_of_a_call_begins_then_and_is_confirmed(tmp_path: Path) -> None:
    async with premises(tmp_path) as there, there.in_service() as phone:
        (registered,) = there.asterisk.phones
        there.asterisk.calls(registered, in_call=True)
        switching = asyncio.create_task(there.switch(phone.mac, when="idle"))
        (deferred,) = await until(lambda: there.site.data("GET", "/deployments?state=deferred"), bool)
        assert (deferred["deferred_until"], deferred["written_at"]) == ("idle", None)
        assert (there.site.root / phone.mac.config_name).read_text() == there.config(OLD).replace("\r\n", "\n")
        there.asterisk.calls(registered, in_call=False)
        ended = await switching
        assert ended["state"] == "confirmed"
        assert steps(ended)[:3] == ["deferred", "recorded", "written"]


async def test_a_switch_may_be_refused_during_a_call_and_for_a_while_after_it(tmp_path: Path) -> None:
    async with premises(tmp_path) as there, there.in_service() as phone:
        (registered,) = there.asterisk.phones
        profile = await there.profile(NEW)
        there.asterisk.calls(registered, in_call=True)
        refusing = {"refuse_in_call": True, "quiet_minutes": 5}
        body = {"profile_uuid": profile, "mac": str(phone.mac), "policy": refusing}
        status, answer = await there.site.call("POST", SWITCH, body)
        assert (status, answer["message"]) == (409, render(ErrorKind.PHONE_IN_CALL_LATELY.notice(minutes=5)))
        there.asterisk.calls(registered, in_call=False)
        status, answer = await there.site.call("POST", SWITCH, body)
        assert status == 409
        body["policy"] = {"refuse_in_call": True}
        assert (await there.site.data("POST", SWITCH, body))["restart"] == "ok"


async def test_a_phone_that_takes_its_config_and_never_registers_is_told_as_such(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with premises(tmp_path) as there, there.in_service(faults=Faults()) as phone:
        assert there.asterisk.sip is not None
        there.asterisk.sip.refused[NEW] = 403
        ended = await there.switch(phone.mac, **QUICK)
        assert (ended["state"], ended["timed_out_on"]) == ("timed_out", "registration")
        assert ended["fetched_from"] == phone.address
        assert steps(ended)[-2:] == ["fetched", "timed_out"]
        assert time_outs(phone.mac, caplog) == [
            f"(registration): config kept, {TimeoutNotice.NO_REGISTRATION.notice(seconds=1)}"
        ]


async def test_a_phone_that_never_comes_is_served_again_what_it_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with premises(tmp_path) as there, there.in_service(faults=Faults(never_fetch=True)) as phone:
        ended = await there.switch(phone.mac, **QUICK, on_timeout="rollback")
        assert (ended["state"], ended["timed_out_on"]) == ("rolled_back", "fetch")
        assert steps(ended)[-2:] == ["timed_out", "rolled_back"]
        (undoing,) = [
            each for each in await there.site.data("GET", f"/deployments?mac={phone.mac}") if each["rolls_back"]
        ]
        assert (undoing["rolls_back"], undoing["profile_name"], undoing["origin"]) == (ended["uuid"], OLD, "rollback")
        await there.site.reaches(undoing["uuid"], "written")
        assert undoing["sha256"] == phone.config_sha256
        assert time_outs(phone.mac, caplog) == ["(fetch): rolled back, restart not_needed"]


@pytest.mark.parametrize("refused", ["record", "written", "restart_tried"])
async def test_a_rollback_of_which_the_database_refuses_something_is_logged_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    step, refusals = getattr(progress, refused), iter([True])

    def refuse_the_first(*args: Any, **options: Any) -> Any:
        if any(getattr(each, "rolls_back", None) for each in args) and next(refusals, False):
            raise StorageFailed("The change could not be stored: disk I/O error")
        return step(*args, **options)

    async def logged() -> list[str]:
        return time_outs(phone.mac, caplog)

    monkeypatch.setattr(progress, refused, refuse_the_first)
    limits = Limits(watch_retry=timedelta(seconds=0.1))
    async with premises(tmp_path, limits) as there, there.in_service(faults=Faults(never_fetch=True)) as phone:
        ended = await there.switch(phone.mac, **QUICK, on_timeout="rollback")
        assert (ended["state"], ended["timed_out_on"]) == ("rolled_back", "fetch")
        await until(logged, bool)
        assert next(refusals, None) is None
    first = (await logged())[0]
    assert first.startswith("(fetch): rollback cut off by ")
    assert "storage_failed" in first


async def test_what_somebody_else_has_put_in_its_place_is_not_rolled_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # It is found by the rollback, not by the look at the directory before it.
    limits = Limits(directory_refresh_seconds=3600.0)
    async with premises(tmp_path, limits) as there, there.in_service(faults=Faults(never_fetch=True)) as phone:
        switching = asyncio.create_task(there.switch(phone.mac, **QUICK, on_timeout="rollback"))
        await until(lambda: there.site.data("GET", f"/deployments?mac={phone.mac}&state=restarting"), bool)
        (there.site.root / phone.mac.config_name).write_text(there.config("999"))
        ended = await switching
        assert (ended["state"], ended["timed_out_on"]) == ("timed_out", "fetch")
        refusal = StepNotice.NOT_ROLLED_BACK.notice(reason=RollbackRefusal.CHANGED_OUTSIDE.notice())
        last = ended["steps"][-1]
        assert {"code": last["code"], "parameters": last["parameters"]} == refusal.plain()
        assert time_outs(phone.mac, caplog) == [f"(fetch): {refusal}"]


async def test_a_phone_that_does_not_come_is_told_twice_and_then_reset(tmp_path: Path) -> None:
    async with premises(tmp_path) as there, there.in_service(faults=Faults(never_fetch=True)) as phone:
        policy = {"fetch_seconds": 1, "retry": True, "escalate": True}
        ended = await there.switch(phone.mac, line=OLD, **policy)
        accepted = [step["parameters"] for step in ended["steps"] if step["step"] == "restart_accepted"]
        assert accepted[0] == {"method": "ami-pjsip", "action": "restart"}
        assert (ended["state"], ended["timed_out_on"], ended["tries"]) == ("timed_out", "fetch", 3)
        assert ended["action"] == "reset"


async def test_a_newer_switch_ends_the_one_before_it(tmp_path: Path) -> None:
    async with premises(tmp_path) as there, there.in_service(faults=Faults(never_fetch=True)) as phone:
        first = asyncio.create_task(there.switch(phone.mac))
        await until(lambda: there.site.data("GET", f"/deployments?mac={phone.mac}&state=restarting"), bool)
        newer = await there.switch(phone.mac, wait=0, line="306")
        ended = await first
        assert ended["state"] == "superseded"
        assert newer["ended_at"] is None
        assert (ended["steps"][-1]["code"], ended["steps"][-1]["parameters"]) == (
            "config_replaced_by_profile",
            {"profile": "306"},
        )


async def test_a_config_that_is_taken_after_all_is_recorded_after_its_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with premises(tmp_path) as there:
        phone = there.phone()
        ended = await there.switch(phone.mac, **QUICK)
        assert (ended["state"], ended["timed_out_on"]) == ("timed_out", "restart")
        assert time_outs(phone.mac, caplog) == ["(restart): config kept, no_restart_in_time"]
        async with phone:
            await phone.wait_for_registration(PATIENCE)
            confirmed = await there.site.reaches(ended["uuid"], "confirmed")
        assert steps(confirmed)[-4:] == ["timed_out", "fetch_started", "fetched", "registered"]
        assert confirmed["timed_out_on"] is None


async def test_without_an_asterisk_the_fetch_is_the_end(tmp_path: Path) -> None:
    async with opened(settings_for(tmp_path)) as site:
        profile = await site.profile(OLD)
        phone = site.phone()
        body = {"profile_uuid": profile, "mac": str(phone.mac)}
        switching = asyncio.create_task(site.data("POST", f"{SWITCH}?wait=30", body))
        await until(lambda: site.data("GET", "/deployments?state=waiting"), bool)
        async with phone:
            switched = await switching
        assert (switched["state"], bool(switched["ended_at"])) == ("fetched", True)


async def test_a_rollback_that_is_asked_for_brings_the_phone_back(tmp_path: Path) -> None:
    async with premises(tmp_path) as there, there.in_service() as phone:
        before = phone.config_sha256
        ended = await there.switch(phone.mac)
        undoing = await there.site.data("POST", f"/deployments/{ended['uuid']}/rollback")
        assert (undoing["rolls_back"], undoing["sha256"], undoing["restart"]) == (ended["uuid"], before, "ok")
        await there.site.reaches(undoing["uuid"], "confirmed")
        assert (await there.site.deployment(ended["uuid"]))["state"] == "rolled_back"
        status, answer = await there.site.call("POST", f"/deployments/{ended['uuid']}/rollback")
        assert (status, answer["message"]) == (
            409,
            render(RollbackRefusal.NOT_SERVED.notice(state="rolled_back")),
        )


async def test_what_has_its_time_can_be_called_off_until_then(tmp_path: Path) -> None:
    async with premises(tmp_path) as there:
        mac, at = there.site.new_mac(), "2099-01-01T00:00:00.000Z"
        deferred = await there.switch(mac, wait=0, when=at)
        assert (deferred["state"], deferred["deferred_until"]) == ("deferred", at)
        cancelled = await there.site.data("POST", f"/deployments/{deferred['uuid']}/cancel")
        assert (cancelled["state"], steps(cancelled)) == ("cancelled", ["deferred", "cancelled"])
        assert not (there.site.root / mac.config_name).exists()
        status, _ = await there.site.call("POST", f"/deployments/{deferred['uuid']}/cancel")
        assert status == 409


async def test_what_has_its_time_is_not_asked_about_calls_before_it(tmp_path: Path) -> None:
    async with premises(tmp_path) as there:
        at = "2099-01-01T00:00:00.000Z"
        deferred = await there.switch(there.site.new_mac(), wait=0, when=at, refuse_in_call=True)
        assert (deferred["state"], deferred["deferred_until"]) == ("deferred", at)


async def test_a_switch_begins_at_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with premises(tmp_path) as there:
        mac = there.site.new_mac()
        deferred = await there.switch(mac, wait=0, when="2099-01-01T00:00:00.000Z")
        original = watcher._now
        monkeypatch.setattr(watcher, "_now", lambda: original().replace(year=2099))
        # Whatever happens has the watcher look at its clock.
        await there.switch(there.site.new_mac(), wait=0, line="306")
        begun = await until(lambda: there.site.deployment(deferred["uuid"]), lambda found: bool(found["written_at"]))
        assert begun["deferred_until"] is None
        assert (there.site.root / mac.config_name).exists()


async def test_a_newer_switch_calls_off_what_has_not_begun(tmp_path: Path) -> None:
    async with premises(tmp_path) as there:
        mac = there.site.new_mac()
        deferred = await there.switch(mac, wait=0, when="2099-01-01T00:00:00.000Z")
        await there.switch(mac, wait=0, line="306")
        assert (await there.site.deployment(deferred["uuid"]))["state"] == "superseded"


async def test_deployments_outlive_a_stop_of_cisisk(tmp_path: Path) -> None:
    async with premises(tmp_path) as there:
        waiting = await there.switch(there.site.new_mac(), wait=0)
        deferred = await there.switch(there.site.new_mac(), wait=0, when="2099-01-01T00:00:00.000Z")
    async with premises(tmp_path) as there:
        states = [(await there.site.deployment(each["uuid"]))["state"] for each in (waiting, deferred)]
        assert states == ["waiting", "deferred"]


async def test_a_switch_ends_confirmed_though_cisisk_was_killed_after_the_restart_was_sent(tmp_path: Path) -> None:
    async with AsteriskEmulator(sip=SipRegistrar()) as asterisk:
        told = sections(asterisk) | {"tftp": {"port": free_port()}, "phone_sip": {"port": free_port()}}
        settings, mac = settings_for(tmp_path, **told), Mac.parse("001122330001")
        phone = SimulatedPhone(
            mac,
            find_model("7942"),
            address="127.9.9.1",
            server="127.0.0.1",
            tftp_port=settings.tftp.port,
            http_port=free_port(),
            web_port=settings.phone_http.port,
            sip_port=settings.phone_sip.port,
            timing=REGISTERS_IN,
        )
        old, new = config_at(asterisk, OLD), config_at(asterisk, NEW)
        child = [str(ROOT / "tests/e2e/cut_off_child.py"), str(tmp_path), json.dumps(told), str(mac), new]
        async with AsyncExitStack() as life:
            async with opened(settings) as site:
                first = await site.switch(await site.profile(OLD, cnf_xml=old), mac)
                await life.enter_async_context(phone)
                await site.reaches(first["deployment"], "confirmed")
            process = await asyncio.create_subprocess_exec(
                sys.executable, *child, env={**os.environ, "PYTHONPATH": str(ROOT)}
            )
            assert await asyncio.wait_for(process.wait(), 3 * PATIENCE) == -signal.SIGKILL
            async with opened(settings) as site:
                (newest, _) = await site.data("GET", f"/deployments?mac={mac}")
                assert newest["restart_outcome"] == "cut_off"
                ended = await site.reaches(newest["uuid"], "confirmed")
        assert phone.config == new.encode()
        assert ended["tries"] == 1
