"""Schemas of directory imports."""

from marshmallow import Schema, fields

from cisisk.adoption.directory import ImportNoteKind
from cisisk.api.schemas.fields import In, Uuid, text
from cisisk.api.schemas.notice import CarriedNoticeOut


class AdoptionIn(In):
    """A directory to import."""

    directory = fields.String(
        allow_none=True,
        validate=text(4096),
        metadata={
            "description": "Directory on the server, only over the control socket; by default the served directory"
        },
    )
    user_uuid = Uuid(allow_none=True, metadata={"description": "Owner of the profiles; by default the client"})


class NoteOut(CarriedNoticeOut):
    """A note about one file."""

    path = fields.String(required=True)
    kind = fields.Enum(ImportNoteKind, by_value=True, required=True)


class ReportOut(Schema):
    """The result of an import."""

    phones = fields.Integer(required=True, metadata={"description": "Phones added to the inventory"})
    profiles = fields.Integer(required=True, metadata={"description": "Profiles created from configs"})
    files = fields.Integer(required=True, metadata={"description": "Files copied"})
    unchanged = fields.Integer(required=True, metadata={"description": "Files that existed already"})
    notes = fields.List(fields.Nested(NoteOut), required=True)
