"""One switch of one phone, told by what is known to have happened."""

from dataclasses import dataclass
from enum import StrEnum

from cisisk.model.clock import Timestamp
from cisisk.model.mac import Mac


class Origin(StrEnum):
    """How a config version came to be."""

    SWITCH = "switch"
    ADOPTED = "adopted"


class DeploymentState(StrEnum):
    """The furthest point a deployment is known to have reached."""

    RECORDED = "recorded"
    """Decided; the served file is not yet known to be the new one."""
    WRITTEN = "written"
    """The phone would get the new config if it asked."""
    RESTARTING = "restarting"
    """The phone accepted a restart."""
    WAITING = "waiting"
    """No restart could be triggered: the phone takes the config at its next boot."""
    FETCHED = "fetched"
    """Whoever has the address ``fetched_from`` has acknowledged every byte of this config."""
    SUPERSEDED = "superseded"
    """A newer switch replaced the config before the phone was seen to take it."""
    FAILED = "failed"
    """The config was not written; the phone is served what it had before."""


RESTART_OK = "ok"
"""The ``restart`` text of a restart that was accepted; any other text says why there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One switch of one phone.

    Attributes:
        sha256: of the config as served, hexadecimal.
        requested_by: the user who asked for it; None for Cisisk itself.
        restart: :data:`RESTART_OK`, the reason why no restart was triggered, or None before it was tried.
        restart_method: which method the phone accepted.
        fetched_from: the address that acknowledged the whole file.
        failure: why the config was not written.
    """

    uuid: str
    mac: Mac
    profile_uuid: str | None
    profile_name: str
    sha256: str
    requested_by: str | None
    recorded_at: Timestamp
    written_at: Timestamp | None = None
    restart: str | None = None
    restart_method: str | None = None
    restarted_at: Timestamp | None = None
    fetched_at: Timestamp | None = None
    fetched_from: str | None = None
    superseded_at: Timestamp | None = None
    failed_at: Timestamp | None = None
    failure: str | None = None

    @property
    def state(self) -> DeploymentState:
        """Derived from the facts, the strongest first."""
        if self.failed_at:
            return DeploymentState.FAILED
        if self.fetched_at:
            return DeploymentState.FETCHED
        if self.superseded_at:
            return DeploymentState.SUPERSEDED
        if self.restart == RESTART_OK:
            return DeploymentState.RESTARTING
        if self.restart is not None:
            return DeploymentState.WAITING
        return DeploymentState.WRITTEN if self.written_at else DeploymentState.RECORDED
