"""The location and caller id that a phone's emergency calls show, for every user who logs in on it.

Source: docs/phone-protocol/extension-mobility.md#emergency-calls
"""

from cisisk.model import placeholders
from cisisk.model.codes.config import FindingCode
from cisisk.model.errors import NotFound
from cisisk.model.mac import Mac
from cisisk.model.sep_config import Finding
from cisisk.model.site import EmergencyCall
from cisisk.store import profiles, sites
from cisisk.store.transaction import Read


def values(call: EmergencyCall) -> dict[str, str]:
    """Return the values of the placeholders; empty for an unknown one, which a PBX treats as absent."""
    return {"emergency_location": call.location or "", "emergency_caller_id": call.caller_id or ""}


def findings(tx: Read, profile_uuid: str | None, mac: Mac) -> tuple[Finding, ...]:
    """Return a finding for each value that a profile uses, and that neither the phone nor its site has."""
    try:
        profile = profiles.get(tx, profile_uuid or "")
    except NotFound:
        return ()
    used = placeholders.used(profile.cnf_xml) if profile.placeholders else frozenset()
    if used.isdisjoint(placeholders.EMERGENCY):
        return ()
    known = values(sites.emergency_call(tx, mac))
    return tuple(
        Finding(FindingCode.EMERGENCY_UNKNOWN.notice(placeholder=name))
        for name in placeholders.EMERGENCY
        if name in used and not known[name]
    )
