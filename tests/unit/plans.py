"""What is to go to a phone, as short as a test wants it."""

from cisisk.model.deployment import Plan
from cisisk.model.mac import Mac
from cisisk.model.profile import Profile


def plan(mac: Mac, profile: Profile, content: bytes) -> Plan:
    """The content of a profile, at once."""
    return Plan(mac=mac, content=content, profile_uuid=profile.uuid, profile_name=profile.name)
