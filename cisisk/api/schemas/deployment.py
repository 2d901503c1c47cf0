"""Schemas of switches and deployments."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from cisisk.api.messages import restart_text
from cisisk.api.schemas.fields import MacAddress, Moment, TimestampField, Uuid, WholeNumber
from cisisk.api.schemas.listing import ListQuery
from cisisk.api.schemas.notice import PARAMETERS, CarriedNoticeOut, NoticeOut, parameters_of
from cisisk.api.schemas.phone import WarningOut
from cisisk.api.schemas.version import DiffOut
from cisisk.model.deployment import Awaited, DeploymentState, OnTimeout, Origin, StepName
from cisisk.model.evidence import PhoneClaims, claims
from cisisk.model.messages import render
from cisisk.model.restart import RestartOutcome, Worth
from cisisk.model.start_time import IDLE, NOW, StartTime

MAX_WAIT_SECONDS = 300
"""Longest time a request waits for the end of a switch."""
_MAX_SECONDS = 86_400
_MAX_MINUTES = 1440


class When(Moment):
    """``now``, ``idle`` or a time."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            metadata={
                "format": "",
                "example": str(IDLE),
                "description": "now; idle: as soon as the phone is not in a call; or a time such as "
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
            raise ValidationError(f"Must be {NOW}, {IDLE} or a time such as 2026-06-28T22:00:00.000Z") from error


class PolicyIn(Schema):
    """The policy of a switch; missing fields have the values of the settings."""

    when = When()
    retry = fields.Boolean(
        metadata={"description": "Trigger the restart once more if the phone does not fetch its config"}
    )
    escalate = fields.Boolean(metadata={"description": "Then reset a phone that was only restarted"})
    on_timeout = fields.Enum(
        OnTimeout, by_value=True, metadata={"description": "If the phone does not take the config: keep or rollback"}
    )
    refuse_in_call = fields.Boolean(metadata={"description": "Refuse the switch (409) during a call"})
    quiet_minutes = WholeNumber(
        validate=validate.Range(0, _MAX_MINUTES),
        metadata={"description": "Minutes after a call during which the phone still counts as in a call"},
    )
    fetch_seconds = WholeNumber(
        validate=validate.Range(1, _MAX_SECONDS), metadata={"description": "Seconds for the phone to fetch its config"}
    )
    register_seconds = WholeNumber(
        validate=validate.Range(1, _MAX_SECONDS),
        metadata={"description": "Seconds for the phone to register afterwards"},
    )


class PolicyOut(Schema):
    """The policy of a switch."""

    when = fields.String(required=True)
    retry = fields.Boolean(required=True)
    escalate = fields.Boolean(required=True)
    on_timeout = fields.Enum(OnTimeout, by_value=True, required=True)
    refuse_in_call = fields.Boolean(required=True)
    quiet_minutes = fields.Integer(required=True)
    fetch_seconds = fields.Integer(required=True)
    register_seconds = fields.Integer(required=True)


class SwitchIn(Schema):
    """A profile and a phone to switch."""

    profile_uuid = Uuid(required=True)
    mac = MacAddress(required=True)
    policy = fields.Nested(PolicyIn, load_default=dict)


class SwitchQuery(Schema):
    """Query of a switch."""

    dry_run = fields.Boolean(
        load_default=False, metadata={"description": "Return what would happen, without writing or recording anything"}
    )
    wait = WholeNumber(
        load_default=0,
        validate=validate.Range(0, MAX_WAIT_SECONDS),
        metadata={"description": "Seconds to wait for the end of the switch before the response"},
    )


class PreviewOut(DiffOut):
    """The result of a dry run."""

    methods = fields.List(
        fields.String(), required=True, metadata={"description": "Restart methods in the order of use"}
    )
    in_the_way = fields.List(fields.String(), required=True, metadata={"description": "Obstacles to a restart now"})
    obstacles = fields.List(fields.Nested(NoticeOut), required=True, metadata={"description": "Obstacles with codes"})


class RestartRefusalOut(Schema):
    """A refused restart method with the reason."""

    method = fields.String(required=True)
    code = fields.String(required=True, attribute="reason.code")
    parameters = fields.Function(lambda refusal: parameters_of(refusal.reason), required=True, metadata=PARAMETERS)
    message = fields.Function(lambda refusal: render(refusal.reason), required=True, metadata={"type": "string"})


class TriedMethodOut(Schema):
    """A restart method that was tried."""

    method = fields.String(required=True)
    worth = fields.Enum(
        Worth,
        by_value=True,
        required=True,
        metadata={"description": "answered by the phone; sent by the call manager, which shows no answer; or refused"},
    )


class EvidenceOut(Schema):
    """What is known of the phone of a deployment, each with its own evidence."""

    told = fields.Enum(
        Worth,
        by_value=True,
        required=True,
        allow_none=True,
        metadata={"description": "How it is known that the phone was asked to restart; null if no method was accepted"},
    )
    took = fields.Boolean(required=True, metadata={"description": "The phone took the whole config"})
    registered = fields.Boolean(required=True, metadata={"description": "It registered later than that"})
    runs = fields.Boolean(required=True, metadata={"description": "It took the config, and registered with it"})


class _Evidence(fields.Nested):
    """The evidence of a deployment, which is derived from it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(EvidenceOut, **kwargs)

    def get_value(self, obj: Any, *_: Any, **__: Any) -> PhoneClaims:
        return claims(obj)


class RestartOut(Schema):
    """The result of a restart with codes; ``restart`` is the same as a sentence."""

    restart_outcome = fields.Enum(
        RestartOutcome,
        by_value=True,
        required=True,
        allow_none=True,
        metadata={"description": "null before the first attempt and after a dry run"},
    )
    restart_detail = fields.List(
        fields.Nested(RestartRefusalOut), required=True, metadata={"description": "Refused methods"}
    )


class SwitchOut(RestartOut):
    """The result of a switch or of a dry run."""

    profile = fields.String(required=True, attribute="profile_name")
    mac = MacAddress(required=True)
    restart = fields.String(required=True, metadata={"description": "ok, or the reason why no restart was triggered"})
    deployment = Uuid(
        required=True,
        allow_none=True,
        attribute="uuid",
        metadata={"description": "Uuid for GET /deployments/{uuid}; null after a dry run"},
    )
    sha256 = fields.String(required=True, metadata={"description": "Hash of the served config"})
    state = fields.Enum(
        DeploymentState,
        by_value=True,
        required=True,
        allow_none=True,
        metadata={"description": "State of the deployment; null after a dry run"},
    )
    ended_at = TimestampField(
        required=True, allow_none=True, metadata={"description": "null while the switch is in progress"}
    )
    warnings = fields.List(
        fields.Nested(WarningOut), required=True, metadata={"description": "Warnings about missing firmware files"}
    )
    preview = fields.Nested(PreviewOut, metadata={"description": "Only after a dry run"})


class DeploymentsQuery(ListQuery):
    """Query of a list of deployments."""

    mac = MacAddress(load_default=None, metadata={"description": "Deployments of one phone"})
    state = fields.Enum(
        DeploymentState, by_value=True, load_default=None, metadata={"description": "Deployments in one state"}
    )


class DeploymentOut(RestartOut):
    """A change of a phone's config with its evidence."""

    uuid = Uuid(required=True)
    mac = MacAddress(required=True)
    origin = fields.Enum(Origin, by_value=True, required=True)
    profile_uuid = Uuid(required=True, allow_none=True)
    profile_name = fields.String(required=True)
    sha256 = fields.String(required=True)
    replaced = fields.String(
        required=True, allow_none=True, metadata={"description": "Hash of the previously served config"}
    )
    rolls_back = Uuid(required=True, allow_none=True, metadata={"description": "Deployment that this one rolls back"})
    requested_by = Uuid(required=True, allow_none=True)
    policy = fields.Nested(PolicyOut, required=True)
    state = fields.Enum(DeploymentState, by_value=True, required=True)
    deferred_until = fields.String(
        required=True, allow_none=True, metadata={"description": "idle or a time, until the switch starts"}
    )
    recorded_at = TimestampField(required=True)
    written_at = TimestampField(required=True, allow_none=True)
    restart = fields.Function(
        lambda deployment: None if deployment.restart_outcome is None else restart_text(deployment),
        required=True,
        allow_none=True,
        metadata={
            "type": "string",
            "description": "ok, or the reason why there was no restart; null before the first attempt",
        },
    )
    restart_method = fields.String(required=True, allow_none=True)
    restart_methods = fields.List(
        fields.Nested(TriedMethodOut),
        required=True,
        attribute="tried_methods",
        metadata={"description": "Methods of the last restart, in the order in which they were tried"},
    )
    restarted_at = TimestampField(required=True, allow_none=True)
    tries = fields.Integer(required=True, metadata={"description": "Number of triggered restarts"})
    action = fields.String(
        required=True, allow_none=True, metadata={"description": "Last requested action: restart or reset"}
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
    evidence = _Evidence(required=True)
    ended_at = TimestampField(required=True, allow_none=True)


class StepOut(CarriedNoticeOut):
    """A step of a deployment."""

    number = fields.Integer(required=True, metadata={"description": "Id of the event"})
    at = TimestampField(required=True)
    step = fields.Enum(StepName, by_value=True, required=True)
    state = fields.Enum(
        DeploymentState,
        by_value=True,
        required=True,
        metadata={"description": "State of the deployment after the step"},
    )
    ended = fields.Boolean(required=True, metadata={"description": "The step ends the deployment"})


class DeploymentStoryOut(DeploymentOut):
    """A deployment with its steps and warnings."""

    steps = fields.List(fields.Nested(StepOut), required=True)
    warnings = fields.List(
        fields.Nested(WarningOut), required=True, metadata={"description": "Warnings about missing firmware files"}
    )
