"""Schemas of directory imports."""

from marshmallow import Schema, fields, validate

from cisisk.adoption.directory import MAX_FILES, ImportNoteKind
from cisisk.api.schemas.fields import In, MacAddress, Uuid, text
from cisisk.api.schemas.notice import CarriedNoticeOut


class OwnerIn(In):
    """The user who gets the profile of a phone."""

    mac = MacAddress(required=True)
    user_uuid = Uuid(required=True)


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
    owners = fields.List(
        fields.Nested(OwnerIn),
        load_default=list,
        validate=validate.Length(max=MAX_FILES),
        metadata={"description": "Other owners, by phone"},
    )


class ImportedConfigOut(Schema):
    """A config that is a profile."""

    path = fields.String(required=True)
    mac = MacAddress(required=True)
    profile_uuid = fields.String(required=True, metadata={"description": "Empty if it was deleted since"})
    profile_name = fields.String(required=True)
    username = fields.String(required=True)
    made = fields.Boolean(required=True, metadata={"description": "Whether this import has created the profile"})


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
    configs = fields.List(fields.Nested(ImportedConfigOut), required=True)
    notes = fields.List(fields.Nested(NoteOut), required=True)
