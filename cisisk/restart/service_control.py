"""The NOTIFY that restarts a phone (Event: service-control).

Source: docs/phone-protocol/restart.md#service-control
"""

from typing import TypeAlias

from cisisk.model.phone import Software
from cisisk.model.sep_config.diff import RestartType, reset_reasons
from cisisk.model.target import Target

EVENT = "service-control"
CHECK_SYNC = "check-sync"
"""The event that restarts a 7940 or 7960 with SIP firmware, which knows no ``service-control``."""
CONTENT_TYPE = "text/plain"
_NO_STAMP = "{00000000-0000-0000-0000-000000000000}"

Action: TypeAlias = RestartType


def action_for(target: Target) -> Action:
    """Return ``reset`` if the new config needs one, else ``restart``.

    Source: docs/phone-protocol/sep-xml.md#what-needs-a-reset
    """
    if target.action is not None:
        return target.action
    if target.software is Software.SCCP:
        # Few SCCP configs name their software; over SCCP a restart reads no files
        # (docs/phone-protocol/restart.md#restart-and-reset).
        return "reset"
    before, after = target.runs, target.takes
    if before is None or after is None:
        return "restart"
    return "reset" if reset_reasons(before, after) else "restart"


def body(action: Action, call_id: str) -> tuple[str, ...]:
    """Return the lines of the body, without line ends.

    Three stamps, which every stack takes. An 8861 is reported to refuse a fourth one
    (docs/phone-protocol/restart.md#service-control).

    Args:
        call_id: of the REGISTER of the phone's first line. To another one the phone answers 400.
    """
    return (
        f"action={action}",
        f"RegisterCallId={{{call_id}}}",
        f"ConfigVersionStamp={_NO_STAMP}",
        f"DialplanVersionStamp={_NO_STAMP}",
        f"SoftkeyVersionStamp={_NO_STAMP}",
    )


def variables_for(target: Target, call_id: str) -> list[tuple[str, str]]:
    """Return event and body as :func:`variables`; for a phone that reads a flat config, those of ``check-sync``.

    Source: docs/phone-protocol/restart.md#check-sync
    """
    if target.reads_flat_config:
        return [("Variable", f"Event={CHECK_SYNC}")]
    return variables(action_for(target), call_id)


def variables(action: Action, call_id: str) -> list[tuple[str, str]]:
    """Return event and body as headers of AMI's PJSIPNotify and SIPnotify: one ``Variable`` for each item.

    Source: docs/phone-protocol/asterisk.md#pjsip-notify. An empty line at the end closes the last one with CR LF.
    """
    content = [("Variable", f"Content={line}") for line in (*body(action, call_id), "")]
    return [("Variable", f"Event={EVENT}"), ("Variable", f"Content-Type={CONTENT_TYPE}"), *content]
