"""What is missing in manager.conf or config.toml is named, and nothing is guessed in its place."""

from pathlib import Path
from typing import Any

import pytest

from cisisk.appliance.limits import Limits
from cisisk.model.codes.asterisk import AsteriskProblem, SetupProblem
from cisisk.model.codes.error import ErrorKind
from cisisk.model.messages import render
from cisisk.pbx.connection import AsteriskLimits
from cisisk.pbx.readiness import BootLimits
from tests.asterisk.judge import brief, false_claims
from tests.asterisk.server import AsteriskServer
from tests.asterisk.site import SWITCH, new_line, open_asterisk_site
from tests.e2e.running_site import Site, until
from tests.notices import codes_in

pytestmark = pytest.mark.needs("asterisk", "openssl")
_P, _S = AsteriskProblem, SetupProblem


async def shows(site: Site, state: str, codes: set[str]) -> None:
    """Wait until the health shows Asterisk in ``state`` with problems of exactly these codes."""
    try:
        await until(
            lambda: site.data("GET", "/health"),
            lambda found: (found["asterisk"], codes_in(found["asterisk_problems"])) == (state, codes),
        )
    except TimeoutError:
        raise AssertionError(await site.data("GET", "/health")) from None


@pytest.mark.parametrize(
    ("account", "codes"),
    [
        ("no-reporting", {_S.NO_CALLS, _P.PERMISSION_DENIED}),
        ("no-system", {_S.NO_REGISTRATIONS, _S.NO_RESTARTS, _P.PERMISSION_DENIED}),
        ("no-write", {_S.NO_REGISTRATIONS, _S.NO_RESTARTS, _S.NO_CALLS, _P.PERMISSION_DENIED}),
        ("no-events", {_S.NO_EVENTS}),
        ("no-system-events", {_S.NO_EVENTS}),
    ],
)
async def test_missing_permission_is_named_in_health(
    asterisk: AsteriskServer, tmp_path: Path, account: str, codes: set[str]
) -> None:
    limits = Limits(setup_check_seconds=0.5, asterisk=AsteriskLimits(boot=BootLimits(unseen_seconds=1.0)))
    async with open_asterisk_site(tmp_path, asterisk, methods=["ami-pjsip"], account=account, limits=limits) as pbx:
        await shows(pbx.site, "degraded", codes)


@pytest.mark.parametrize("account", ["no-events", "no-system-events", "no-call-events", "no-reporting"])
async def test_switch_without_events_or_calls_is_confirmed(
    asterisk: AsteriskServer, tmp_path: Path, account: str
) -> None:
    async with (
        open_asterisk_site(tmp_path, asterisk, methods=["ami-pjsip"], account=account) as pbx,
        pbx.phone_in_service(new_line()) as phone,
    ):
        ended = await pbx.switch(phone.mac, new_line(), on_timeout="rollback")
        assert ended["state"] == "confirmed", brief(ended)
        assert false_claims(ended, phone) == []


async def test_restart_without_permission_names_it(asterisk: AsteriskServer, tmp_path: Path) -> None:
    async with (
        open_asterisk_site(tmp_path, asterisk, methods=["ami-pjsip"], account="no-system") as pbx,
        pbx.phone_in_service(new_line()) as phone,
    ):
        refused = await pbx.switch(phone.mac, new_line(), wait=0)
        assert AsteriskProblem.PERMISSION_DENIED in codes_in(refused["restart_detail"]), brief(refused)
        assert refused["state"] == "waiting"


async def test_switch_is_refused_if_nothing_tells_of_calls(asterisk: AsteriskServer, tmp_path: Path) -> None:
    async with (
        open_asterisk_site(tmp_path, asterisk, methods=["ami-pjsip"], account="no-reporting") as pbx,
        pbx.phone_in_service(new_line()) as phone,
    ):
        profile = await pbx.profile(new_line())
        body = {"profile_uuid": profile, "mac": str(phone.mac), "policy": {"refuse_in_call": True}}
        status, answer = await pbx.site.call("POST", SWITCH, body)
        assert status == 409
        assert answer["message"] != render(ErrorKind.PHONE_IN_CALL.notice())


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"secret": "another"}, _P.LOGIN_REFUSED),
        ({"username": "nobody"}, _P.LOGIN_REFUSED),
        ({"username": "elsewhere"}, _P.LOGIN_REFUSED),
        ({"tls": True}, _P.NO_TLS),
    ],
)
async def test_connection_that_fails_is_explained(
    asterisk: AsteriskServer, tmp_path: Path, changed: dict[str, Any], code: str
) -> None:
    options: dict[str, Any] = {"methods": ["ami-pjsip"], "wait_for_asterisk": False, "asterisk": changed}
    async with open_asterisk_site(tmp_path, asterisk, **options) as pbx:
        await shows(pbx.site, "failed", {code})


async def test_connection_without_tls_to_the_port_of_tls_is_explained(asterisk: AsteriskServer, tmp_path: Path) -> None:
    tables: dict[str, Any] = {"asterisk": {"port": asterisk.ports.ami_tls}}
    options: dict[str, Any] = {"methods": ["ami-pjsip"], "wait_for_asterisk": False, **tables}
    async with open_asterisk_site(tmp_path, asterisk, **options) as pbx:
        await shows(pbx.site, "failed", {AsteriskProblem.NO_GREETING})


async def test_switch_over_tls_is_confirmed(
    asterisk: AsteriskServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(asterisk.certificate))
    tables: dict[str, Any] = {"asterisk": {"port": asterisk.ports.ami_tls, "tls": True}}
    async with (
        open_asterisk_site(tmp_path, asterisk, methods=["ami-pjsip"], **tables) as pbx,
        pbx.phone_in_service(new_line()) as phone,
    ):
        ended = await pbx.switch(phone.mac, new_line())
        assert ended["state"] == "confirmed", brief(ended)
        assert false_claims(ended, phone) == []


async def test_channel_driver_that_is_not_loaded_is_named(asterisk: AsteriskServer, tmp_path: Path) -> None:
    tables: dict[str, Any] = {"asterisk": {"channel": "sip"}}
    limits = Limits(setup_check_seconds=0.5)
    async with open_asterisk_site(tmp_path, asterisk, methods=["ami-sip"], limits=limits, **tables) as pbx:
        health = await until(lambda: pbx.site.data("GET", "/health"), lambda found: found["asterisk_problems"])
        assert AsteriskProblem.DRIVER_NOT_LOADED in codes_in(health["asterisk_problems"]), health
