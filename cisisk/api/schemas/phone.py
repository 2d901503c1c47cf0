"""Phones and profiles."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from cisisk.api.schemas.fields import (
    LINE,
    NAME,
    PARAGRAPH,
    In,
    IpAddress,
    MacAddress,
    Timestamp,
    Uuid,
    WholeNumber,
    text,
)
from cisisk.api.schemas.notice import CarriedNoticeOut
from cisisk.api.schemas.site import CALLER_ID
from cisisk.model import sep_config
from cisisk.model.phone import Software
from cisisk.model.placeholders import NAMES

MAX_MODELS = 100
"""More than the catalogue has."""


class PhoneIn(In):
    """A phone."""

    mac = MacAddress(required=True)
    model = fields.String(allow_none=True, validate=text(64), metadata={"example": "CP-7942G"})
    phone_ip = IpAddress(allow_none=True)
    location = fields.String(allow_none=True, validate=LINE)
    description = fields.String(allow_none=True, validate=PARAGRAPH)
    software = fields.Enum(Software, by_value=True, allow_none=True, load_default=Software.SIP)
    name = fields.String(allow_none=True, validate=LINE)
    hostname = fields.String(allow_none=True, validate=LINE)
    phone_vlan = WholeNumber(allow_none=True, validate=validate.Range(0, 4095))
    brand = fields.String(allow_none=True, validate=LINE)
    software_version = fields.String(allow_none=True, validate=LINE)
    is_active = fields.Boolean(allow_none=True, load_default=True)
    logout_profile_uuid = Uuid(
        allow_none=True, metadata={"description": "What it is given when a user leaves it; null for its site's"}
    )
    emergency_location = fields.String(
        allow_none=True, validate=LINE, metadata={"description": "Where help has to come to; null for its site's"}
    )
    emergency_caller_id = fields.String(
        allow_none=True, validate=CALLER_ID, metadata={"description": "Who is called back; null for its site's"}
    )


class DiscoveryOut(Schema):
    """What a phone that nobody has added reveals by its requests. Hints: whoever can send a packet can make them."""

    at = Timestamp(required=True)
    protocols = fields.List(fields.String(), required=True, attribute="revealed.protocols")
    software = fields.String(required=True, allow_none=True, attribute="revealed.software")
    models = fields.List(
        fields.String(),
        required=True,
        attribute="revealed.models",
        metadata={"description": "Those that ask for such files; empty for any"},
    )
    firmware = fields.List(fields.String(), required=True, attribute="revealed.loads")
    signed = fields.Boolean(
        required=True, attribute="revealed.signed", metadata={"description": "It wants its config signed"}
    )
    recovering = fields.Boolean(
        required=True, attribute="revealed.recovering", metadata={"description": "It looks for firmware to start with"}
    )


class PhoneOut(Schema):
    """A phone."""

    mac = MacAddress(required=True)
    model = fields.String(required=True, allow_none=True)
    phone_ip = fields.String(required=True, allow_none=True)
    location = fields.String(required=True, allow_none=True)
    description = fields.String(required=True, allow_none=True)
    software = fields.Enum(
        Software,
        by_value=True,
        required=True,
        allow_none=True,
        metadata={"description": "null while nobody has said what a phone runs that a switch added"},
    )
    name = fields.String(required=True, allow_none=True)
    hostname = fields.String(required=True, allow_none=True)
    phone_vlan = fields.Integer(required=True, allow_none=True)
    brand = fields.String(required=True, allow_none=True)
    software_version = fields.String(required=True, allow_none=True)
    is_active = fields.Boolean(required=True)
    logout_profile_uuid = Uuid(required=True, allow_none=True)
    emergency_location = fields.String(required=True, allow_none=True)
    emergency_caller_id = fields.String(required=True, allow_none=True)
    current_profile_uuid = Uuid(required=True, allow_none=True)
    seen_ip = fields.String(required=True, allow_none=True, metadata={"description": "Where it last fetched from"})
    seen_at = Timestamp(required=True, allow_none=True)
    served_sha256 = fields.String(
        required=True, allow_none=True, metadata={"description": "Of the config that it is served"}
    )
    # When that was found changed or removed on the disk by somebody else; null while it is what Cisisk put there.
    drifted_at = Timestamp(required=True, allow_none=True)
    # null as soon as somebody has added or changed it, or switched it to a profile
    discovered = fields.Nested(DiscoveryOut, required=True, allow_none=True, attribute="discovery")
    created_at = Timestamp(required=True)
    updated_at = Timestamp(required=True)


class CiscoPhoneIn(Schema):
    """What a phone runs."""

    software = fields.Enum(Software, by_value=True, required=True)


class CiscoPhoneOut(Schema):
    """What a phone runs."""

    mac = MacAddress(required=True)
    software = fields.Enum(Software, by_value=True, required=True, allow_none=True)
    current_profile_uuid = Uuid(required=True, allow_none=True)


class SoftwareType(fields.String):
    """The software a profile is for; empty or null is any."""

    def __init__(self, **kwargs: Any) -> None:
        # The field for enumerations would publish those of Software alone.
        allowed = ["", *(software.value for software in Software), None]
        super().__init__(allow_none=True, metadata={"enum": allowed}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        name = super()._deserialize(value, attr, data, **kwargs)
        try:
            return Software(name) if name else None
        except ValueError as error:
            raise ValidationError(f"Must be one of: {', '.join(Software)}.") from error


class ProfileIn(In):
    """A phone profile."""

    user_uuid = Uuid(required=True)
    name = fields.String(required=True, validate=NAME)
    description = fields.String(allow_none=True, validate=PARAGRAPH)
    cnf_xml = fields.String(required=True, metadata={"description": "The whole SEP<MAC>.cnf.xml"})
    compatible_models = fields.List(
        fields.String(validate=text(64)),
        allow_none=True,
        load_default=list,
        validate=validate.Length(max=MAX_MODELS),
        metadata={"description": "Empty for any model", "example": ["7942", "7962"]},
    )
    software_type = SoftwareType()
    placeholders = fields.Boolean(
        allow_none=True,
        load_default=False,
        metadata={"description": "Fill in " + ", ".join(f"{{{{{name}}}}}" for name in NAMES) + " at each switch"},
    )


class ProfileOut(Schema):
    """A phone profile."""

    uuid = Uuid(required=True)
    user_uuid = Uuid(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True, allow_none=True)
    cnf_xml = fields.Function(
        lambda profile: sep_config.decode(profile.cnf_xml), required=True, metadata={"type": "string"}
    )
    compatible_models = fields.List(fields.String(), required=True)
    software_type = fields.Enum(Software, by_value=True, required=True, allow_none=True)
    placeholders = fields.Boolean(required=True)
    created_at = Timestamp(required=True)
    updated_at = Timestamp(required=True)


class WarningOut(CarriedNoticeOut):
    """A property of a config that is legal and harmful."""

    line = fields.Integer(required=True, allow_none=True)


class JudgedProfileOut(ProfileOut):
    """A phone profile, with what its config would do to a phone."""

    warnings = fields.List(fields.Nested(WarningOut), required=True)
