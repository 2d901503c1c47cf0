"""Schemas of phones and profiles."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from cisisk.api.schemas.fields import (
    LINE,
    NAME,
    PARAGRAPH,
    In,
    IpAddress,
    MacAddress,
    TimestampField,
    Uuid,
    WholeNumber,
    text,
)
from cisisk.api.schemas.notice import CarriedNoticeOut, NoticeOut
from cisisk.api.schemas.site import CALLER_ID
from cisisk.model import sep_config
from cisisk.model.content_type import ContentType
from cisisk.model.phone import RunningEvidence, Software
from cisisk.model.placeholders import NAMES

MAX_MODELS = 100
"""Most compatible models, more than the catalogue has."""


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
        allow_none=True, metadata={"description": "Profile without a user; null for that of the site"}
    )
    emergency_location = fields.String(
        allow_none=True,
        validate=LINE,
        metadata={"description": "For emergency calls; null for that of the site"},
    )
    emergency_caller_id = fields.String(
        allow_none=True,
        validate=CALLER_ID,
        metadata={"description": "Of emergency calls; null for that of the site"},
    )


class DiscoveryOut(Schema):
    """Properties derived from the requests of a discovered phone. Any client can forge them."""

    at = TimestampField(required=True)
    protocols = fields.List(fields.String(), required=True, attribute="revealed.protocols")
    software = fields.String(required=True, allow_none=True, attribute="revealed.software")
    models = fields.List(
        fields.String(),
        required=True,
        attribute="revealed.models",
        metadata={"description": "Models that request such files; empty for any"},
    )
    firmware = fields.List(fields.String(), required=True, attribute="revealed.loads")
    signed = fields.Boolean(
        required=True, attribute="revealed.signed", metadata={"description": "The phone requests a signed config"}
    )
    recovering = fields.Boolean(
        required=True, attribute="revealed.recovering", metadata={"description": "The phone requests recovery firmware"}
    )


class PhoneConfigOut(Schema):
    """A config of a phone, and the person whose it is."""

    sha256 = fields.String(required=True)
    profile_uuid = Uuid(required=True, allow_none=True, metadata={"description": "null without a present profile"})
    profile_name = fields.String(required=True, allow_none=True)
    user_uuid = Uuid(required=True, allow_none=True)
    username = fields.String(required=True, allow_none=True)
    since = TimestampField(required=True)


class RunningConfigOut(PhoneConfigOut):
    """The config that a phone runs."""

    evidence = fields.Enum(RunningEvidence, by_value=True, required=True)
    registered_at = TimestampField(required=True, allow_none=True)
    registered_as = fields.Nested(NoticeOut, required=True, allow_none=True)


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
        metadata={"description": "null if unknown, for a phone that was added by a switch"},
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
    seen_ip = fields.String(required=True, allow_none=True, metadata={"description": "Address of the last fetch"})
    seen_at = TimestampField(required=True, allow_none=True)
    served_sha256 = fields.String(required=True, allow_none=True, metadata={"description": "Hash of the served config"})
    # Time at which another program was found to have changed or removed the served config; null if unchanged.
    drifted_at = TimestampField(required=True, allow_none=True)
    current = fields.Nested(
        PhoneConfigOut, required=True, allow_none=True, metadata={"description": "What the phone is served"}
    )
    running = fields.Nested(
        RunningConfigOut,
        required=True,
        allow_none=True,
        metadata={
            "description": "What the phone runs: the last config that it took and then registered or booted with"
        },
    )
    # null after the phone was added, changed or switched
    discovered = fields.Nested(DiscoveryOut, required=True, allow_none=True, attribute="discovery")
    created_at = TimestampField(required=True)
    updated_at = TimestampField(required=True)


class CiscoPhoneIn(Schema):
    """The software of a phone as clients send it."""

    software = fields.Enum(Software, by_value=True, required=True)


class CiscoPhoneOut(Schema):
    """The software and current profile of a phone."""

    mac = MacAddress(required=True)
    software = fields.Enum(Software, by_value=True, required=True, allow_none=True)
    current_profile_uuid = Uuid(required=True, allow_none=True)


class SoftwareType(fields.String):
    """The software of compatible phones; empty or null means any."""

    def __init__(self, **kwargs: Any) -> None:
        # fields.Enum would publish only the values of Software, without the empty ones.
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
    cnf_xml = fields.String(required=True, metadata={"description": "The complete SEP<MAC>.cnf.xml, or SIP<MAC>.cnf"})
    content_type = fields.Enum(
        ContentType,
        by_value=True,
        metadata={"description": "`cnf` for the SIP<MAC>.cnf of a 7940 or 7960; by default `xml`, or as it was"},
    )
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
        metadata={"description": "Replace " + ", ".join(f"{{{{{name}}}}}" for name in NAMES) + " at each switch"},
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
    content_type = fields.Enum(ContentType, by_value=True, required=True)
    created_at = TimestampField(required=True)
    updated_at = TimestampField(required=True)


class WarningOut(CarriedNoticeOut):
    """A harmful property of a valid config."""

    line = fields.Integer(required=True, allow_none=True)


class JudgedProfileOut(ProfileOut):
    """A phone profile with warnings about its config."""

    warnings = fields.List(fields.Nested(WarningOut), required=True)
