"""Files of the library."""

from marshmallow import Schema, fields

from cisisk.api.schemas.fields import Timestamp
from cisisk.api.schemas.listing import ListQuery
from cisisk.provisioning.files import FileKind


class FileQuery(ListQuery):
    """Which files are wanted."""

    kind = fields.Enum(FileKind, by_value=True, load_default=None, metadata={"description": "Only those"})


class LoadOut(Schema):
    """A firmware, and what the library lacks of it."""

    name = fields.String(required=True, metadata={"description": "As loadInformation has it"})
    parts = fields.List(fields.String(), required=True, metadata={"description": "The files that it names"})
    missing = fields.List(fields.String(), required=True, metadata={"description": "Those that are not here"})


class FileOut(Schema):
    """A file that phones may read."""

    path = fields.String(required=True)
    size = fields.Integer(required=True, metadata={"description": "Bytes"})
    modified_at = Timestamp(required=True)
    kind = fields.Enum(FileKind, by_value=True, required=True)
    firmware = fields.Nested(
        LoadOut, required=True, allow_none=True, attribute="load", metadata={"description": "Of a .loads file"}
    )


class UnpackedOut(Schema):
    """What came out of an archive."""

    files = fields.List(fields.Nested(FileOut), required=True)
