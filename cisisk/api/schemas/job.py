"""Schemas of switch jobs."""

from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from cisisk.api.messages import row_restart
from cisisk.api.schemas.deployment import PolicyIn, PolicyOut, RestartOut
from cisisk.api.schemas.fields import MacAddress, TimestampField, Uuid, WholeNumber
from cisisk.api.schemas.listing import ListQuery
from cisisk.api.schemas.notice import PARAMETERS, NoticeOut, OptionalNoticeOut, parameters_of
from cisisk.model.deployment import DeploymentState
from cisisk.model.job_table import MAX_COLUMNS
from cisisk.model.messages import render
from cisisk.model.switch_job import MAX_CONCURRENCY, MAX_ROWS, JobState, RolloutPlan, RowState

ROW_STATES = tuple(dict.fromkeys([*map(str, RowState), *map(str, DeploymentState)]))
MAX_VALUES = MAX_ROWS * (MAX_COLUMNS + 1) + 100
"""Most values in a body: every column of every row, and the other fields."""


class RolloutPlanIn(Schema):
    """The rollout plan of a job."""

    canary = WholeNumber(
        validate=validate.Range(0, MAX_ROWS),
        metadata={
            "description": "Phones to switch first, until all have ended; by default 1 to 5, depending on the rows"
        },
    )
    wave = WholeNumber(
        validate=validate.Range(0, MAX_ROWS),
        metadata={"description": "Phones of each following wave; 0 (default) for all remaining phones"},
    )
    concurrency = WholeNumber(
        validate=validate.Range(1, MAX_CONCURRENCY),
        metadata={"description": f"Concurrent switches; by default {RolloutPlan(canary=0).concurrency}"},
    )
    min_confirmed = fields.Float(
        validate=validate.Range(0, 1),
        metadata={
            "description": "Share of phones that must take the config for the job to continue; by default"
            f" {RolloutPlan(canary=0).min_confirmed}"
        },
    )
    dry_run = fields.Boolean(
        metadata={"description": "Return what would happen, without storing or switching anything"}
    )


class RowIn(Schema):
    """A row of a job; additional fields are kept."""

    mac = MacAddress(required=True)
    profile_uuid = Uuid(metadata={"description": "Uuid of the profile; alternatively use username and profile"})
    username = fields.String(metadata={"description": "Owner of the profile"})
    profile = fields.String(metadata={"description": "Name of the profile, which must be unique for the user"})


class Rows(fields.List[dict[str, Any]]):
    """The rows; their contents are validated later, all together."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(fields.Nested(RowIn(unknown=EXCLUDE)), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:  # noqa: ARG002 -- marshmallow gives them
        if not isinstance(value, list):
            raise self.make_error("invalid")
        if wrong := [number for number, row in enumerate(value, 1) if not isinstance(row, dict)]:
            raise ValidationError({str(number): ["Not an object"] for number in wrong})
        return value


class SwitchJobIn(RolloutPlanIn):
    """A job to create."""

    rows = Rows(required=True, metadata={"maxItems": MAX_ROWS})
    policy = fields.Nested(PolicyIn)


class SwitchJobQuery(RolloutPlanIn, PolicyIn):
    """Query with the plan and policy of a CSV table. Values in a JSON body take precedence."""


class SwitchJobOut(Schema):
    """A switch job."""

    uuid = Uuid(required=True)
    state = fields.Enum(JobState, by_value=True, required=True)
    reason = fields.Nested(
        NoticeOut, required=True, allow_none=True, metadata={"description": "Reason for which Cisisk stopped the job"}
    )
    requested_by = Uuid(required=True, allow_none=True, attribute="actor.user_uuid")
    rows = fields.Integer(required=True)
    counts = fields.Dict(
        keys=fields.String(validate=validate.OneOf(ROW_STATES)),
        values=fields.Integer(),
        required=True,
        metadata={"description": "Number of rows by state; states without rows are missing"},
    )
    canary = fields.Integer(required=True, attribute="pace.canary")
    wave = fields.Integer(required=True, attribute="pace.wave")
    concurrency = fields.Integer(required=True, attribute="pace.concurrency")
    min_confirmed = fields.Float(required=True, attribute="pace.min_confirmed")
    policy = fields.Nested(PolicyOut, required=True)
    created_at = TimestampField(required=True)
    ended_at = TimestampField(required=True, allow_none=True)


class RefusedRowOut(Schema):
    """A row that would be refused."""

    row = fields.Integer(required=True, attribute="number")
    mac = MacAddress(required=True)
    code = fields.String(required=True, attribute="reason.code")
    parameters = fields.Function(lambda row: parameters_of(row.reason), required=True, metadata=PARAMETERS)
    message = fields.Function(lambda row: render(row.reason), required=True, metadata={"type": "string"})


class DryRunOut(Schema):
    """The result of a dry run."""

    rows = fields.Integer(required=True)
    canary = fields.Integer(required=True, attribute="pace.canary")
    wave = fields.Integer(required=True, attribute="pace.wave")
    concurrency = fields.Integer(required=True, attribute="pace.concurrency")
    min_confirmed = fields.Float(required=True, attribute="pace.min_confirmed")
    waves = fields.List(
        fields.Integer(),
        required=True,
        metadata={"description": "Number of phones of each wave; the first is the canary, if any"},
    )
    refused = fields.List(
        fields.Nested(RefusedRowOut), required=True, metadata={"description": "Rows that would be refused"}
    )


class JobListQuery(ListQuery):
    """Query of a list of jobs."""

    limit = fields.Integer(load_default=20, validate=validate.Range(1, 50))


class JobRowQuery(ListQuery):
    """Query of the rows of a job. A CSV table contains all rows in input order."""

    limit = fields.Integer(load_default=100, validate=validate.Range(1, 1000))
    state = fields.String(load_default=None, validate=validate.OneOf(ROW_STATES))
    format = fields.String(
        load_default=None,
        validate=validate.OneOf(("json", "csv")),
        metadata={"description": "Format; by default the Accept header decides"},
    )


class JobRowOut(OptionalNoticeOut, RestartOut):
    """A row of a job with its result."""

    row = fields.Integer(required=True, attribute="number", metadata={"description": "Number in input order, from 1"})
    wave = fields.Integer(required=True, metadata={"description": "0 for the canary"})
    mac = MacAddress(required=True)
    profile_uuid = Uuid(required=True)
    input = fields.Dict(
        keys=fields.String(), values=fields.Raw(allow_none=True), required=True, metadata={"description": "Row as sent"}
    )
    deployment = Uuid(required=True, allow_none=True)
    state = fields.String(required=True, metadata={"enum": list(ROW_STATES)})
    restart = fields.Function(
        row_restart,
        required=True,
        allow_none=True,
        metadata={"type": "string", "description": "ok, or the reason why there was no restart at the attempt"},
    )
