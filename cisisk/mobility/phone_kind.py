"""What kind of phone a switch is for: its software, and which file it reads its config from.

The inventory counts first, then what the phone requested lately, then the config that it is served, then the profile.
"""

from collections.abc import Collection
from dataclasses import dataclass

from cisisk.model.catalogue import find
from cisisk.model.discovery import DiscoveryHints
from cisisk.model.loads import FIRST_GENERATION
from cisisk.model.mac import Mac
from cisisk.model.phone import Phone, Software
from cisisk.model.profile import Profile, config_of
from cisisk.provisioning.purpose import ADAPTERS, revealed
from cisisk.store import configs, fetches
from cisisk.store.transaction import Read


@dataclass(frozen=True, slots=True)
class PhoneKind:
    """What is known of a phone's kind.

    Attributes:
        software: None if nothing reveals it.
        asks_for_flat_config: it was seen to request ``SIP<MAC>.cnf``.
        is_adapter: it requests ``ATA<MAC>.cnf.xml``.
    """

    software: Software | None
    asks_for_flat_config: bool
    is_adapter: bool


def kind_of(tx: Read, mac: Mac, phone: Phone | None, address: str | None, profile: Profile | None) -> PhoneKind:
    """Return the kind of a phone.

    Args:
        phone: None if the phone is not in the inventory.
        address: at which it was seen; None if it was not.
        profile: that it is to be switched to, or was; None if that is not known.
    """
    hints = _hints(tx, mac, phone, address)
    return PhoneKind(
        software=_software(tx, mac, phone, hints, profile),
        asks_for_flat_config=hints.software == "SIP" and _is_among(hints.models, FIRST_GENERATION),
        is_adapter=_is_adapter(mac, phone, hints),
    )


def _hints(tx: Read, mac: Mac, phone: Phone | None, address: str | None) -> DiscoveryHints:
    if phone is not None and phone.discovery is not None:
        return phone.discovery.revealed
    if address is None or (phone is not None and phone.software is not None and phone.model is not None):
        return DiscoveryHints()
    return revealed(fetches.lately_asked_by(tx, mac, address))


def _software(
    tx: Read, mac: Mac, phone: Phone | None, hints: DiscoveryHints, profile: Profile | None
) -> Software | None:
    if phone is not None and phone.software is not None:
        return phone.software
    wanted = profile.software_type if profile else None
    if hints.software is not None:
        return _with_protocol(hints.software, wanted)
    served = configs.served_content(tx, mac)
    if served is not None and (runs := config_of(served)) is not None and runs.speaks is not None:
        return _with_protocol(runs.speaks, wanted)
    if wanted is not None:
        return wanted
    config = profile.config if profile else None
    return Software(config.speaks) if config is not None and config.speaks is not None else None


def _with_protocol(protocol: str, wanted: Software | None) -> Software:
    """Return the software of a protocol: the profile's kind of SIP software, if that is for SIP."""
    if protocol == "SIP" and wanted is Software.SIPE:
        return wanted
    return Software(protocol)


def _is_adapter(mac: Mac, phone: Phone | None, hints: DiscoveryHints) -> bool:
    facts = find(phone.model) if phone is not None and phone.model else None
    if facts is not None:
        return facts.name in ADAPTERS
    return mac.is_second_port or _is_among(hints.models, ADAPTERS)


def _is_among(models: Collection[str], known: Collection[str]) -> bool:
    return bool(models) and set(models) <= set(known)
