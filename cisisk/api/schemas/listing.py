"""The query of a list."""

from marshmallow import Schema, fields, validate

from cisisk.api.schemas.fields import text

MOST = 10_000
"""Rows that one answer carries when a limit is asked for."""


class ListQuery(Schema):
    """Which part of a list is wanted."""

    limit = fields.Integer(
        load_default=None, validate=validate.Range(1, MOST), metadata={"description": "At most so many"}
    )
    offset = fields.Integer(load_default=0, validate=validate.Range(0, 2**31), metadata={"description": "Skip so many"})
    q = fields.String(
        load_default=None, validate=text(200, shortest=0), metadata={"description": "Text that must occur"}
    )
    sort = fields.String(
        load_default=None,
        validate=text(64, shortest=0),
        metadata={"description": "A field; with - before it, in reverse"},
    )


class AuditQuery(ListQuery):
    """Which part of the audit log is wanted."""

    limit = fields.Integer(load_default=100, validate=validate.Range(1, 500))


class UserAuditQuery(ListQuery):
    """Which part of one user's audit log is wanted."""

    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200))
