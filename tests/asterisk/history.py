"""What a simulated phone did and when, to judge what was claimed about it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from cisisk.simulator.phone import SimulatedPhone

CLOCKS = timedelta(milliseconds=50)
"""An event of the phone reaches this record later than Cisisk by less than this."""
SURELY_RIGHT = timedelta(seconds=2)
"""A phone that is right for so long when it is rolled back was right at the last look at it."""


@dataclass(frozen=True)
class Moment:
    """The state of a phone from ``at`` on: the hash of its config, and whether it is registered."""

    at: datetime
    event: str
    config: str | None
    is_registered: bool


@dataclass
class PhoneHistory:
    """The moments of one phone."""

    moments: list[Moment] = field(default_factory=list)

    def note(self, phone: SimulatedPhone, event: str) -> None:
        """Note an event of the phone, which calls this."""
        self.moments.append(Moment(datetime.now(UTC), event, phone.config_sha256, phone.is_registered))

    def false_claims(self, deployment: Any) -> list[str]:
        """Return what a deployment claims wrongly."""
        claims = {
            "fetched": "fetched_at" in deployment and deployment["fetched_at"] and not self._took(deployment),
            "confirmed": deployment["state"] == "confirmed" and not self._registered(deployment),
            "rolled back a right phone": deployment["state"] == "rolled_back" and self._was_right(deployment),
        }
        return [claim for claim, is_false in claims.items() if is_false]

    def _took(self, deployment: Any) -> list[Moment]:
        """Return the boots that took the deployment's config after it was written."""
        return [
            moment
            for moment in self.moments
            if moment.event.startswith("boot: configured")
            and moment.config == deployment["sha256"]
            and moment.at > _time(deployment["written_at"])
        ]

    def _registered(self, deployment: Any) -> bool:
        """Return whether the phone registered after it took the config, and before that was claimed."""
        confirmed_at = _time(next(step["at"] for step in deployment["steps"] if step["step"] == "registered"))
        return any(
            taken.at < moment.at < confirmed_at + CLOCKS and moment.config == deployment["sha256"]
            for taken in self._took(deployment)
            for moment, after in pairwise((*self.moments, self.moments[-1]))
            # A phone that loses power right after its REGISTER does not hear the answer.
            if moment.event == "registered" or (moment.event, after.event) == ("running", "off")
        )

    def _was_right(self, deployment: Any) -> bool:
        """Return whether the phone was registered with the config for a while when it was rolled back."""
        rolled_back_at = _time(next(step["at"] for step in deployment["steps"] if step["step"] == "rolled_back"))
        before = [moment for moment in self.moments if moment.at <= rolled_back_at]
        lately = [moment for moment in before if moment.at > rolled_back_at - SURELY_RIGHT]
        started = before[: len(before) - len(lately)][-1:]
        return all(moment.is_registered and moment.config == deployment["sha256"] for moment in (*started, *lately))

    def __str__(self) -> str:
        shown = [f"{moment.at:%H:%M:%S.%f} {moment.event} {(moment.config or '')[:8]}" for moment in self.moments]
        return "\n".join(line for line in shown[-40:] if "tftp" not in line)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
