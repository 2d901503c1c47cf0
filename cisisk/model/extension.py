"""PBX extensions, and the users they belong to."""

from dataclasses import dataclass
from enum import StrEnum

from cisisk.model.clock import Timestamp


class ExtensionType(StrEnum):
    """The channel driver of an extension, by Asterisk's names."""

    CHAN_SCCP = "chan_sccp"
    CHAN_SIP = "chan_sip"
    CHAN_PJSIP = "chan_pjsip"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """An extension, without its secrets.

    Attributes:
        extension: the number.
        has_passcode: whether a voicemail passcode is stored.
        revision: the number of changes.
    """

    uuid: str
    type: ExtensionType
    extension: str
    name: str
    description: str | None
    voicemail: bool
    has_passcode: bool
    is_active: bool
    created_at: Timestamp
    updated_at: Timestamp
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UserExtension:
    """The link between a user and an extension.

    Attributes:
        ext_name: the name of the extension.
        type: the type of the extension.
        revision: grows with each change of the user or of the extension.
    """

    uuid: str
    user_uuid: str
    extension_uuid: str
    username: str
    first_name: str
    last_name: str
    extension: str
    ext_name: str
    type: ExtensionType
    created_at: Timestamp
    revision: int
