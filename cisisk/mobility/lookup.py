"""What the store knows about a switch before anything changes. Each function is one read."""

from contextlib import suppress
from dataclasses import dataclass

from cisisk.mobility.phone_kind import PhoneKind, kind_of
from cisisk.model import placeholders
from cisisk.model.deployment import Deployment
from cisisk.model.errors import Conflict, NotFound
from cisisk.model.mac import Mac
from cisisk.model.phone import Phone, Software
from cisisk.model.profile import Profile, misfit
from cisisk.model.site import EmergencyCall
from cisisk.model.target import Target
from cisisk.store import configs, deployments, phones, profiles, sites
from cisisk.store.transaction import Read


@dataclass(frozen=True, slots=True)
class Choice:
    """A profile, the phone that it is for, and what emergency calls from that phone tell."""

    profile: Profile
    target: Target
    call: EmergencyCall


@dataclass(frozen=True, slots=True)
class Earlier:
    """A config that a phone was served once.

    Attributes:
        deployment: the newest one that served it; None if no deployment did.
        profile: where it came from, if it has to be rendered again: emergency calls tell where the phone is now.
    """

    content: bytes
    deployment: Deployment | None
    profile: Profile | None
    call: EmergencyCall


def choice(tx: Read, profile_uuid: str, mac: Mac) -> Choice:
    """Return what a switch of the phone to the profile needs.

    Raises:
        NotFound: there is no such profile.
        Conflict: the profile does not fit the phone.
    """
    profile, phone = profiles.get(tx, profile_uuid), phones.find(tx, mac)
    address = _address(tx, mac, phone)
    kind = kind_of(tx, mac, phone, address, profile)
    reason = misfit(profile, phone or _Unknown(), asks_for_flat_config=kind.asks_for_flat_config)
    if reason is not None:
        raise Conflict(reason)
    return Choice(profile, _target(mac, phone, address, kind), _call(tx, profile, mac))


def phone(tx: Read, mac: Mac) -> Target:
    """Return the phone as it is known now."""
    return _looked_up(tx, mac, None)


def phone_of(tx: Read, deployment: Deployment) -> Target:
    """Return the phone of a deployment as it is known now."""
    profile = None
    if deployment.profile_uuid is not None:
        with suppress(NotFound):
            profile = profiles.get(tx, deployment.profile_uuid)
    return _looked_up(tx, deployment.mac, profile)


def content(tx: Read, sha256: str) -> bytes:
    """Return the content of a config version. Raises NotFound."""
    found = configs.content_of(tx, sha256)
    if found is None:
        raise NotFound("The config version is not there any more")
    return found


def earlier(tx: Read, mac: Mac, sha256: str, deployment: Deployment | None = None) -> Earlier:
    """Return a config that the phone was served once, by ``deployment`` if it is given. Raises NotFound."""
    served = content(tx, sha256)
    deployment = deployment or deployments.of_config(tx, mac, sha256)
    if deployment is not None:
        with suppress(NotFound):
            profile = profiles.get(tx, deployment.profile_uuid or "")
            if _tells_place(profile) and profile.updated_at <= deployment.recorded_at:
                return Earlier(served, deployment, profile, _call(tx, profile, mac))
    return Earlier(served, deployment, None, EmergencyCall())


@dataclass(frozen=True, slots=True)
class _Unknown:
    """A phone that is not in the inventory, as profiles are compared with it."""

    model: str | None = None
    software: Software | None = None


def _looked_up(tx: Read, mac: Mac, profile: Profile | None) -> Target:
    known = phones.find(tx, mac)
    address = _address(tx, mac, known)
    return _target(mac, known, address, kind_of(tx, mac, known, address, profile))


def _address(tx: Read, mac: Mac, known: Phone | None) -> str | None:
    return known.address if known else phones.last_seen(tx, mac)


def _target(mac: Mac, known: Phone | None, address: str | None, kind: PhoneKind) -> Target:
    """Return the phone. Where nothing reveals its software, it is taken for a SIP phone, as most are."""
    return Target(
        mac=mac,
        address=address,
        model=known.model if known else None,
        software=kind.software or Software.SIP,
        is_adapter=kind.is_adapter,
    )


def _call(tx: Read, profile: Profile, mac: Mac) -> EmergencyCall:
    """Return what emergency calls from the phone tell, if the profile asks for it."""
    return sites.emergency_call(tx, mac) if _tells_place(profile) else EmergencyCall()


def _tells_place(profile: Profile) -> bool:
    return profile.placeholders and not placeholders.used(profile.cnf_xml).isdisjoint(placeholders.EMERGENCY)
