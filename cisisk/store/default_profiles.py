"""Default profiles: which of a user's profiles is offered first on a phone of a model."""

from collections.abc import Collection
from dataclasses import dataclass

from cisisk.model.clock import Timestamp
from cisisk.model.errors import Invalid
from cisisk.model.phone import plain_model
from cisisk.model.revision import require_current
from cisisk.model.user import Actor
from cisisk.store import audit, users
from cisisk.store.changes import change
from cisisk.store.transaction import Read, Write


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultProfile:
    """A user's default profile for one model.

    Attributes:
        model: in the form that is compared, such as ``7942``.
    """

    model: str
    profile_uuid: str
    profile_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultProfiles:
    """All default profiles of a user, by model. Their revision is the user's."""

    default_profiles: tuple[DefaultProfile, ...]
    created_at: Timestamp
    revision: int


def get(tx: Read, user_uuid: str) -> DefaultProfiles:
    """Return the default profiles of a user, with their revision. Raises NotFound: there is no such user."""
    user = users.get(tx, user_uuid)
    return DefaultProfiles(default_profiles=of_user(tx, user_uuid), created_at=user.created_at, revision=user.revision)


def of_user(tx: Read, user_uuid: str) -> tuple[DefaultProfile, ...]:
    """Return the default profiles of a user."""
    rows = tx.rows(
        "SELECT model, profile_uuid, name AS profile_name FROM user_default_profiles"
        " JOIN profiles ON profiles.uuid = profile_uuid AND profiles.user_uuid = user_default_profiles.user_uuid"
        " WHERE profiles.user_uuid = ? ORDER BY model",
        (user_uuid,),
    )
    return tuple(DefaultProfile(**dict(row)) for row in rows)


def find(tx: Read, user_uuid: str, model: str) -> str | None:
    """Return the uuid of the user's default profile for that model, or None."""
    row = tx.row(
        "SELECT profile_uuid FROM user_default_profiles WHERE user_uuid = ? AND model = ?",
        (user_uuid, plain_model(model)),
    )
    return None if row is None else str(row["profile_uuid"])


def put(
    tx: Write,
    actor: Actor,
    user_uuid: str,
    defaults: Collection[tuple[str, str]],
    seen: Collection[str] | None = None,
) -> DefaultProfiles:
    """Replace all default profiles of a user by pairs of a model and the uuid of a profile.

    Raises:
        NotFound: there is no such user.
        Stale: the user has changed since.
        Invalid: a profile is not the user's, or a model has two.
    """
    by_model = {plain_model(model): uuid for model, uuid in defaults}
    if len(by_model) < len(defaults):
        raise Invalid.field("default_profiles", "Two of them are for the same model")
    require_current(users.get(tx, user_uuid), seen)
    _require_own(tx, user_uuid, by_model.values())
    tx.rows("DELETE FROM user_default_profiles WHERE user_uuid = ?", (user_uuid,))
    tx.many(
        "INSERT INTO user_default_profiles (user_uuid, model, profile_uuid) VALUES (?, ?, ?)",
        [(user_uuid, model, uuid) for model, uuid in by_model.items()],
    )
    change(tx, "users", ("uuid", user_uuid), {})
    audit.record(tx, actor, "user.default_profiles", user_uuid, {"default_profiles": by_model})
    return get(tx, user_uuid)


def _require_own(tx: Read, user_uuid: str, uuids: Collection[str]) -> None:
    own = {row["uuid"] for row in tx.rows("SELECT uuid FROM profiles WHERE user_uuid = ?", (user_uuid,))}
    if not own.issuperset(uuids):
        raise Invalid.field("default_profiles", "A default has to be one of the user's own profiles")
