"""The fetch log, and boots."""

from marshmallow import Schema, fields, validate

from cisisk.api.schemas.fields import IpAddress, MacAddress, Moment, Timestamp, text
from cisisk.api.schemas.listing import ListQuery
from cisisk.api.schemas.notice import PARAMETERS, CarriedNoticeOut, parameters_of
from cisisk.fetches.boot import BootFinding, BootKind, BootRequest, Care
from cisisk.model.messages import render
from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.purpose import Purpose

PROTOCOLS = ("tftp", "http", "ftp")
_OUTCOME = {"enum": [outcome.value for outcome in FetchOutcome]}


class FetchQuery(ListQuery):
    """Which fetches are wanted."""

    limit = fields.Integer(load_default=100, validate=validate.Range(1, 1000))
    mac = MacAddress(load_default=None)
    peer = IpAddress(load_default=None)
    protocol = fields.String(load_default=None, validate=validate.OneOf(PROTOCOLS))
    outcome = fields.Enum(FetchOutcome, by_value=True, load_default=None)
    name = fields.String(
        load_default=None, validate=text(255, shortest=0), metadata={"description": "Text that the name contains"}
    )
    since = Moment(load_default=None, data_key="from", metadata={"description": "Not before this moment"})
    until = Moment(load_default=None, data_key="to", metadata={"description": "Before this moment"})


class FetchOut(Schema):
    """One fetch that has ended."""

    number = fields.Integer(required=True, metadata={"description": "Counts the fetches as they ended"})
    started_at = Timestamp(required=True)
    protocol = fields.String(required=True, metadata={"enum": list(PROTOCOLS)})
    peer = fields.String(required=True, metadata={"description": "The address of the client"})
    port = fields.Integer(required=True, metadata={"description": "Its port"})
    local = fields.String(required=True, metadata={"description": "The address that was asked"})
    name = fields.String(required=True, metadata={"description": "What was asked for"})
    mac = MacAddress(required=True, allow_none=True, metadata={"description": "Whose file it is, if the name tells"})
    outcome = fields.String(required=True, metadata=_OUTCOME)
    sha256 = fields.String(required=True, allow_none=True, metadata={"description": "Of the version that was sent"})
    size = fields.Integer(required=True, metadata={"description": "Bytes of the file"})
    acknowledged = fields.Integer(required=True, metadata={"description": "Bytes that the client has confirmed"})
    blocks = fields.Integer(required=True)
    retransmits = fields.Integer(required=True)
    duration = fields.Float(required=True, metadata={"description": "Seconds"})
    options = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)


class BootQuery(Schema):
    """Which boots are wanted."""

    limit = fields.Integer(load_default=20, validate=validate.Range(1, 200))
    offset = fields.Integer(load_default=0, validate=validate.Range(0, 2**31))


def _meaning(request: BootRequest) -> str:
    return f"{render(request.asked)} {render(request.result)}"


def _remedy(finding: BootFinding) -> str | None:
    return None if finding.remedy is None else render(finding.remedy)


class RequestOut(Schema):
    """One request of a boot, and what it means."""

    number = fields.Integer(required=True, attribute="fetch.number", metadata={"description": "In the fetch log"})
    started_at = Timestamp(required=True, attribute="fetch.started_at")
    protocol = fields.String(required=True, attribute="fetch.protocol")
    name = fields.String(required=True, attribute="fetch.name")
    outcome = fields.String(required=True, attribute="fetch.outcome", metadata=_OUTCOME)
    sha256 = fields.String(required=True, allow_none=True, attribute="fetch.sha256")
    size = fields.Integer(required=True, attribute="fetch.size")
    duration = fields.Float(required=True, attribute="fetch.duration")
    purpose = fields.Enum(Purpose, by_value=True, required=True)
    by_address = fields.Boolean(
        required=True, metadata={"description": "The name does not tell the phone: the request came from its address"}
    )
    code = fields.String(required=True, attribute="result.code", metadata={"description": "How it ended"})
    parameters = fields.Function(lambda request: parameters_of(request.result), required=True, metadata=PARAMETERS)
    meaning = fields.Function(_meaning, required=True, metadata={"type": "string"})
    care = fields.Enum(Care, by_value=True, required=True)


class FindingOut(CarriedNoticeOut):
    """What a boot shows."""

    remedy = fields.Function(
        _remedy, required=True, allow_none=True, metadata={"type": "string", "description": "What to do about it"}
    )
    care = fields.Enum(Care, by_value=True, required=True)


class BootOut(Schema):
    """Requests that belong together, and what they show."""

    kind = fields.Enum(BootKind, by_value=True, required=True)
    started_at = Timestamp(required=True)
    ended_at = Timestamp(required=True)
    addresses = fields.List(fields.String(), required=True)
    needs_care = fields.Boolean(required=True)
    findings = fields.List(fields.Nested(FindingOut), required=True)
    requests = fields.List(fields.Nested(RequestOut), required=True)
