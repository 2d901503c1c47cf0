"""Outcomes of switches: confirmations, timeouts, rollbacks, deferred and cancelled switches."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cisisk.appliance.limits import DEFAULT_LIMITS, Limits
from cisisk.mobility import watcher
from cisisk.model.codes.asterisk import AsteriskProblem, RegistrationDoubt, RegistrationEvidence
from cisisk.model.codes.deployment import RollbackRefusal, StepNotice, TimeoutNotice
from cisisk.model.codes.error import ErrorKind
from cisisk.model.errors import StorageFailed
from cisisk.model.mac import Mac
from cisisk.model.messages import render
from cisisk.simulator.faults import Faults
from cisisk.simulator.models import find_model
from cisisk.simulator.phone import PhoneState, SimulatedPhone
from cisisk.store import progress
from tests.e2e.running_site import (
    TIMING,
    Site,
    asterisk_settings,
    config_at_call_manager,
    free_port,
    open_site,
    settings_for,
    until,
)
from tests.patience import PATIENCE
from tests.protocol.asterisk import AsteriskEmulator, Registered
from tests.protocol.sip_registrar import Binding, SipRegistrar

ROOT = Path(__file__).parents[2]
SWITCH = "/phone-profiles/switch"
OLD, NEW = "201", "305"
LISTING = "PJSIPShowRegistrationInboundContactStatuses"
REGISTERING_PHONE = replace(TIMING, registration=2.0, unregister=0.5)
SHORT_TIMEOUTS: dict[str, Any] = {"fetch_seconds": 1, "register_seconds": 1, "retry": False, "escalate": False}


@dataclass
class AsteriskSite:
    """A site with an Asterisk where phones register."""

    site: Site
    asterisk: AsteriskEmulator

    def config(self, line: str) -> str:
        return config_at(self.asterisk, line)

    async def profile(self, line: str) -> str:
        return await self.site.profile(line, cnf_xml=self.config(line))

    def phone(self, **options: Any) -> SimulatedPhone:
        return self.site.phone("7942", timing=REGISTERING_PHONE, sip_port=self.site.settings.phone_sip.port, **options)

    @asynccontextmanager
    async def phone_in_service(self, **options: Any) -> AsyncIterator[SimulatedPhone]:
        """Start a phone that runs the old profile; it is registered unless its faults prevent that."""
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
    """Return a config whose line registers at this Asterisk."""
    assert asterisk.sip is not None
    return config_at_call_manager(line, asterisk.sip.port)


def steps(deployment: Any) -> list[str]:
    return [step["step"] for step in deployment["steps"]]


def timeouts_logged(mac: Mac, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the ends of log lines about timed-out switches of the phone to the new profile."""
    begins = f"switch of {mac} to '{NEW}' has timed out "
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    return [text.removeprefix(begins) for text in warned if text.startswith(begins)]


def sections(asterisk: AsteriskEmulator) -> dict[str, dict[str, Any]]:
    return {
        "asterisk": asterisk_settings(asterisk.port),
        "restart": {"sip": ["ami-pjsip"]},
        "switch": {"fetch_seconds": 60},
    }


@asynccontextmanager
async def asterisk_site(directory: Path, limits: Limits = DEFAULT_LIMITS) -> AsyncIterator[AsteriskSite]:
    async with AsyncExitStack() as stack:
        asterisk = await stack.enter_async_context(AsteriskEmulator(sip=SipRegistrar()))
        settings = settings_for(directory, **sections(asterisk))
        yield AsteriskSite(await stack.enter_async_context(open_site(settings, limits)), asterisk)


async def test_switch_is_confirmed_after_registration_with_new_config(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service() as phone:
        ended = await setup.switch(phone.mac)
        assert (ended["state"], ended["restart"], ended["restart_method"]) == ("confirmed", "ok", "ami-pjsip")
        assert steps(ended) == ["recorded", "written", "restart_accepted", "fetch_started", "fetched", "registered"]
        assert ended["registered_detail"]["code"] == RegistrationEvidence.ENDPOINT_WITH_NEW_CALL_ID
        assert ended["registered_detail"]["parameters"] == {"name": NEW, "address": phone.address}
        assert (ended["fetched_from"], ended["action"]) == (phone.address, "restart")
        assert ended["evidence"] == {"told": "sent", "took": True, "registered": True, "runs": True}


async def test_switch_to_same_line_is_confirmed_by_new_call_id(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service() as phone:
        ended = await setup.switch(phone.mac, line=OLD)
        assert ended["state"] == "confirmed"
        assert ended["registered_detail"]["code"] == RegistrationEvidence.ENDPOINT_WITH_NEW_CALL_ID
        assert ended["registered_detail"]["parameters"] == {"name": OLD, "address": phone.address}


async def test_switch_of_phone_in_call_is_confirmed_after_call(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service() as phone:
        phone.in_call = True
        switching = asyncio.create_task(setup.switch(phone.mac))
        (waiting,) = await until(lambda: setup.site.data("GET", f"/deployments?mac={phone.mac}&state=restarting"), bool)
        assert phone.state is PhoneState.RUNNING
        phone.in_call = False
        ended = await switching
        assert (ended["uuid"], ended["state"]) == (waiting["uuid"], "confirmed")


async def test_switch_deferred_until_idle_begins_after_call(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service() as phone:
        (registered,) = setup.asterisk.phones
        setup.asterisk.calls(registered, in_call=True)
        switching = asyncio.create_task(setup.switch(phone.mac, when="idle"))
        (deferred,) = await until(lambda: setup.site.data("GET", "/deployments?state=deferred"), bool)
        assert (deferred["deferred_until"], deferred["written_at"]) == ("idle", None)
        assert (setup.site.root / phone.mac.config_name).read_text() == setup.config(OLD).replace("\r\n", "\n")
        setup.asterisk.calls(registered, in_call=False)
        ended = await switching
        assert ended["state"] == "confirmed"
        assert steps(ended)[:3] == ["deferred", "recorded", "written"]


async def test_switch_refused_in_call_and_during_quiet_minutes(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service() as phone:
        (registered,) = setup.asterisk.phones
        profile = await setup.profile(NEW)
        setup.asterisk.calls(registered, in_call=True)
        refusing = {"refuse_in_call": True, "quiet_minutes": 5}
        body = {"profile_uuid": profile, "mac": str(phone.mac), "policy": refusing}
        status, answer = await setup.site.call("POST", SWITCH, body)
        assert (status, answer["message"]) == (409, render(ErrorKind.PHONE_IN_CALL_LATELY.notice(minutes=5)))
        setup.asterisk.calls(registered, in_call=False)
        status, answer = await setup.site.call("POST", SWITCH, body)
        assert status == 409
        body["policy"] = {"refuse_in_call": True}
        assert (await setup.site.data("POST", SWITCH, body))["restart"] == "ok"


@pytest.mark.parametrize("policy", [{"refuse_in_call": True}, {"when": "idle"}])
async def test_switch_is_refused_if_asterisk_denies_to_tell_of_calls(tmp_path: Path, policy: dict[str, Any]) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service() as phone:
        setup.asterisk.calls(setup.asterisk.phones[0], in_call=True)
        setup.asterisk.denied.add("getvar")
        body = {"profile_uuid": await setup.profile(NEW), "mac": str(phone.mac), "policy": policy}
        status, answer = await setup.site.call("POST", SWITCH, body)
        denied = AsteriskProblem.PERMISSION_DENIED.notice(action="Getvar", permission="reporting")
        assert (status, answer["message"]) == (409, render(ErrorKind.CALLS_UNKNOWN.notice(reason=denied)))


async def test_switch_without_registration_times_out_and_keeps_config(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service(faults=Faults()) as phone:
        assert setup.asterisk.sip is not None
        setup.asterisk.sip.refused[NEW] = 403
        ended = await setup.switch(phone.mac, **SHORT_TIMEOUTS)
        assert (ended["state"], ended["timed_out_on"]) == ("timed_out", "registration")
        assert ended["fetched_from"] == phone.address
        assert steps(ended)[-2:] == ["fetched", "timed_out"]
        assert timeouts_logged(phone.mac, caplog) == [
            f"(registration): config kept, {TimeoutNotice.NO_REGISTRATION.notice(seconds=1)}"
        ]


async def test_phone_whose_switch_timed_out_shows_whom_it_still_works_as(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service(faults=Faults(never_fetch=True)) as phone:
        path = f"/phones/{phone.mac}"
        before = (await until(lambda: setup.site.data("GET", path), lambda found: bool(found["running"])))["running"]
        assert (await setup.switch(phone.mac, **SHORT_TIMEOUTS))["state"] == "timed_out"
        after = await setup.site.data("GET", path)
        assert after["running"] | {"since": before["since"]} == before
        assert after["running"]["sha256"] == phone.config_sha256
        assert (after["current"]["profile_name"], after["running"]["profile_name"]) == (NEW, OLD)
        assert after["running"]["registered_as"]["parameters"]["name"] == OLD


async def test_switch_without_fetch_rolls_back_to_running_config(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service(faults=Faults(never_fetch=True)) as phone:
        ended = await setup.switch(phone.mac, **SHORT_TIMEOUTS, on_timeout="rollback")
        assert (ended["state"], ended["timed_out_on"]) == ("rolled_back", "fetch")
        assert steps(ended)[-2:] == ["timed_out", "rolled_back"]
        (rollback,) = [
            each for each in await setup.site.data("GET", f"/deployments?mac={phone.mac}") if each["rolls_back"]
        ]
        assert (rollback["rolls_back"], rollback["profile_name"], rollback["origin"]) == (
            ended["uuid"],
            OLD,
            "rollback",
        )
        await setup.site.reaches(rollback["uuid"], "written")
        assert rollback["sha256"] == phone.config_sha256
        assert timeouts_logged(phone.mac, caplog) == ["(fetch): rolled back, restart not_needed"]


@pytest.mark.parametrize("refused", ["record", "written", "restart_tried"])
async def test_rollback_with_storage_failure_is_retried_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    step, refusals = getattr(progress, refused), iter([True])

    def refuse_the_first(*args: Any, **options: Any) -> Any:
        if any(getattr(each, "rolls_back", None) for each in args) and next(refusals, False):
            raise StorageFailed("The change could not be stored: disk I/O error")
        return step(*args, **options)

    async def logged() -> list[str]:
        return timeouts_logged(phone.mac, caplog)

    monkeypatch.setattr(progress, refused, refuse_the_first)
    limits = Limits(watch_retry=timedelta(seconds=0.1))
    async with (
        asterisk_site(tmp_path, limits) as setup,
        setup.phone_in_service(faults=Faults(never_fetch=True)) as phone,
    ):
        ended = await setup.switch(phone.mac, **SHORT_TIMEOUTS, on_timeout="rollback")
        assert (ended["state"], ended["timed_out_on"]) == ("rolled_back", "fetch")
        await until(logged, bool)
        assert next(refusals, None) is None
    first = (await logged())[0]
    assert first.startswith("(fetch): rollback cut off by ")
    assert "storage_failed" in first


async def test_switch_to_a_line_with_a_left_behind_contact_is_not_confirmed(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service(faults=Faults(never_fetch=True)) as phone:
        setup.asterisk.phones.append(Registered(NEW, phone.address, "left-behind@127.0.0.9"))
        ended = await setup.switch(phone.mac, **SHORT_TIMEOUTS)
        assert (ended["state"], ended["timed_out_on"]) == ("timed_out", "fetch")
        assert "registered" not in steps(ended)


@dataclass
class LosingPower:
    """A phone whose un-REGISTERs are lost: its contact stays, with the Call-ID of its first REGISTER.

    Attributes:
        registers: called with each later REGISTER.
    """

    asterisk: AsteriskEmulator
    registers: Callable[[Binding], None]

    def install(self) -> None:
        assert self.asterisk.sip is not None
        self.asterisk.sip.on_register = lambda binding: self.registers(binding) if binding.expires else None


async def test_right_phone_without_evidence_is_not_rolled_back(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service() as phone:
        LosingPower(setup.asterisk, lambda _binding: None).install()
        policy = {**SHORT_TIMEOUTS, "fetch_seconds": 30, "on_timeout": "rollback"}
        ended = await setup.switch(phone.mac, line=OLD, **policy)
        assert (ended["state"], ended["timed_out_on"]) == ("fetched", None)
        assert (ended["steps"][-1]["step"], ended["steps"][-1]["code"]) == (
            "fetched",
            StepNotice.REGISTRATION_NOT_SHOWN,
        )
        assert ended["steps"][-1]["parameters"]["reason"]["code"] == RegistrationDoubt.NOT_LATER


async def test_contact_that_expires_later_after_the_fetch_confirms_the_switch(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service() as phone:
        bound = setup.asterisk.sip.on_register if setup.asterisk.sip else None
        assert bound is not None
        waiting: list[Binding] = []
        LosingPower(setup.asterisk, waiting.append).install()
        switching = asyncio.create_task(setup.switch(phone.mac, line=OLD))
        await until(lambda: setup.site.data("GET", f"/deployments?mac={phone.mac}"), _newest_is_fetched)
        seen = len(setup.asterisk.asked(LISTING))
        await until(lambda: _asked(setup.asterisk, LISTING), lambda asked: asked > seen)
        await until(lambda: _of(waiting), bool)
        bound(waiting[-1])
        ended = await switching
        assert ended["state"] == "confirmed"
        assert ended["registered_detail"]["code"] == RegistrationEvidence.ENDPOINT_AGAIN


def _newest_is_fetched(deployments: list[Any]) -> bool:
    return len(deployments) == 2 and deployments[0]["fetched_at"] is not None


async def _asked(asterisk: AsteriskEmulator, action: str) -> int:
    return len(asterisk.asked(action))


async def _of(waiting: list[Binding]) -> list[Binding]:
    return waiting


async def test_rollback_of_externally_changed_config_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Only the rollback finds the change: no directory scan runs before it.
    limits = Limits(directory_refresh_seconds=3600.0)
    async with (
        asterisk_site(tmp_path, limits) as setup,
        setup.phone_in_service(faults=Faults(never_fetch=True)) as phone,
    ):
        switching = asyncio.create_task(setup.switch(phone.mac, **SHORT_TIMEOUTS, on_timeout="rollback"))
        await until(lambda: setup.site.data("GET", f"/deployments?mac={phone.mac}&state=restarting"), bool)
        (setup.site.root / phone.mac.config_name).write_text(setup.config("999"))
        ended = await switching
        assert (ended["state"], ended["timed_out_on"]) == ("timed_out", "fetch")
        refusal = StepNotice.NOT_ROLLED_BACK.notice(reason=RollbackRefusal.CHANGED_OUTSIDE.notice())
        last = ended["steps"][-1]
        assert {"code": last["code"], "parameters": last["parameters"]} == refusal.plain()
        assert timeouts_logged(phone.mac, caplog) == [f"(fetch): {refusal}"]


async def test_switch_without_fetch_repeats_restart_then_resets(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service(faults=Faults(never_fetch=True)) as phone:
        policy = {"fetch_seconds": 1, "retry": True, "escalate": True}
        ended = await setup.switch(phone.mac, line=OLD, **policy)
        accepted = [step["parameters"] for step in ended["steps"] if step["step"] == "restart_accepted"]
        assert accepted[0] == {"method": "ami-pjsip", "action": "restart"}
        assert (ended["state"], ended["timed_out_on"], ended["tries"]) == ("timed_out", "fetch", 3)
        assert ended["action"] == "reset"


async def test_newer_switch_supersedes_waiting_switch(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service(faults=Faults(never_fetch=True)) as phone:
        first = asyncio.create_task(setup.switch(phone.mac))
        await until(lambda: setup.site.data("GET", f"/deployments?mac={phone.mac}&state=restarting"), bool)
        newer = await setup.switch(phone.mac, wait=0, line="306")
        ended = await first
        assert ended["state"] == "superseded"
        assert newer["ended_at"] is None
        assert (ended["steps"][-1]["code"], ended["steps"][-1]["parameters"]) == (
            "config_replaced_by_profile",
            {"profile": "306"},
        )


async def test_switch_after_timeout_is_confirmed_by_late_fetch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with asterisk_site(tmp_path) as setup:
        phone = setup.phone()
        ended = await setup.switch(phone.mac, **SHORT_TIMEOUTS)
        assert (ended["state"], ended["timed_out_on"]) == ("timed_out", "restart")
        assert timeouts_logged(phone.mac, caplog) == ["(restart): config kept, no_restart_in_time"]
        async with phone:
            await phone.wait_for_registration(PATIENCE)
            confirmed = await setup.site.reaches(ended["uuid"], "confirmed")
        assert steps(confirmed)[-4:] == ["timed_out", "fetch_started", "fetched", "registered"]
        assert confirmed["timed_out_on"] is None


async def test_switch_without_asterisk_ends_with_fetch(tmp_path: Path) -> None:
    async with open_site(settings_for(tmp_path)) as site:
        profile = await site.profile(OLD)
        phone = site.phone()
        body = {"profile_uuid": profile, "mac": str(phone.mac)}
        switching = asyncio.create_task(site.data("POST", f"{SWITCH}?wait=30", body))
        await until(lambda: site.data("GET", "/deployments?state=waiting"), bool)
        async with phone:
            switched = await switching
        assert (switched["state"], bool(switched["ended_at"])) == ("fetched", True)


async def test_rollback_on_request_restores_previous_config(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup, setup.phone_in_service() as phone:
        before = phone.config_sha256
        ended = await setup.switch(phone.mac)
        rollback = await setup.site.data("POST", f"/deployments/{ended['uuid']}/rollback")
        assert (rollback["rolls_back"], rollback["sha256"], rollback["restart"]) == (ended["uuid"], before, "ok")
        await setup.site.reaches(rollback["uuid"], "confirmed")
        assert (await setup.site.deployment(ended["uuid"]))["state"] == "rolled_back"
        status, answer = await setup.site.call("POST", f"/deployments/{ended['uuid']}/rollback")
        assert (status, answer["message"]) == (
            409,
            render(RollbackRefusal.NOT_SERVED.notice(state="rolled_back")),
        )


async def test_deferred_switch_can_be_cancelled_once(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup:
        mac, at = setup.site.new_mac(), "2099-01-01T00:00:00.000Z"
        deferred = await setup.switch(mac, wait=0, when=at)
        assert (deferred["state"], deferred["deferred_until"]) == ("deferred", at)
        cancelled = await setup.site.data("POST", f"/deployments/{deferred['uuid']}/cancel")
        assert (cancelled["state"], steps(cancelled)) == ("cancelled", ["deferred", "cancelled"])
        assert not (setup.site.root / mac.config_name).exists()
        status, _ = await setup.site.call("POST", f"/deployments/{deferred['uuid']}/cancel")
        assert status == 409


async def test_deferred_switch_ignores_calls_before_its_time(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup:
        at = "2099-01-01T00:00:00.000Z"
        deferred = await setup.switch(setup.site.new_mac(), wait=0, when=at, refuse_in_call=True)
        assert (deferred["state"], deferred["deferred_until"]) == ("deferred", at)


async def test_deferred_switch_begins_at_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asterisk_site(tmp_path) as setup:
        mac = setup.site.new_mac()
        deferred = await setup.switch(mac, wait=0, when="2099-01-01T00:00:00.000Z")
        original = watcher._now
        monkeypatch.setattr(watcher, "_now", lambda: original().replace(year=2099))
        # Any switch makes the watcher read its clock.
        await setup.switch(setup.site.new_mac(), wait=0, line="306")
        begun = await until(lambda: setup.site.deployment(deferred["uuid"]), lambda found: bool(found["written_at"]))
        assert begun["deferred_until"] is None
        assert (setup.site.root / mac.config_name).exists()


async def test_newer_switch_supersedes_deferred_switch(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup:
        mac = setup.site.new_mac()
        deferred = await setup.switch(mac, wait=0, when="2099-01-01T00:00:00.000Z")
        await setup.switch(mac, wait=0, line="306")
        assert (await setup.site.deployment(deferred["uuid"]))["state"] == "superseded"


async def test_deployments_keep_state_across_restart_of_cisisk(tmp_path: Path) -> None:
    async with asterisk_site(tmp_path) as setup:
        waiting = await setup.switch(setup.site.new_mac(), wait=0)
        deferred = await setup.switch(setup.site.new_mac(), wait=0, when="2099-01-01T00:00:00.000Z")
    async with asterisk_site(tmp_path) as setup:
        states = [(await setup.site.deployment(each["uuid"]))["state"] for each in (waiting, deferred)]
        assert states == ["waiting", "deferred"]


async def test_switch_with_crash_after_restart_is_confirmed_on_next_start(tmp_path: Path) -> None:
    async with AsteriskEmulator(sip=SipRegistrar()) as asterisk:
        changed = sections(asterisk) | {"tftp": {"port": free_port()}, "phone_sip": {"port": free_port()}}
        settings, mac = settings_for(tmp_path, **changed), Mac.parse("001122330001")
        phone = SimulatedPhone(
            mac,
            find_model("7942"),
            address="127.9.9.1",
            server="127.0.0.1",
            tftp_port=settings.tftp.port,
            http_port=free_port(),
            web_port=settings.phone_http.port,
            sip_port=settings.phone_sip.port,
            timing=REGISTERING_PHONE,
        )
        old, new = config_at(asterisk, OLD), config_at(asterisk, NEW)
        child = [str(ROOT / "tests/e2e/restart_crash_child.py"), str(tmp_path), json.dumps(changed), str(mac), new]
        async with AsyncExitStack() as stack:
            async with open_site(settings) as site:
                first = await site.switch(await site.profile(OLD, cnf_xml=old), mac)
                await stack.enter_async_context(phone)
                await site.reaches(first["deployment"], "confirmed")
            process = await asyncio.create_subprocess_exec(
                sys.executable, *child, env={**os.environ, "PYTHONPATH": str(ROOT)}
            )
            assert await asyncio.wait_for(process.wait(), 3 * PATIENCE) == -signal.SIGKILL
            async with open_site(settings) as site:
                (newest, _) = await site.data("GET", f"/deployments?mac={mac}")
                assert newest["restart_outcome"] == "cut_off"
                ended = await site.reaches(newest["uuid"], "confirmed")
        assert phone.config == new.encode()
        assert ended["tries"] == 1
