"""People in the directories."""

from marshmallow import Schema, fields

from cisisk.api.schemas.fields import LINE, NAME, In, Timestamp, Uuid, text


class PersonalContactIn(In):
    """Somebody in a user's own directory."""

    name = fields.String(required=True, validate=NAME)
    work = fields.String(allow_none=True, validate=LINE, metadata={"example": "+49 30 123456"})
    mobile = fields.String(allow_none=True, validate=LINE)
    home = fields.String(allow_none=True, validate=LINE)
    email = fields.String(allow_none=True, validate=text(254, shortest=0))
    ringtone = fields.String(allow_none=True, validate=LINE)


class CompanyContactIn(PersonalContactIn):
    """Somebody in the directory that all phones show."""

    department = fields.String(allow_none=True, validate=LINE)
    company = fields.String(allow_none=True, validate=LINE)
    location = fields.String(allow_none=True, validate=LINE)
    building = fields.String(allow_none=True, validate=LINE)


class ContactOut(Schema):
    """Somebody in a directory."""

    uuid = Uuid(required=True)
    name = fields.String(required=True)
    work = fields.String(required=True, allow_none=True)
    mobile = fields.String(required=True, allow_none=True)
    home = fields.String(required=True, allow_none=True)
    email = fields.String(required=True, allow_none=True)
    ringtone = fields.String(required=True, allow_none=True)
    created_at = Timestamp(required=True)
    updated_at = Timestamp(required=True)


class PersonalContactOut(ContactOut):
    """Somebody in a user's own directory."""

    user_uuid = Uuid(required=True)


class CompanyContactOut(ContactOut):
    """Somebody in the directory that all phones show."""

    department = fields.String(required=True, allow_none=True)
    company = fields.String(required=True, allow_none=True)
    location = fields.String(required=True, allow_none=True)
    building = fields.String(required=True, allow_none=True)
