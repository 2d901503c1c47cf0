"""What can be legal in a config and hurt all the same."""

from dataclasses import dataclass
from enum import StrEnum, auto


class FindingCode(StrEnum):
    """The kinds of finding; the names, in small letters, are part of the API and do not change."""

    AUTH_PASSWORD_TOO_LONG = auto()
    """Longer than phones take; the line may not register."""
    BLANK_AUTHENTICATION_URL = auto()
    """The phone obeys commands from anybody in its network."""
    BYTE_ORDER_MARK = auto()
    """Small parsers stumble over the three bytes before the XML."""
    DUPLICATE_BUTTON = auto()
    """Two lines claim one key; nobody can say which of them the phone shows."""
    DUPLICATE_LINE_INDEX = auto()
    """Two lines claim one registration."""
    EMERGENCY_UNKNOWN = auto()
    """Nobody has said what an emergency call from the phone is to tell, and the profile asks for it."""
    ENCRYPTED_CONFIG = auto()
    """The phone would expect the next config encrypted to its own certificate."""
    LARGE_CONFIG = auto()
    """Larger than any config in the field; small phones may run out of memory."""
    LEADING_WHITESPACE = auto()
    """Small parsers stumble over white space before the XML."""
    LINE_NOT_CALL_MANAGER = auto()
    """The phone takes no service-control restart, as it does not see the PBX as a call manager."""
    LINE_WITHOUT_NAME = auto()
    """A line that cannot register."""
    LINE_WITHOUT_PROXY = auto()
    """A line that does not know where to register."""
    LOAD_INCOMPLETE = auto()
    """A file of the firmware load is not on this server: the phone cannot load it."""
    LOAD_NOT_SERVED = auto()
    """The firmware load is not on this server: the phone keeps the one it has."""
    LOAD_PROTOCOL_MISMATCH = auto()
    """The firmware load is for the other protocol."""
    LOAD_WITH_SUFFIX = auto()
    """The phone appends .loads itself and asks for a file that does not exist."""
    MISSING_AUTHENTICATION_URL = auto()
    """The phone can ask nobody whether a command is allowed."""
    MISSING_FULL_CONFIG = auto()
    """The phone may take the file as a change to the previous one."""
    NO_LINE = auto()
    """A SIP phone without a single line: it will not register."""
    PHONE_LABEL_TOO_LONG = auto()
    """A 79xx shows twelve characters."""
    PHONE_PASSWORD_PRESENT = auto()
    """The unlock code of the settings stands in the file for all to read."""
    PLACEHOLDER_NOT_FILLED = auto()
    """A placeholder in a profile that does not have placeholders filled in."""
    PROTOCOL_SOFTWARE_MISMATCH = auto()
    """The file is for the other protocol than the profile says."""
    SCCP_ON_SIP_ONLY_MODEL = auto()
    """There is no SCCP firmware for the model."""
    SECURITY_MODE_NEEDS_TRUST_LIST = auto()
    """The phone wants signed trust lists, which a plain PBX does not have."""
    SIP_ON_SCCP_ONLY_MODEL = auto()
    """There is no SIP firmware for the model."""
    SSH_PASSWORD_PRESENT = auto()
    """The password of the phone's shell stands in the file for all to read."""
    TOO_MANY_LINES = auto()
    """More lines than the model has keys."""
    UNDECLARED_PREFIX = auto()
    """Call-manager exports use xsi: without declaring it; phones do not mind, XML tools do."""
    UNKNOWN_MODEL = auto()
    """A model that is not in the catalogue: a typing error, or one about which nothing can be judged."""
    UNKNOWN_PLACEHOLDER = auto()
    """Looks like a placeholder, and reaches the phone as it is."""
    URL_TOO_LONG = auto()
    """Longer than phones take."""
    WEB_ACCESS_DISABLED = auto()
    """The phone cannot be restarted over HTTP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to know about a config.

    Attributes:
        message: what is the case and what to do, in a sentence or two; never quotes a secret.
        line: of the file; None when it is about the whole.
    """

    code: FindingCode
    message: str
    line: int | None = None
