"""Schemas of the fetch log and of boots."""

from marshmallow import Schema, fields, validate

from cisisk.api.schemas.fields import IpAddress, MacAddress, Moment, TimestampField, text
from cisisk.api.schemas.listing import ListQuery
from cisisk.api.schemas.notice import PARAMETERS, CarriedNoticeOut, NoticeOut, parameters_of
from cisisk.fetches.boot import BootFinding, BootKind, BootRequest, Care
from cisisk.model.messages import render
from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.purpose import Purpose

PROTOCOLS = ("tftp", "http", "ftp")
_OUTCOME = {"enum": [outcome.value for outcome in FetchOutcome]}


class FetchQuery(ListQuery):
    """Query of the fetch log."""

    limit = fields.Integer(load_default=100, validate=validate.Range(1, 1000))
    mac = MacAddress(load_default=None)
    peer = IpAddress(load_default=None)
    protocol = fields.String(load_default=None, validate=validate.OneOf(PROTOCOLS))
    outcome = fields.Enum(FetchOutcome, by_value=True, load_default=None)
    name = fields.String(
        load_default=None, validate=text(255, shortest=0), metadata={"description": "Text in the name"}
    )
    since = Moment(load_default=None, data_key="from", metadata={"description": "Earliest start, inclusive"})
    until = Moment(load_default=None, data_key="to", metadata={"description": "Latest start, exclusive"})


class FetchOut(Schema):
    """A completed fetch."""

    number = fields.Integer(required=True, metadata={"description": "Number of the fetch in the order of completion"})
    started_at = TimestampField(required=True)
    protocol = fields.String(required=True, metadata={"enum": list(PROTOCOLS)})
    peer = fields.String(required=True, metadata={"description": "Address of the client"})
    port = fields.Integer(required=True, metadata={"description": "Port of the client"})
    local = fields.String(required=True, metadata={"description": "Local address"})
    name = fields.String(required=True, metadata={"description": "Requested name"})
    mac = MacAddress(required=True, allow_none=True, metadata={"description": "Phone in the name, if any"})
    outcome = fields.String(required=True, metadata=_OUTCOME)
    sha256 = fields.String(required=True, allow_none=True, metadata={"description": "Hash of the sent version"})
    size = fields.Integer(required=True, metadata={"description": "Size of the file in bytes"})
    acknowledged = fields.Integer(required=True, metadata={"description": "Bytes acknowledged by the client"})
    blocks = fields.Integer(required=True)
    retransmits = fields.Integer(required=True)
    duration = fields.Float(required=True, metadata={"description": "Duration in seconds"})
    options = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)


class BootQuery(Schema):
    """Query of a list of boots."""

    limit = fields.Integer(load_default=20, validate=validate.Range(1, 200))
    offset = fields.Integer(load_default=0, validate=validate.Range(0, 2**31))


def _meaning(request: BootRequest) -> str:
    return f"{render(request.asked)} {render(request.result)}"


def _remedy(finding: BootFinding) -> str | None:
    return " ".join(map(render, finding.remedies)) or None


class RequestOut(Schema):
    """A request of a boot with its meaning."""

    number = fields.Integer(required=True, attribute="fetch.number", metadata={"description": "In the fetch log"})
    started_at = TimestampField(required=True, attribute="fetch.started_at")
    protocol = fields.String(required=True, attribute="fetch.protocol")
    name = fields.String(required=True, attribute="fetch.name")
    outcome = fields.String(required=True, attribute="fetch.outcome", metadata=_OUTCOME)
    sha256 = fields.String(required=True, allow_none=True, attribute="fetch.sha256")
    size = fields.Integer(required=True, attribute="fetch.size")
    duration = fields.Float(required=True, attribute="fetch.duration")
    purpose = fields.Enum(Purpose, by_value=True, required=True)
    by_address = fields.Boolean(
        required=True, metadata={"description": "The phone is known by its address, not by the file name"}
    )
    code = fields.String(required=True, attribute="result.code", metadata={"description": "Code of the result"})
    parameters = fields.Function(lambda request: parameters_of(request.result), required=True, metadata=PARAMETERS)
    meaning = fields.Function(_meaning, required=True, metadata={"type": "string"})
    care = fields.Enum(Care, by_value=True, required=True)


class FindingOut(CarriedNoticeOut):
    """A finding about a boot."""

    remedy = fields.Function(
        _remedy, required=True, allow_none=True, metadata={"type": "string", "description": "Recommended action"}
    )
    remedies = fields.List(
        fields.Nested(NoticeOut), required=True, metadata={"description": "The recommended actions, the best first"}
    )
    care = fields.Enum(Care, by_value=True, required=True)


class BootOut(Schema):
    """The requests of one boot and the findings."""

    kind = fields.Enum(BootKind, by_value=True, required=True)
    started_at = TimestampField(required=True)
    ended_at = TimestampField(required=True)
    addresses = fields.List(fields.String(), required=True)
    needs_care = fields.Boolean(required=True)
    findings = fields.List(fields.Nested(FindingOut), required=True)
    requests = fields.List(fields.Nested(RequestOut), required=True)
