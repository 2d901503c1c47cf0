"""Schemas of files."""

from marshmallow import Schema, fields

from cisisk.api.schemas.fields import TimestampField
from cisisk.api.schemas.listing import ListQuery
from cisisk.provisioning.files import FileKind


class FileQuery(ListQuery):
    """Query of a list of files."""

    kind = fields.Enum(FileKind, by_value=True, load_default=None, metadata={"description": "Only files of this kind"})


class LoadOut(Schema):
    """A firmware and its missing files."""

    name = fields.String(required=True, metadata={"description": "Name for loadInformation"})
    parts = fields.List(fields.String(), required=True, metadata={"description": "Files of the firmware"})
    missing = fields.List(fields.String(), required=True, metadata={"description": "Files that are missing"})


class FileOut(Schema):
    """A file that phones may read."""

    path = fields.String(required=True)
    size = fields.Integer(required=True, metadata={"description": "Size in bytes"})
    modified_at = TimestampField(required=True)
    kind = fields.Enum(FileKind, by_value=True, required=True)
    firmware = fields.Nested(
        LoadOut,
        required=True,
        allow_none=True,
        attribute="load",
        metadata={"description": "Of a .loads file"},
    )


class UnpackedOut(Schema):
    """The files of an unpacked archive."""

    files = fields.List(fields.Nested(FileOut), required=True)
