"""Schemas of directory contacts."""

from marshmallow import Schema, fields

from cisisk.api.schemas.fields import LINE, NAME, In, TimestampField, Uuid, text


class PersonalContactIn(In):
    """A contact in a personal directory."""

    name = fields.String(required=True, validate=NAME)
    work = fields.String(allow_none=True, validate=LINE, metadata={"example": "+49 30 123456"})
    mobile = fields.String(allow_none=True, validate=LINE)
    home = fields.String(allow_none=True, validate=LINE)
    email = fields.String(allow_none=True, validate=text(254, shortest=0))
    ringtone = fields.String(allow_none=True, validate=LINE)


class CompanyContactIn(PersonalContactIn):
    """A contact in the company directory."""

    department = fields.String(allow_none=True, validate=LINE)
    company = fields.String(allow_none=True, validate=LINE)
    location = fields.String(allow_none=True, validate=LINE)
    building = fields.String(allow_none=True, validate=LINE)


class ContactOut(Schema):
    """A contact."""

    uuid = Uuid(required=True)
    name = fields.String(required=True)
    work = fields.String(required=True, allow_none=True)
    mobile = fields.String(required=True, allow_none=True)
    home = fields.String(required=True, allow_none=True)
    email = fields.String(required=True, allow_none=True)
    ringtone = fields.String(required=True, allow_none=True)
    created_at = TimestampField(required=True)
    updated_at = TimestampField(required=True)


class PersonalContactOut(ContactOut):
    """A contact in a personal directory."""

    user_uuid = Uuid(required=True)


class CompanyContactOut(ContactOut):
    """A contact in the company directory."""

    department = fields.String(required=True, allow_none=True)
    company = fields.String(required=True, allow_none=True)
    location = fields.String(required=True, allow_none=True)
    building = fields.String(required=True, allow_none=True)
