"""Jobs that switch many phones."""

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
"""Values in the largest body: every column of every row, and the rest."""


class RolloutPlanIn(Schema):
    """How a job goes through its rows."""

    canary = WholeNumber(
        validate=validate.Range(0, MAX_ROWS),
        metadata={"description": "So many phones first, until all of them have ended; by default 1 to 5, by the rows"},
    )
    wave = WholeNumber(
        validate=validate.Range(0, MAX_ROWS),
        metadata={"description": "Phones of each wave after them; 0, the default, for all the rest"},
    )
    concurrency = WholeNumber(
        validate=validate.Range(1, MAX_CONCURRENCY),
        metadata={"description": f"Phones under way at the same time; by default {RolloutPlan(canary=0).concurrency}"},
    )
    min_confirmed = fields.Float(
        validate=validate.Range(0, 1),
        metadata={
            "description": "The share of phones that must have taken the config for the job to go on; by default"
            f" {RolloutPlan(canary=0).min_confirmed}"
        },
    )
    dry_run = fields.Boolean(metadata={"description": "Only tell what would happen: nothing is stored or switched"})


class RowIn(Schema):
    """One phone; whatever else stands in it is kept."""

    mac = MacAddress(required=True)
    profile_uuid = Uuid(metadata={"description": "Or username and profile"})
    username = fields.String(metadata={"description": "Of the user whom the profile belongs to"})
    profile = fields.String(metadata={"description": "The name of the profile, of which the user has one"})


class Rows(fields.List[dict[str, Any]]):
    """The phones; what is in their rows is looked at later, all at once."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(fields.Nested(RowIn(unknown=EXCLUDE)), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:  # noqa: ARG002 -- marshmallow gives them
        if not isinstance(value, list):
            raise self.make_error("invalid")
        if wrong := [number for number, row in enumerate(value, 1) if not isinstance(row, dict)]:
            raise ValidationError({str(number): ["Not an object"] for number in wrong})
        return value


class SwitchJobIn(RolloutPlanIn):
    """Which phones get which profiles, and how."""

    rows = Rows(required=True, metadata={"maxItems": MAX_ROWS})
    policy = fields.Nested(PolicyIn)


class SwitchJobQuery(RolloutPlanIn, PolicyIn):
    """The same beside a table, which has no place for it; what stands in a body goes before."""


class SwitchJobOut(Schema):
    """Many switches as one job."""

    uuid = Uuid(required=True)
    state = fields.Enum(JobState, by_value=True, required=True)
    reason = fields.Nested(NoticeOut, required=True, allow_none=True, metadata={"description": "Why Cisisk stopped it"})
    requested_by = Uuid(required=True, allow_none=True, attribute="actor.user_uuid")
    rows = fields.Integer(required=True)
    counts = fields.Dict(
        keys=fields.String(validate=validate.OneOf(ROW_STATES)),
        values=fields.Integer(),
        required=True,
        metadata={"description": "How many rows are in which state; those with none are left out"},
    )
    canary = fields.Integer(required=True, attribute="pace.canary")
    wave = fields.Integer(required=True, attribute="pace.wave")
    concurrency = fields.Integer(required=True, attribute="pace.concurrency")
    min_confirmed = fields.Float(required=True, attribute="pace.min_confirmed")
    policy = fields.Nested(PolicyOut, required=True)
    created_at = TimestampField(required=True)
    ended_at = TimestampField(required=True, allow_none=True)


class RefusedRowOut(Schema):
    """A row that would not begin."""

    row = fields.Integer(required=True, attribute="number")
    mac = MacAddress(required=True)
    code = fields.String(required=True, attribute="reason.code")
    parameters = fields.Function(lambda row: parameters_of(row.reason), required=True, metadata=PARAMETERS)
    message = fields.Function(lambda row: render(row.reason), required=True, metadata={"type": "string"})


class DryRunOut(Schema):
    """What a job would do."""

    rows = fields.Integer(required=True)
    canary = fields.Integer(required=True, attribute="pace.canary")
    wave = fields.Integer(required=True, attribute="pace.wave")
    concurrency = fields.Integer(required=True, attribute="pace.concurrency")
    min_confirmed = fields.Float(required=True, attribute="pace.min_confirmed")
    waves = fields.List(
        fields.Integer(),
        required=True,
        metadata={"description": "The phones of each wave; the first is the canary if there is one"},
    )
    refused = fields.List(
        fields.Nested(RefusedRowOut), required=True, metadata={"description": "The rows that would not begin"}
    )


class JobListQuery(ListQuery):
    """Which jobs are wanted."""

    limit = fields.Integer(load_default=20, validate=validate.Range(1, 50))


class JobRowQuery(ListQuery):
    """Which rows of a job are wanted. A table has all of them, in the order of the input."""

    limit = fields.Integer(load_default=100, validate=validate.Range(1, 1000))
    state = fields.String(load_default=None, validate=validate.OneOf(ROW_STATES))
    format = fields.String(
        load_default=None,
        validate=validate.OneOf(("json", "csv")),
        metadata={"description": "Without it, what the header Accept asks for"},
    )


class JobRowOut(OptionalNoticeOut, RestartOut):
    """One phone of a job, and what has become of it."""

    row = fields.Integer(
        required=True, attribute="number", metadata={"description": "Counts from 1, in the order of the input"}
    )
    wave = fields.Integer(required=True, metadata={"description": "0 for the canary"})
    mac = MacAddress(required=True)
    profile_uuid = Uuid(required=True)
    input = fields.Dict(
        keys=fields.String(), values=fields.Raw(allow_none=True), required=True, metadata={"description": "As sent"}
    )
    deployment = Uuid(required=True, allow_none=True)
    state = fields.String(required=True, metadata={"enum": list(ROW_STATES)})
    restart = fields.Function(
        row_restart,
        required=True,
        allow_none=True,
        metadata={"type": "string", "description": "ok, or why there was no restart, as it was when it was tried"},
    )
