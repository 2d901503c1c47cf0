"""The numbers of a PBX, and whose they are."""

from dataclasses import dataclass
from enum import StrEnum

from cisisk.model.clock import Timestamp


class ExtensionType(StrEnum):
    """What serves an extension at the PBX; the names are Asterisk's."""

    CHAN_SCCP = "chan_sccp"
    CHAN_SIP = "chan_sip"
    CHAN_PJSIP = "chan_pjsip"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """An extension, without its secrets.

    Attributes:
        extension: the number.
        has_passcode: whether a passcode for its voicemail is kept.
        revision: counts the changes.
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
    """That an extension is a user's.

    Attributes:
        ext_name: the extension's name.
        type: the extension's.
        revision: grows with each change of the user or the extension.
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
