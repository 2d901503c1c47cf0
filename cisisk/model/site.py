"""Sites: settings that the phones of one location share."""

from dataclasses import dataclass

from cisisk.model.clock import Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A location with phones.

    Attributes:
        name: equals the ``location`` of its phones; case and accents are ignored.
        logout_profile_uuid: the profile that its phones get after a logout.
        logout_at: times of day, such as ``20:00``, at which all its users are logged out; None for those of the
            settings.
        revision: the number of changes.
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
    """The emergency data of a phone; it does not depend on the user. None for values that are not set.

    Attributes:
        location: where the emergency service has to go.
        caller_id: the number that the emergency service calls back.
    """

    location: str | None = None
    caller_id: str | None = None
