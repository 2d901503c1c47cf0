"""One change of one phone's config, told by what is known to have happened."""

from dataclasses import dataclass, field
from enum import StrEnum

from cisisk.model.clock import Timestamp
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.restart import MethodRefusal, RestartOutcome
from cisisk.model.start_time import NOW, StartTime


class Origin(StrEnum):
    """How a config version came to be."""

    SWITCH = "switch"
    LOGOUT = "logout"
    ROLLBACK = "rollback"
    ADOPTED = "adopted"


class DeploymentState(StrEnum):
    """The furthest point a deployment is known to have reached, or how it ended."""

    DEFERRED = "deferred"
    """Decided; it begins later, when the phone is idle or at its time."""
    RECORDED = "recorded"
    """Begun; the served file is not yet known to be the new one."""
    WRITTEN = "written"
    """The phone would get the new config if it asked."""
    RESTARTING = "restarting"
    """The phone accepted a restart."""
    WAITING = "waiting"
    """No restart could be triggered: the phone takes the config at its next boot."""
    FETCHED = "fetched"
    """Whoever has the address ``fetched_from`` has acknowledged every byte of this config. The end when nobody can tell
    whether the phone registers."""
    CONFIRMED = "confirmed"
    """The phone has registered after it took the config."""
    TIMED_OUT = "timed_out"
    """``timed_out_on`` did not happen in time. It is still recorded if it happens later."""
    SUPERSEDED = "superseded"
    """A newer config replaced this one before the phone was seen to take it."""
    FAILED = "failed"
    """The config was not written; the phone is served what it had before."""
    ROLLED_BACK = "rolled_back"
    """The phone is served again what it was served before."""
    CANCELLED = "cancelled"
    """It was called off before it began."""


class StepName(StrEnum):
    """What can happen to a deployment."""

    DEFERRED = "deferred"
    RECORDED = "recorded"
    WRITTEN = "written"
    RESTART_ACCEPTED = "restart_accepted"
    RESTART_REFUSED = "restart_refused"
    FETCH_STARTED = "fetch_started"
    FETCH_BROKEN_OFF = "fetch_broken_off"
    FETCHED = "fetched"
    REGISTERED = "registered"
    TIMED_OUT = "timed_out"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"


class Awaited(StrEnum):
    """What a deployment can wait for in vain."""

    RESTART = "restart"
    FETCH = "fetch"
    REGISTRATION = "registration"


class OnTimeout(StrEnum):
    """What becomes of a config that the phone does not take, or does not register with."""

    KEEP = "keep"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a deployment goes about it.

    Attributes:
        when: when it begins.
        retry: trigger the restart once more when the phone does not come for its config.
        escalate: after that, have it reset when it was told to restart only.
        refuse_in_call: do not accept the switch while the phone is in a call.
        quiet_minutes: for so long after a call the phone still counts as in a call.
        fetch_seconds: for the phone to come for its config after a restart was triggered.
        register_seconds: for the phone to register after it took its config.
    """

    when: StartTime = NOW
    retry: bool = True
    escalate: bool = True
    on_timeout: OnTimeout = OnTimeout.KEEP
    refuse_in_call: bool = False
    quiet_minutes: int = 0
    fetch_seconds: int = 180
    register_seconds: int = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What goes to a phone.

    Attributes:
        content: the config as it is to be served.
        profile_uuid: whose config it is; None when it is no profile's.
        deferred_until: when it begins; None if it begins at once.
        rolls_back: the deployment that this one undoes.
        line: by which line of its config the phone can be told among the registrations; None when it cannot.
        before_peer, before_call_id: how the phone was registered when this was planned; None and empty when it was not,
            or nobody could tell.
    """

    mac: Mac
    content: bytes = field(repr=False)
    profile_uuid: str | None
    profile_name: str
    origin: Origin = Origin.SWITCH
    policy: Policy = field(default_factory=Policy)
    deferred_until: StartTime | None = None
    rolls_back: str | None = None
    line: str | None = None
    before_peer: str | None = None
    before_call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One change of one phone's config.

    Attributes:
        sha256: of the config as served, hexadecimal.
        replaced: of what the phone was served before; None when that was nothing.
        rolls_back: the uuid of the deployment that this one undoes.
        requested_by: the user who asked for it; None for Cisisk itself.
        deferred_until: when it begins, while it has not begun.
        restart_outcome: what came of the restart; None before it was tried.
        restart_method: which method the phone accepted.
        restart_detail: the methods that were refused.
        tries: how often a restart was triggered, the last time at ``tried_at``.
        action: what was asked for the last time, ``restart`` or ``reset``.
        fetched_from: the address that acknowledged the whole file.
        registered_as: what shows that the phone has registered.
        superseded_at: when another config was written over this one.
        failure: why the config was not written.
        ended_at: since when nothing more is awaited.
        timed_out_on: what did not happen in time.
    """

    uuid: str
    mac: Mac
    origin: Origin
    profile_uuid: str | None
    profile_name: str
    sha256: str
    replaced: str | None
    requested_by: str | None
    policy: Policy
    state: DeploymentState
    rolls_back: str | None = None
    line: str | None = None
    before_peer: str | None = None
    before_call_id: str = ""
    deferred_until: StartTime | None = None
    recorded_at: Timestamp
    written_at: Timestamp | None = None
    restart_outcome: RestartOutcome | None = None
    restart_method: str | None = None
    restart_detail: tuple[MethodRefusal, ...] = ()
    restarted_at: Timestamp | None = None
    tries: int = 0
    tried_at: Timestamp | None = None
    action: str | None = None
    fetch_started_at: Timestamp | None = None
    fetched_at: Timestamp | None = None
    fetched_from: str | None = None
    registered_at: Timestamp | None = None
    registered_as: Notice | None = None
    superseded_at: Timestamp | None = None
    failed_at: Timestamp | None = None
    failure: Notice | None = None
    ended_at: Timestamp | None = None
    timed_out_on: Awaited | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that happened to a deployment.

    Attributes:
        number: counts the steps of all deployments together; never used twice.
        deployment: its uuid.
        state: of the deployment after it.
        ended: whether nothing more is awaited after it.
        notice: what happened, with the evidence.
    """

    number: int
    deployment: str
    mac: Mac
    at: Timestamp
    step: StepName
    state: DeploymentState
    ended: bool
    notice: Notice
