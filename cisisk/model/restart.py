"""The result of a restart."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cisisk.model.codes.restart import RestartNotice, Sequel
from cisisk.model.notice import Notice, NoticeCode


class RestartOutcome(StrEnum):
    """The result of the attempt to restart a phone. A deployment has none before the first attempt."""

    ACCEPTED = "accepted"
    """The phone accepted a restart."""
    REFUSED = "refused"
    """Every method was refused."""
    NO_METHOD = "no_method"
    """No method is configured for the phone's software."""
    NOT_NEEDED = "not_needed"
    """The phone has not taken the config that a rollback takes back."""
    NEEDED_AFTER_ALL = "needed_after_all"
    """The phone took that config during the rollback. It still has to restart."""
    SUPERSEDED = "superseded"
    """A newer switch restarts the phone."""
    STOPPED = "stopped"
    """Cisisk was stopped before the phone accepted. The next start tries it again."""
    CUT_OFF = "cut_off"
    """Cisisk ended before it recorded the result of the restart."""


class Worth(StrEnum):
    """What the result of one restart method shows."""

    ANSWERED = "answered"
    """The phone itself accepted."""
    SENT = "sent"
    """The call manager sent the request. The phone may have refused it: the answer is not shown."""
    REFUSED = "refused"
    """Nothing was sent, or the phone refused."""


@dataclass(frozen=True, slots=True)
class TriedMethod:
    """One restart method that was tried, and what its result shows."""

    method: str
    worth: Worth

    def plain(self) -> dict[str, Any]:
        """Return the method and its worth, ready for JSON."""
        return {"method": self.method, "worth": self.worth}


@dataclass(frozen=True, slots=True)
class MethodRefusal:
    """One restart method that was refused, and why."""

    method: str
    reason: Notice

    def plain(self) -> dict[str, Any]:
        """Return the method and the reason, ready for JSON."""
        return {"method": self.method, "reason": self.reason.plain()}


_WITHOUT_SEQUEL: dict[RestartOutcome, NoticeCode] = {
    RestartOutcome.NO_METHOD: RestartNotice.NO_METHOD,
    RestartOutcome.NOT_NEEDED: RestartNotice.NOT_NEEDED,
    RestartOutcome.NEEDED_AFTER_ALL: RestartNotice.NEEDED_AFTER_ALL,
    RestartOutcome.SUPERSEDED: RestartNotice.SUPERSEDED,
}
_WITH_SEQUEL: dict[RestartOutcome, tuple[NoticeCode, Sequel]] = {
    RestartOutcome.STOPPED: (RestartNotice.STOPPED, Sequel.WHEN_RUNNING),
    RestartOutcome.CUT_OFF: (RestartNotice.CUT_OFF, Sequel.IF_NOT_FETCHED),
}


def accepted_notice(method: str | None, action: str | None, worth: Worth) -> Notice:
    """What is said of a restart that a method accepted."""
    code = RestartNotice.SENT if worth is Worth.SENT else RestartNotice.ACCEPTED
    return code.notice(method=method or "", action=action or "restart")


def why_not_restarted(
    outcome: RestartOutcome, refusals: Sequence[MethodRefusal], sequel: Notice | None = None
) -> Notice:
    """Why there was no restart. Methods with the same reason stand together.

    Args:
        outcome: any but :attr:`RestartOutcome.ACCEPTED`.
        sequel: what came instead; None while the outcome's own sequel is still to come.
    """
    if (code := _WITHOUT_SEQUEL.get(outcome)) is not None:
        return code.notice()
    if outcome in _WITH_SEQUEL:
        code, promise = _WITH_SEQUEL[outcome]
        return code.notice(sequel=sequel or promise.notice())
    return RestartNotice.REFUSED.notice(reasons=_grouped(refusals), sequel=sequel or Sequel.AT_NEXT_BOOT.notice())


def _grouped(refusals: Sequence[MethodRefusal]) -> tuple[Notice, ...]:
    methods: dict[Notice, list[str]] = {}
    for refusal in refusals:
        methods.setdefault(refusal.reason, []).append(refusal.method)
    return tuple(
        RestartNotice.REFUSED_BY.notice(methods=", ".join(names), reason=reason) if any(names) else reason
        for reason, names in methods.items()
    )


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one attempt to restart a phone.

    Attributes:
        method: the name of the method that the phone accepted.
        refusals: the methods that were refused.
        worth: what the acceptance shows.
    """

    outcome: RestartOutcome
    method: str | None = None
    refusals: tuple[MethodRefusal, ...] = ()
    worth: Worth = Worth.ANSWERED

    @property
    def tried(self) -> tuple[TriedMethod, ...]:
        """The methods that were tried, in this order."""
        refused = tuple(TriedMethod(each.method, Worth.REFUSED) for each in self.refusals)
        return refused if self.method is None else (*refused, TriedMethod(self.method, self.worth))

    def notice(self, action: str | None) -> Notice:
        """What the step of a deployment says of it. ``action`` is what the phone was asked for."""
        if self.outcome is RestartOutcome.ACCEPTED:
            return accepted_notice(self.method, action, self.worth)
        return why_not_restarted(self.outcome, self.refusals)
