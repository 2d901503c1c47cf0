"""Schemas of the response envelopes for the OpenAPI document."""

import copy
from typing import Any, Final

from marshmallow import Schema, fields, validate


class Metadata(Schema):
    """Metadata of a response."""

    timestamp = fields.DateTime(required=True)
    version = fields.String(required=True)
    requestId = fields.String(required=True)  # noqa: N815 -- the contract's name
    ip = fields.String(required=True)
    environment = fields.String(required=True)


class ListMetadata(Metadata):
    """Metadata of a list response: the total and the returned part."""

    total = fields.Integer()
    limit = fields.Integer(allow_none=True)
    offset = fields.Integer()


class ErrorBody(Schema):
    """An error."""

    code = fields.Integer(required=True, metadata={"description": "The status code"})
    message = fields.String(required=True)
    reasons = fields.Dict(
        data_key="fields",
        values=fields.List(fields.String()),
        metadata={"description": "With 422: reasons by the name of the invalid field"},
    )


class ErrorEnvelope(Schema):
    """An error response."""

    success = fields.Boolean(required=True, validate=validate.Equal(comparable=False))
    message = fields.String(required=True)
    error = fields.Nested(ErrorBody, required=True)
    metadata = fields.Nested(Metadata, required=True)


class Envelope(Schema):
    """A success response without the parts that each operation adds."""

    success = fields.Boolean(required=True, validate=validate.Equal(comparable=True))
    message = fields.String(required=True)


def envelope(data: Schema | fields.Field[Any] | None) -> Schema:
    """Return the schema of a success response with ``data``; None means null."""
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
    401: "The token is missing or invalid; at login: the username or password is wrong",
    403: "The permission level is too low",
    404: "The resource does not exist",
    409: "The request conflicts with the current state",
    412: "If-Match does not match the current version",
    413: "The body is too large",
    415: "The content type of the body is not supported",
    422: "The request is invalid; error.fields has the reasons",
    429: "Too many attempts or concurrent requests",
    500: "Internal error; the log contains the request id",
    503: "A required part of Cisisk is not working",
}
"""The status codes of error responses with an ``ErrorEnvelope``."""

ERROR_HEADERS: Final[dict[int, dict[str, Any]]] = {
    401: {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "Seconds until the next attempt", "schema": {"type": "integer"}}},
}
"""Additional headers of error responses."""
