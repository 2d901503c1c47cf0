"""Minimal deployment plans."""

from cisisk.model.deployment import Plan
from cisisk.model.mac import Mac
from cisisk.model.profile import Profile


def plan(mac: Mac, profile: Profile, content: bytes) -> Plan:
    """Return a plan for a profile with this content."""
    return Plan(mac=mac, content=content, profile_uuid=profile.uuid, profile_name=profile.name)
