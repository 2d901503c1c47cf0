"""The NOTIFY that restarts a phone (Event: service-control; phone-protocol notes 3a), whoever sends it."""

from typing import TypeAlias

from cisisk.model.phone import Software
from cisisk.model.sep_config.diff import RestartType, reset_reasons
from cisisk.model.target import Target

EVENT = "service-control"
CONTENT_TYPE = "text/plain"
_NO_STAMP = "{00000000-0000-0000-0000-000000000000}"

Action: TypeAlias = RestartType


def action_for(target: Target) -> Action:
    """``reset`` if the new config changes what a phone takes only when it starts anew, else ``restart`` (notes 3.0)."""
    if target.action is not None:
        return target.action
    if target.software is Software.SCCP:
        # Few configs for SCCP say so themselves; over SCCP a restart reads no files (notes 3.0).
        return "reset"
    before, after = target.runs, target.takes
    if before is None or after is None:
        return "restart"
    return "reset" if reset_reasons(before, after) else "restart"


def body(action: Action, call_id: str) -> tuple[str, ...]:
    """The lines of the body, without their ends.

    Three stamps, which every stack takes; a fourth is known to be refused by an 8861 (notes 3a, 7).

    Args:
        call_id: of the REGISTER of the phone's first line; with another one the phone answers 400.
    """
    return (
        f"action={action}",
        f"RegisterCallId={{{call_id}}}",
        f"ConfigVersionStamp={_NO_STAMP}",
        f"DialplanVersionStamp={_NO_STAMP}",
        f"SoftkeyVersionStamp={_NO_STAMP}",
    )


def variables(action: Action, call_id: str) -> list[tuple[str, str]]:
    """The event and the body as headers of AMI's PJSIPNotify and SIPnotify (notes 3b): one ``Variable`` for each item.

    An empty line at the end ends the last one with CR LF (pjsip_notify.conf.sample).
    """
    content = [("Variable", f"Content={line}") for line in (*body(action, call_id), "")]
    return [("Variable", f"Event={EVENT}"), ("Variable", f"Content-Type={CONTENT_TYPE}"), *content]
