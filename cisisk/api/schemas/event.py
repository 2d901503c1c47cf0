"""Schemas of event streams."""

from marshmallow import Schema, fields, validate

MAX_NUMBER = 2**63 - 1
"""Largest number of a step in the database."""


class EventQuery(Schema):
    """Query of an event stream."""

    last_event_id = fields.Integer(
        load_default=None,
        validate=validate.Range(0, MAX_NUMBER),
        metadata={"description": "The same as the header Last-Event-ID, for clients that cannot send it"},
    )
