"""Switches, and what becomes of them."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from cisisk.api.schemas.fields import MacAddress, Moment, Timestamp, Uuid, WholeNumber
from cisisk.api.schemas.listing import ListQuery
from cisisk.api.schemas.phone import WarningOut
from cisisk.api.schemas.version import DiffOut
from cisisk.model.deployment import IDLE, NOW, Awaited, DeploymentState, OnTimeout, Origin, StepName

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
                "example": IDLE,
                "description": "now; idle, as soon as the phone is in no call; or a time such as "
                "2026-06-28T22:00:00.000Z",
            },
            **kwargs,
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if value in (NOW, IDLE):
            return value
        try:
            return super()._deserialize(value, attr, data, **kwargs)
        except ValidationError as error:
            raise ValidationError(f"Neither {NOW} nor {IDLE} nor a time such as 2026-06-28T22:00:00.000Z") from error


class PolicyIn(Schema):
    """How a switch goes about it; what is left out is as in the settings."""

    when = When()
    retry = fields.Boolean(metadata={"description": "Trigger the restart once more when the phone does not come"})
    escalate = fields.Boolean(metadata={"description": "After that, have it reset when it was told to restart only"})
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


class SwitchOut(Schema):
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
    ended_at = Timestamp(
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


class DeploymentOut(Schema):
    """One change of one phone's config, told by what is known to have happened."""

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
    recorded_at = Timestamp(required=True)
    written_at = Timestamp(required=True, allow_none=True)
    restart = fields.String(
        required=True, allow_none=True, metadata={"description": "ok, or why not, as it was told when it was tried"}
    )
    restart_method = fields.String(required=True, allow_none=True)
    restarted_at = Timestamp(required=True, allow_none=True)
    tries = fields.Integer(required=True, metadata={"description": "How often a restart was triggered"})
    action = fields.String(
        required=True, allow_none=True, metadata={"description": "What was asked for last: restart or reset"}
    )
    fetch_started_at = Timestamp(required=True, allow_none=True)
    fetched_at = Timestamp(required=True, allow_none=True)
    fetched_from = fields.String(required=True, allow_none=True)
    registered_at = Timestamp(required=True, allow_none=True)
    registered_as = fields.String(required=True, allow_none=True)
    superseded_at = Timestamp(required=True, allow_none=True)
    failed_at = Timestamp(required=True, allow_none=True)
    failure = fields.String(required=True, allow_none=True)
    timed_out_on = fields.Enum(Awaited, by_value=True, required=True, allow_none=True)
    ended_at = Timestamp(required=True, allow_none=True)


class StepOut(Schema):
    """Something that happened to a deployment."""

    number = fields.Integer(required=True, metadata={"description": "The id of its event"})
    at = Timestamp(required=True)
    step = fields.Enum(StepName, by_value=True, required=True)
    state = fields.Enum(
        DeploymentState, by_value=True, required=True, metadata={"description": "Of the deployment after it"}
    )
    ended = fields.Boolean(required=True, metadata={"description": "Nothing more is awaited"})
    told = fields.String(required=True, metadata={"description": "In words, with the evidence"})


class DeploymentStoryOut(DeploymentOut):
    """One change of one phone's config, with everything that happened to it."""

    steps = fields.List(fields.Nested(StepOut), required=True)
    warnings = fields.List(
        fields.Nested(WarningOut), required=True, metadata={"description": "What the firmware it names lacks here, now"}
    )
