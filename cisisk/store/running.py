"""What each phone runs: the last config that it took whole on the way to a registration or to the end of its boot.

Source: docs/phone-protocol/boot.md#request-order
"""

import json
from collections.abc import Collection
from dataclasses import dataclass

from cisisk.model.clock import Timestamp
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.phone import RunningEvidence
from cisisk.store.transaction import Write

_PROFILE = (
    "COALESCE((SELECT profile_uuid FROM deployments WHERE mac = ?1 AND sha256 = ?2 AND written_at IS NOT NULL"
    " ORDER BY number DESC LIMIT 1),"
    " (SELECT profile_uuid FROM takeovers WHERE mac = ?1 AND sha256 = ?2))"
)
"""The profile that a config of a phone came from."""
_TO_RUNNING = (
    "sha256 = taken_sha256, profile_uuid = taken_profile_uuid, since = taken_at, evidence = 'boot',"
    " registered_at = NULL, registered_as = NULL, taken_sha256 = NULL, taken_profile_uuid = NULL, taken_at = NULL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A config that a phone took whole, requested at ``at``."""

    mac: Mac
    sha256: str
    at: Timestamp


def taken(tx: Write, configs: Collection[Taken]) -> set[Mac]:
    """Record configs that phones took, and return the phones that did not run theirs.

    Such a phone runs its config as soon as its boot goes on, or it registers.
    """
    rows = tx.rows(
        "SELECT mac, sha256, taken_sha256 FROM running_configs WHERE mac IN (SELECT value FROM json_each(?))",
        (json.dumps([each.mac.digits for each in configs]),),
    )
    known = {row["mac"]: (row["sha256"], row["taken_sha256"]) for row in rows}
    # Most phones take at each boot what they run.
    news = [each for each in configs if known.get(each.mac.digits) != (each.sha256, None)]
    for each in news:
        if each.mac.digits in known:
            _take_again(tx, each)
        else:
            _take(tx, each)
    return {each.mac for each in news}


def _take(tx: Write, each: Taken) -> None:
    tx.rows(
        "INSERT INTO running_configs (mac, taken_sha256, taken_profile_uuid, taken_at)"  # noqa: S608 -- own names
        f" VALUES (?1, ?2, {_PROFILE}, ?3) ON CONFLICT (mac) DO UPDATE"
        " SET taken_sha256 = excluded.taken_sha256, taken_profile_uuid = excluded.taken_profile_uuid,"
        " taken_at = excluded.taken_at",
        (each.mac.digits, each.sha256, each.at),
    )


def _take_again(tx: Write, each: Taken) -> None:
    # The boot before has ended, if it was not the same one.
    tx.rows(
        f"UPDATE running_configs SET {_TO_RUNNING}"  # noqa: S608 -- own names
        " WHERE mac = ?1 AND taken_sha256 = (SELECT phones_run.sha256 FROM phones_run WHERE phones_run.mac = ?1)",
        (each.mac.digits,),
    )
    _take(tx, each)
    # It took again what it runs: nothing has changed.
    tx.rows(
        "UPDATE running_configs SET taken_sha256 = NULL, taken_profile_uuid = NULL, taken_at = NULL"
        " WHERE mac = ?1 AND sha256 = ?2",
        (each.mac.digits, each.sha256),
    )


def went_on(tx: Write, macs: Collection[Mac]) -> None:
    """Record that the boots of phones went on after their configs: they run them."""
    for mac in macs:
        tx.rows(
            f"UPDATE running_configs SET {_TO_RUNNING} WHERE mac = ? AND taken_at IS NOT NULL",  # noqa: S608 -- own names
            (mac.digits,),
        )


def registered(tx: Write, mac: Mac, sha256: str, at: Timestamp, evidence: Notice) -> None:
    """Record that a phone has registered with a config, at ``at``."""
    values = (mac.digits, sha256, at, RunningEvidence.REGISTRATION, evidence.to_json())
    tx.rows(
        "INSERT INTO running_configs (mac, sha256, profile_uuid, since, evidence, registered_at, registered_as)"  # noqa: S608 -- own names
        f" VALUES (?1, ?2, {_PROFILE}, ?3, ?4, ?3, ?5) ON CONFLICT (mac) DO UPDATE SET"
        " since = CASE excluded.sha256 WHEN taken_sha256 THEN taken_at WHEN sha256 THEN since ELSE excluded.since END,"
        " sha256 = excluded.sha256, profile_uuid = excluded.profile_uuid, evidence = excluded.evidence,"
        " registered_at = excluded.registered_at, registered_as = excluded.registered_as,"
        " taken_sha256 = NULL, taken_profile_uuid = NULL, taken_at = NULL",
        values,
    )
