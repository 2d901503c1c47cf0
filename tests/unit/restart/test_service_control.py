"""The choice between restart and reset."""

import pytest

from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.target import Target
from cisisk.restart.service_control import action_for, body, variables_for
from tests.e2e.running_site import config


def target(served: str | None, wanted: str) -> Target:
    return Target(
        mac=Mac.parse("001122334455"),
        address="192.0.2.7",
        model="7965",
        software=Software.SIP,
        served=None if served is None else served.encode(),
        wanted=wanted.encode(),
    )


def test_changed_line_needs_a_restart() -> None:
    assert action_for(target(config("201"), config("305"))) == "restart"


@pytest.mark.parametrize(
    "changed", [{"loadInformation": "SIP45.9-4-2SR3-1S"}, {"networkLocale": "France"}, {"transportLayerProtocol": "1"}]
)
def test_changed_firmware_locale_or_transport_needs_a_reset(changed: dict[str, str]) -> None:
    assert action_for(target(config("201"), config("305", **changed))) == "reset"


@pytest.mark.parametrize("served", [None, "no XML"])
def test_unknown_change_needs_a_restart(served: str | None) -> None:
    assert action_for(target(served, config("305"))) == "restart"


FLAT = "line1_name: 201\n"


@pytest.mark.parametrize(
    ("served", "wanted", "event"),
    [
        (FLAT, "line1_name: 305\n", "check-sync"),
        (None, FLAT, "check-sync"),
        (config("201"), config("305"), "service-control"),
        (None, config("305"), "service-control"),
    ],
)
def test_phone_with_flat_config_is_asked_by_check_sync(served: str | None, wanted: str, event: str) -> None:
    phone = target(served, wanted)
    assert phone.reads_flat_config is (event == "check-sync")
    assert variables_for(phone, "1-2@192.0.2.7")[0] == ("Variable", f"Event={event}")


def test_body_is_the_one_that_phones_obey() -> None:
    stamp = "{00000000-0000-0000-0000-000000000000}"
    assert body("reset", "1-2@192.0.2.7") == (
        "action=reset",
        "RegisterCallId={1-2@192.0.2.7}",
        f"ConfigVersionStamp={stamp}",
        f"DialplanVersionStamp={stamp}",
        f"SoftkeyVersionStamp={stamp}",
    )
