"""Taking over an existing directory."""

from marshmallow import Schema, fields

from cisisk.adoption.directory import ImportNoteKind
from cisisk.api.schemas.fields import In, Uuid, text
from cisisk.api.schemas.notice import CarriedNoticeOut


class AdoptionIn(In):
    """What is to be taken over, and for whom."""

    directory = fields.String(
        allow_none=True,
        validate=text(4096),
        metadata={
            "description": "On this machine, and only through its control socket; without it the served directory"
        },
    )
    user_uuid = Uuid(allow_none=True, metadata={"description": "To whom the profiles belong; without it whoever asks"})


class NoteOut(CarriedNoticeOut):
    """Something to know about one file."""

    path = fields.String(required=True)
    kind = fields.Enum(ImportNoteKind, by_value=True, required=True)


class ReportOut(Schema):
    """What became of a directory."""

    phones = fields.Integer(required=True, metadata={"description": "Added to the inventory"})
    profiles = fields.Integer(required=True, metadata={"description": "Made of configs"})
    files = fields.Integer(required=True, metadata={"description": "Copied"})
    unchanged = fields.Integer(required=True, metadata={"description": "There already, or taken over before"})
    notes = fields.List(fields.Nested(NoteOut), required=True)
