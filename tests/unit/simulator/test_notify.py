"""How the simulated phone judges a NOTIFY: the table of the protocol notes, 3(a)."""

import pytest

from cisisk.sip.message import Request
from cisisk.simulator.notify import Order, Verdict, judge

CALL_ID = "0017e0aa-bbcc0002@192.0.2.7"
STAMP = "{00000000-0000-0000-0000-000000000000}"
STAMPS = f"ConfigVersionStamp={STAMP}\r\nDialplanVersionStamp={STAMP}\r\nSoftkeyVersionStamp={STAMP}\r\n"


def notify(body: str = "", uri: str = "sip:1001@192.0.2.7", **headers: str) -> Request:
    given = {"To": "<sip:1001@192.0.2.7>", "Event": "service-control", "Content-Type": "text/plain"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return Request(tuple(given.items()), body.encode(), method="NOTIFY", uri=uri)


def control(action: str = "restart", call_id: str = f"{{{CALL_ID}}}", stamps: str = STAMPS) -> str:
    return f"action={action}\r\nRegisterCallId={call_id}\r\n{stamps}"


@pytest.mark.parametrize(
    ("request_", "verdict"),
    [
        (notify(control()), Verdict(200, Order.RESTART)),
        (notify(control("reset")), Verdict(200, Order.RESET)),
        (notify(control(stamps="")), Verdict(200, Order.RESTART)),
        (notify(f"ACTION=restart\r\nregistercallid= {{{CALL_ID}}}\r\nmore=x"), Verdict(200, Order.RESTART)),
        (notify(control(), uri="sip:desk@192.0.2.7"), Verdict(200, Order.RESTART)),
        (notify(control("prt-report", stamps="")), Verdict(200)),
        (notify(control("check-version")), Verdict(200)),
        (notify(control("check-version", stamps="")), Verdict(400)),
        (notify(control("explode")), Verdict(400)),
        (notify(control(), Event="presence"), Verdict(400)),
        (notify(control(), Event=""), Verdict(400)),
        (notify(control(), uri="sip:1002@192.0.2.7"), Verdict(404)),
        (notify(control(), uri="sip:192.0.2.7"), Verdict(404)),
        (notify(control(), To="<sip:192.0.2.7>"), Verdict(400)),
        (notify(control(), To="<tel:1001>"), Verdict(400)),
        (notify(control(), Content_Type="text/html"), Verdict(400)),
        (notify(), Verdict(400)),
        (notify(control(call_id="")), Verdict(400)),
        (notify(control(call_id=CALL_ID)), Verdict(400)),
        (notify(control(call_id=f"{{{CALL_ID}}} ")), Verdict(400)),
        (notify(control(call_id=f"{{{CALL_ID.upper()}}}")), Verdict(400)),
        (notify(control(call_id="{other}")), Verdict(400)),
        (notify(f"RegisterCallId={{other}}\r\n{control()}"), Verdict(400)),
        (notify(Event="check-sync"), Verdict(200, Order.CHECK_SYNC)),
        (Request((), method="INVITE", uri="sip:1001@192.0.2.7"), Verdict(501)),
    ],
)
def test_a_notify_is_judged_as_the_notes_say(request_: Request, verdict: Verdict) -> None:
    assert judge(request_, users={"1001", "desk"}, call_id=CALL_ID) == verdict


def test_a_line_without_a_call_manager_obeys_no_service_control() -> None:
    assert judge(notify(control()), users={"1001"}, call_id=None) == Verdict(400)
