"""Schemas of list queries."""

from marshmallow import Schema, fields, validate

from cisisk.api.schemas.fields import text

MAX_LIMIT = 10_000
"""Largest limit of a list."""


class ListQuery(Schema):
    """Query of a list."""

    limit = fields.Integer(
        load_default=None, validate=validate.Range(1, MAX_LIMIT), metadata={"description": "Maximum number of items"}
    )
    offset = fields.Integer(
        load_default=0, validate=validate.Range(0, 2**31), metadata={"description": "Items to skip"}
    )
    q = fields.String(load_default=None, validate=text(200, shortest=0), metadata={"description": "Text to search for"})
    sort = fields.String(
        load_default=None,
        validate=text(64, shortest=0),
        metadata={"description": "Field to sort by; - before it reverses the order"},
    )


class AuditQuery(ListQuery):
    """Query of the audit log."""

    limit = fields.Integer(load_default=100, validate=validate.Range(1, 500))


class UserAuditQuery(ListQuery):
    """Query of the audit log of one user."""

    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200))
