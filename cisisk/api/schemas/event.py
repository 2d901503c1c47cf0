"""Streams of events."""

from marshmallow import Schema, fields, validate

MAX_NUMBER = 2**63 - 1
"""Of a step; the database counts no further."""


class EventQuery(Schema):
    """Where a stream of events begins."""

    last_event_id = fields.Integer(
        load_default=None,
        validate=validate.Range(0, MAX_NUMBER),
        metadata={"description": "The same as the header Last-Event-ID, for clients that cannot send it"},
    )
