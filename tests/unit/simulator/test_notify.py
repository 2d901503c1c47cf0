"""The response to a NOTIFY: the table of docs/phone-protocol/restart.md#notify-answers."""

import pytest

from cisisk.simulator.notify import NotifyAnswer, NotifyOrder, answer
from cisisk.sip.message import SipRequest

CALL_ID = "0017e0aa-bbcc0002@192.0.2.7"
STAMP = "{00000000-0000-0000-0000-000000000000}"
STAMPS = f"ConfigVersionStamp={STAMP}\r\nDialplanVersionStamp={STAMP}\r\nSoftkeyVersionStamp={STAMP}\r\n"


def notify(body: str = "", uri: str = "sip:1001@192.0.2.7", **headers: str) -> SipRequest:
    given = {"To": "<sip:1001@192.0.2.7>", "Event": "service-control", "Content-Type": "text/plain"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return SipRequest(tuple(given.items()), body.encode(), method="NOTIFY", uri=uri)


def control(action: str = "restart", call_id: str = f"{{{CALL_ID}}}", stamps: str = STAMPS) -> str:
    return f"action={action}\r\nRegisterCallId={call_id}\r\n{stamps}"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (notify(control()), NotifyAnswer(200, NotifyOrder.RESTART)),
        (notify(control("reset")), NotifyAnswer(200, NotifyOrder.RESET)),
        (notify(control(stamps="")), NotifyAnswer(200, NotifyOrder.RESTART)),
        (notify(f"ACTION=restart\r\nregistercallid= {{{CALL_ID}}}\r\nmore=x"), NotifyAnswer(200, NotifyOrder.RESTART)),
        (notify(control(), uri="sip:desk@192.0.2.7"), NotifyAnswer(200, NotifyOrder.RESTART)),
        (notify(control("prt-report", stamps="")), NotifyAnswer(200)),
        (notify(control("check-version")), NotifyAnswer(200)),
        (notify(control("check-version", stamps="")), NotifyAnswer(400)),
        (notify(control("explode")), NotifyAnswer(400)),
        (notify(control(), Event="presence"), NotifyAnswer(400)),
        (notify(control(), Event=""), NotifyAnswer(400)),
        (notify(control(), uri="sip:1002@192.0.2.7"), NotifyAnswer(404)),
        (notify(control(), uri="sip:192.0.2.7"), NotifyAnswer(404)),
        (notify(control(), To="<sip:192.0.2.7>"), NotifyAnswer(400)),
        (notify(control(), To="<tel:1001>"), NotifyAnswer(400)),
        (notify(control(), Content_Type="text/html"), NotifyAnswer(400)),
        (notify(), NotifyAnswer(400)),
        (notify(control(call_id="")), NotifyAnswer(400)),
        (notify(control(call_id=CALL_ID)), NotifyAnswer(400)),
        (notify(control(call_id=f"{{{CALL_ID}}} ")), NotifyAnswer(400)),
        (notify(control(call_id=f"{{{CALL_ID.upper()}}}")), NotifyAnswer(400)),
        (notify(control(call_id="{other}")), NotifyAnswer(400)),
        (notify(f"RegisterCallId={{other}}\r\n{control()}"), NotifyAnswer(400)),
        (notify(Event="check-sync"), NotifyAnswer(200, NotifyOrder.CHECK_SYNC)),
        (SipRequest((), method="INVITE", uri="sip:1001@192.0.2.7"), NotifyAnswer(501)),
    ],
)
def test_notify_request_gets_documented_answer(request_: SipRequest, expected: NotifyAnswer) -> None:
    assert answer(request_, users={"1001", "desk"}, call_id=CALL_ID) == expected


def test_service_control_without_call_manager_is_refused() -> None:
    assert answer(notify(control()), users={"1001"}, call_id=None) == NotifyAnswer(400)
