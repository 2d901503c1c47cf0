"""Sites: what the phones of one location have in common."""

from dataclasses import dataclass

from cisisk.model.clock import Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A location with phones.

    Attributes:
        name: as the ``location`` of its phones has it, in any case of letters, with accents or without.
        logout_profile_uuid: what its phones are given when a user leaves them.
        logout_at: at which times of the day, such as ``20:00``, who is logged in there is logged out; None for those of
            the settings.
        revision: counts the changes.
    """

    uuid: str
    name: str
    logout_profile_uuid: str | None = None
    emergency_location: str | None = None
    emergency_caller_id: str | None = None
    logout_at: tuple[str, ...] | None = None
    created_at: Timestamp
    updated_at: Timestamp
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyCall:
    """What an emergency call from a phone tells of it, whoever is logged in there; None for what nobody has said.

    Attributes:
        location: where help has to come to.
        caller_id: the number that the emergency service calls back.
    """

    location: str | None = None
    caller_id: str | None = None
