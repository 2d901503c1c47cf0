"""Switches, and what becomes of them."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from cisisk.api.messages import restart_text
from cisisk.api.schemas.fields import MacAddress, Moment, TimestampField, Uuid, WholeNumber
from cisisk.api.schemas.listing import ListQuery
from cisisk.api.schemas.notice import PARAMETERS, CarriedNoticeOut, NoticeOut, parameters_of
from cisisk.api.schemas.phone import WarningOut
from cisisk.api.schemas.version import DiffOut
from cisisk.model.deployment import Awaited, DeploymentState, OnTimeout, Origin, StepName
from cisisk.model.messages import render
from cisisk.model.restart import RestartOutcome
from cisisk.model.start_time import IDLE, NOW, StartTime

LONGEST_WAIT = 300
"""Seconds for which a request waits for the end of a switch."""
_MOST_SECONDS = 86_400
_MOST_MINUTES = 1440


class When(Moment):
    """``now``, ``idle`` or a time."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            metadata={
                "format": "",
                "example": str(IDLE),
                "description": "now; idle, as soon as the phone is in no call; or a time such as "
                "2026-06-28T22:00:00.000Z",
            },
            **kwargs,
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if value in (str(NOW), str(IDLE)):
            return StartTime.parse(value)
        try:
            return StartTime.parse(super()._deserialize(value, attr, data, **kwargs))
        except ValidationError as error:
            raise ValidationError(f"Neither {NOW} nor {IDLE} nor a time such as 2026-06-28T22:00:00.000Z") from error


class PolicyIn(Schema):
    """How a switch goes about it; what is left out is as in the settings."""

    when = When()
    retry = fields.Boolean(metadata={"description": "Trigger the restart once more when the phone does not come"})
    escalate = fields.Boolean(metadata={"description": "After that, reset a phone that was only asked to restart"})
    on_timeout = fields.Enum(
        OnTimeout, by_value=True, metadata={"description": "Of a config that the phone does not take: keep or rollback"}
    )
    refuse_in_call = fields.Boolean(metadata={"description": "409 while the phone is in a call"})
    quiet_minutes = WholeNumber(
        validate=validate.Range(0, _MOST_MINUTES),
        metadata={"description": "For so long after a call the phone still counts as in a call"},
    )
    fetch_seconds = WholeNumber(
        validate=validate.Range(1, _MOST_SECONDS), metadata={"description": "For the phone to come for its config"}
    )
    register_seconds = WholeNumber(
        validate=validate.Range(1, _MOST_SECONDS), metadata={"description": "For it to register after that"}
    )


class PolicyOut(Schema):
    """How a switch goes about it."""

    when = fields.String(required=True)
    retry = fields.Boolean(required=True)
    escalate = fields.Boolean(required=True)
    on_timeout = fields.Enum(OnTimeout, by_value=True, required=True)
    refuse_in_call = fields.Boolean(required=True)
    quiet_minutes = fields.Integer(required=True)
    fetch_seconds = fields.Integer(required=True)
    register_seconds = fields.Integer(required=True)


class SwitchIn(Schema):
    """Which profile goes to which phone."""

    profile_uuid = Uuid(required=True)
    mac = MacAddress(required=True)
    policy = fields.Nested(PolicyIn, load_default=dict)


class SwitchQuery(Schema):
    """How to switch."""

    dry_run = fields.Boolean(
        load_default=False, metadata={"description": "Only tell what would happen: nothing is written or recorded"}
    )
    wait = WholeNumber(
        load_default=0,
        validate=validate.Range(0, LONGEST_WAIT),
        metadata={"description": "Seconds to wait until the switch has ended; the answer comes when it has, or then"},
    )


class PreviewOut(DiffOut):
    """What a switch would do."""

    methods = fields.List(
        fields.String(), required=True, metadata={"description": "The restart methods that would be tried, in order"}
    )
    in_the_way = fields.List(
        fields.String(), required=True, metadata={"description": "What may keep the phone from restarting now"}
    )
    obstacles = fields.List(fields.Nested(NoticeOut), required=True, metadata={"description": "The same with codes"})


class RestartRefusalOut(Schema):
    """A restart method that was refused, and why."""

    method = fields.String(required=True)
    code = fields.String(required=True, attribute="reason.code")
    parameters = fields.Function(lambda refusal: parameters_of(refusal.reason), required=True, metadata=PARAMETERS)
    message = fields.Function(lambda refusal: render(refusal.reason), required=True, metadata={"type": "string"})


class RestartOut(Schema):
    """What came of a restart, beside ``restart`` in words."""

    restart_outcome = fields.Enum(
        RestartOutcome,
        by_value=True,
        required=True,
        allow_none=True,
        metadata={"description": "null before a restart was tried, and after a dry run"},
    )
    restart_detail = fields.List(
        fields.Nested(RestartRefusalOut), required=True, metadata={"description": "The methods that were refused"}
    )


class SwitchOut(RestartOut):
    """What became of a switch, or would."""

    profile = fields.String(required=True, attribute="profile_name")
    mac = MacAddress(required=True)
    restart = fields.String(required=True, metadata={"description": "ok, or why no restart could be triggered"})
    deployment = Uuid(
        required=True,
        allow_none=True,
        attribute="uuid",
        metadata={"description": "For GET /deployments/{uuid}; null after a dry run"},
    )
    sha256 = fields.String(required=True, metadata={"description": "Of the config as it is served"})
    state = fields.Enum(
        DeploymentState,
        by_value=True,
        required=True,
        allow_none=True,
        metadata={"description": "How far it has come; null after a dry run"},
    )
    ended_at = TimestampField(
        required=True, allow_none=True, metadata={"description": "null while something is still awaited"}
    )
    warnings = fields.List(
        fields.Nested(WarningOut), required=True, metadata={"description": "What the firmware it names lacks here, now"}
    )
    preview = fields.Nested(PreviewOut, metadata={"description": "After a dry run only"})


class DeploymentsQuery(ListQuery):
    """Which deployments are wanted."""

    mac = MacAddress(load_default=None, metadata={"description": "Those of one phone"})
    state = fields.Enum(
        DeploymentState, by_value=True, load_default=None, metadata={"description": "Those in one state"}
    )


class DeploymentOut(RestartOut):
    """One change of one phone's config, and what is known to have happened."""

    uuid = Uuid(required=True)
    mac = MacAddress(required=True)
    origin = fields.Enum(Origin, by_value=True, required=True)
    profile_uuid = Uuid(required=True, allow_none=True)
    profile_name = fields.String(required=True)
    sha256 = fields.String(required=True)
    replaced = fields.String(
        required=True, allow_none=True, metadata={"description": "The sha256 of what the phone was served before"}
    )
    rolls_back = Uuid(required=True, allow_none=True, metadata={"description": "The deployment that it undoes"})
    requested_by = Uuid(required=True, allow_none=True)
    policy = fields.Nested(PolicyOut, required=True)
    state = fields.Enum(DeploymentState, by_value=True, required=True)
    deferred_until = fields.String(
        required=True, allow_none=True, metadata={"description": "idle, or a time, while it has not begun"}
    )
    recorded_at = TimestampField(required=True)
    written_at = TimestampField(required=True, allow_none=True)
    restart = fields.Function(
        lambda deployment: None if deployment.restart_outcome is None else restart_text(deployment),
        required=True,
        allow_none=True,
        metadata={"type": "string", "description": "ok, or why there was no restart; null before it was tried"},
    )
    restart_method = fields.String(required=True, allow_none=True)
    restarted_at = TimestampField(required=True, allow_none=True)
    tries = fields.Integer(required=True, metadata={"description": "How often a restart was triggered"})
    action = fields.String(
        required=True, allow_none=True, metadata={"description": "What was asked for last: restart or reset"}
    )
    fetch_started_at = TimestampField(required=True, allow_none=True)
    fetched_at = TimestampField(required=True, allow_none=True)
    fetched_from = fields.String(required=True, allow_none=True)
    registered_at = TimestampField(required=True, allow_none=True)
    registered_as = fields.Function(
        lambda deployment: deployment.registered_as and render(deployment.registered_as),
        required=True,
        allow_none=True,
        metadata={"type": "string"},
    )
    registered_detail = fields.Nested(NoticeOut, required=True, allow_none=True, attribute="registered_as")
    superseded_at = TimestampField(required=True, allow_none=True)
    failed_at = TimestampField(required=True, allow_none=True)
    failure = fields.Function(
        lambda deployment: deployment.failure and render(deployment.failure),
        required=True,
        allow_none=True,
        metadata={"type": "string"},
    )
    failure_detail = fields.Nested(NoticeOut, required=True, allow_none=True, attribute="failure")
    timed_out_on = fields.Enum(Awaited, by_value=True, required=True, allow_none=True)
    ended_at = TimestampField(required=True, allow_none=True)


class StepOut(CarriedNoticeOut):
    """Something that happened to a deployment."""

    number = fields.Integer(required=True, metadata={"description": "The id of its event"})
    at = TimestampField(required=True)
    step = fields.Enum(StepName, by_value=True, required=True)
    state = fields.Enum(
        DeploymentState, by_value=True, required=True, metadata={"description": "Of the deployment after it"}
    )
    ended = fields.Boolean(required=True, metadata={"description": "Nothing more is awaited"})


class DeploymentStoryOut(DeploymentOut):
    """One change of one phone's config, with everything that happened to it."""

    steps = fields.List(fields.Nested(StepOut), required=True)
    warnings = fields.List(
        fields.Nested(WarningOut), required=True, metadata={"description": "What the firmware it names lacks here, now"}
    )
