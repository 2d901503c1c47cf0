"""One change of one phone's config, and what is known of it."""

from dataclasses import dataclass, field
from enum import StrEnum

from cisisk.model.clock import Timestamp
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.registration import Before
from cisisk.model.restart import MethodRefusal, RestartOutcome, TriedMethod
from cisisk.model.start_time import NOW, StartTime


class Origin(StrEnum):
    """How a config version came to be."""

    SWITCH = "switch"
    LOGOUT = "logout"
    ROLLBACK = "rollback"
    ADOPTED = "adopted"


class DeploymentState(StrEnum):
    """The furthest point that a deployment is known to have reached, or how it ended."""

    DEFERRED = "deferred"
    """Accepted. It begins later, when the phone is idle or at a time."""
    RECORDED = "recorded"
    """Begun. The file is not known to be written."""
    WRITTEN = "written"
    """The phone gets the new config if it asks for it."""
    RESTARTING = "restarting"
    """The phone accepted a restart."""
    WAITING = "waiting"
    """No restart could be triggered: the phone takes the config at its next boot."""
    FETCHED = "fetched"
    """The address ``fetched_from`` has acknowledged every byte of this config. The end where Cisisk cannot observe
    whether the phone registers.
    """
    CONFIRMED = "confirmed"
    """The phone has registered after it fetched the config."""
    TIMED_OUT = "timed_out"
    """``timed_out_on`` did not happen in time. If it happens later, it is still recorded."""
    SUPERSEDED = "superseded"
    """A newer config replaced this one before the phone was seen to fetch it."""
    FAILED = "failed"
    """The config was not written; the phone is served what it had before."""
    ROLLED_BACK = "rolled_back"
    """The phone is served again what it was served before."""
    CANCELLED = "cancelled"
    """It was cancelled before it began."""


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
    """What can fail to happen in time."""

    RESTART = "restart"
    FETCH = "fetch"
    REGISTRATION = "registration"


class OnTimeout(StrEnum):
    """What to do with a config that the phone does not fetch, or does not register with."""

    KEEP = "keep"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a deployment proceeds.

    Attributes:
        when: when it begins.
        retry: trigger the restart once more if the phone does not fetch its config.
        escalate: after that, reset a phone that was only asked to restart.
        refuse_in_call: reject the switch while the phone is in a call.
        quiet_minutes: the time after a call for which the phone counts as in a call.
        fetch_seconds: the time for the phone to fetch its config after a restart was triggered.
        register_seconds: the time for the phone to register after it fetched its config.
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
        content: the config as it will be served.
        profile_uuid: the profile that the config comes from; None without a profile.
        deferred_until: when it begins; None if it begins at once.
        rolls_back: the deployment that this one undoes.
        line: the line of the config that identifies the phone among the registrations; None if there is none.
        before: what was registered when this was planned; None if it is not known.
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
    before: Before | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One change of one phone's config.

    Attributes:
        sha256: the hash of the served config, hexadecimal.
        replaced: the hash of the config that the phone was served before; None if it was served none.
        rolls_back: the uuid of the deployment that this one undoes.
        requested_by: the user who asked for it; None for Cisisk itself.
        deferred_until: when it begins; None once it has begun.
        restart_outcome: the result of the restart; None before it was tried.
        restart_method: the method that was accepted last.
        restart_detail: the methods that were refused.
        tries: the number of restarts that were triggered, the last method at ``tried_at``.
        tried_methods: those of the last restart, in the order in which they were tried.
        action: what the phone was asked for last, ``restart`` or ``reset``.
        fetched_from: the address that acknowledged the whole file.
        registered_as: the evidence that the phone has registered.
        superseded_at: when another config replaced this one.
        failure: why the config was not written.
        ended_at: when the deployment ended; None while something is still awaited.
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
    before: Before | None = None
    deferred_until: StartTime | None = None
    recorded_at: Timestamp
    written_at: Timestamp | None = None
    restart_outcome: RestartOutcome | None = None
    restart_method: str | None = None
    restart_detail: tuple[MethodRefusal, ...] = ()
    restarted_at: Timestamp | None = None
    tries: int = 0
    tried_methods: tuple[TriedMethod, ...] = ()
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
        number: counts the steps of all deployments together; no number is used twice.
        deployment: its uuid.
        state: the state of the deployment after the step.
        ended: whether the deployment has ended with it.
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
