"""What all answers have in common, as the OpenAPI document shows it."""

import copy
from typing import Any, Final

from marshmallow import Schema, fields, validate


class Metadata(Schema):
    """What every answer says about itself."""

    timestamp = fields.DateTime(required=True)
    version = fields.String(required=True)
    requestId = fields.String(required=True)  # noqa: N815 - the name that clients know
    ip = fields.String(required=True)
    environment = fields.String(required=True)


class ListMetadata(Metadata):
    """The same for a list: how much there is, and which part of it this is."""

    total = fields.Integer()
    limit = fields.Integer(allow_none=True)
    offset = fields.Integer()


class ErrorBody(Schema):
    """What went wrong."""

    code = fields.Integer(required=True, metadata={"description": "The status code"})
    message = fields.String(required=True)
    reasons = fields.Dict(
        data_key="fields",
        values=fields.List(fields.String()),
        metadata={"description": "With 422: the name of each refused field and the reasons"},
    )


class ErrorEnvelope(Schema):
    """The answer to a request that failed."""

    success = fields.Boolean(required=True, validate=validate.Equal(comparable=False))
    message = fields.String(required=True)
    error = fields.Nested(ErrorBody, required=True)
    metadata = fields.Nested(Metadata, required=True)


class Envelope(Schema):
    """The answer to a request that succeeded, without the parts that each operation adds."""

    success = fields.Boolean(required=True, validate=validate.Equal(comparable=True))
    message = fields.String(required=True)


def envelope(data: Schema | fields.Field[Any] | None) -> Schema:
    """The answer to a request that succeeded and has ``data``; None is a null."""
    if data is None:
        inner: fields.Field[Any] = fields.String(allow_none=True, validate=validate.OneOf([None]))
    elif isinstance(data, Schema):
        inner = fields.Nested(data)
    else:
        inner = copy.copy(data)
    inner.required = True
    is_list = isinstance(inner, fields.List) or (isinstance(inner, fields.Nested) and inner.schema.many)
    metadata = fields.Nested(ListMetadata if is_list else Metadata, required=True)
    return Envelope.from_dict({"data": inner, "metadata": metadata})()


ERRORS: Final = {
    400: "The body is not JSON",
    401: "No token, or none that is valid; at the login: a wrong name or password",
    403: "The permission level is too low",
    404: "There is no such thing",
    409: "The request does not fit what is already there",
    412: "If-Match names a version that is no longer the current one",
    413: "The body is too large",
    415: "The body is not declared as application/json",
    422: "Something that was sent cannot be accepted; error.fields says what and why",
    429: "Too many attempts, or too much at the same time",
    500: "Cisisk failed; its log has the request's id",
    502: "A device gave an answer that makes no sense",
    503: "A part of Cisisk that this needs does not work",
    504: "A device did not answer",
}
"""The status codes of all answers that carry an ``ErrorEnvelope``, and their meaning."""

ERROR_HEADERS: Final[dict[int, dict[str, Any]]] = {
    401: {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "Seconds until the next attempt", "schema": {"type": "integer"}}},
}
"""The headers that some of them have besides."""
