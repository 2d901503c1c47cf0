"""The moves of deployments from state to state, by the table of :mod:`cisisk.model.deployment_states`."""

from collections.abc import Mapping, Sequence
from typing import Any

from cisisk.model.clock import Timestamp
from cisisk.model.deployment import Deployment
from cisisk.model.deployment_states import SUPERSEDE_DEFERRED, Transition
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.store import deployments, steps
from cisisk.store.transaction import Write


def move(
    tx: Write,
    before: Deployment,
    candidates: Sequence[Transition],
    moment: Timestamp,
    notice: Notice,
    columns: Mapping[str, Any] | None = None,
) -> Deployment | None:
    """Move a deployment by the first candidate that applies to it, and leave the steps of that transition.

    Args:
        before: the deployment, as this transaction has read it.
        moment: when it happened; ``ended_at`` if the transition ends the deployment.
        notice: what the steps say.
        columns: what else to set, by the attributes of :class:`Deployment`.

    Returns:
        The deployment after the move; None, and nothing is changed, if no candidate applies.
    """
    transition = next((each for each in candidates if each.applies_to(before)), None)
    if transition is None:
        return None
    changed = {**(columns or {}), "state": transition.target or before.state}
    if transition.ends is not None:
        changed["ended_at"] = (before.ended_at or moment) if transition.ends else None
    after = deployments.update(tx, before, changed)
    for step in transition.steps:
        steps.add(tx, after, moment, step, notice)
    return after


def call_off(tx: Write, mac: Mac, moment: Timestamp, notice: Notice) -> None:
    """Supersede the phone's deployments that have not begun."""
    for deferred in deployments.deferred(tx, mac):
        move(tx, deferred, [SUPERSEDE_DEFERRED], moment, notice, {"deferred_until": None})


def state_after(*transitions: Transition) -> str:
    """SQL: the state after the first of ``transitions`` whose sources have the row."""
    cases = (f"WHEN {is_in_sources(each)} THEN {_target(each)}" for each in transitions)
    return f"CASE {' '.join(cases)} ELSE state END"


def is_in_sources(*transitions: Transition) -> str:
    """SQL: whether a row of ``deployments`` is in a source of one of ``transitions``."""
    sources = {source for each in transitions for source in each.sources}
    alternatives = (
        f"ended_at IS {'NOT NULL' if ended else 'NULL'} AND state IN ({', '.join(names)})"
        for ended in (False, True)
        if (names := sorted(f"'{source.state}'" for source in sources if source.ended is ended))
    )
    return f"({' OR '.join(alternatives)})"


def _target(transition: Transition) -> str:
    return "state" if transition.target is None else f"'{transition.target}'"
