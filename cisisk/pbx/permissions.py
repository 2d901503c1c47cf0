"""What the refusals of Asterisk mean, and which permission each action needs.

Source: docs/phone-protocol/asterisk.md#privileges
"""

from cisisk.model.codes.asterisk import AsteriskProblem
from cisisk.model.notice import Notice
from cisisk.pbx.wire import shown

PERMISSIONS = {
    "Command": "command",
    "CoreShowChannels": "system",
    "Getvar": "reporting",
    "PJSIPNotify": "system",
    "PJSIPShowEndpoint": "system",
    "PJSIPShowRegistrationInboundContactStatuses": "system",
    "SCCPDeviceRestart": "system",
    "SCCPListDevices": "system",
    "SIPnotify": "system",
    "SIPpeers": "system",
    "SIPshowpeer": "system",
}
"""The class that permits an action, to be named in ``write=``. Several classes permit most of them."""
_DRIVERS = {"PJSIP": "chan_pjsip", "SIP": "chan_sip"}
"""The SIP driver, by the beginning of its actions."""


def is_denied(said: str) -> bool:
    """Return whether the account lacks a permission."""
    return said.lower() == "permission denied"


def is_unknown_action(said: str) -> bool:
    """Return whether Asterisk does not know an action."""
    return said.lower().startswith("invalid/unknown command")


def is_stopping(said: str) -> bool:
    """Return whether Asterisk refuses because it stops."""
    return said.lower() == "asterisk is shutting down"


def refusal(said: str, action: str) -> Notice:
    """Return what it means that Asterisk ``said`` so about an action."""
    if is_denied(said) and (permission := PERMISSIONS.get(action)):
        return AsteriskProblem.PERMISSION_DENIED.notice(action=action, permission=permission)
    if is_unknown_action(said):
        if action.startswith("SCCP"):
            return AsteriskProblem.CHAN_SCCP_NOT_LOADED.notice(action=action)
        if driver := next((driver for start, driver in _DRIVERS.items() if action.startswith(start)), None):
            return AsteriskProblem.DRIVER_NOT_LOADED.notice(action=action, driver=driver)
    text = shown(said)
    return AsteriskProblem.REFUSED.notice(said=text) if text else AsteriskProblem.REFUSED_WITHOUT_REASON.notice()
