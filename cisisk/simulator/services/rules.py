"""The rules for pages of XML services (docs/phone-protocol/xml-services.md#objects)."""

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """A rule; the value describes the violation."""

    CONTENT_TYPE = "Content-Type is not text/xml, text/plain or text/html"
    NO_CHARSET = "no charset in the Content-Type"
    CHARSET_MISMATCH = "the charset of the Content-Type differs from the XML declaration"
    CHARSET_UNSUPPORTED = "a charset that this family does not support"
    OBJECT_SIZE = "larger than this family accepts"
    LEADING_BYTES = "bytes before the first tag"
    NOT_WELL_FORMED = "not well-formed"
    ENTITY = "an undeclared entity"
    DOCUMENT_TYPE = "a document type"
    UNKNOWN_OBJECT = "an unknown root element"
    UNKNOWN_TAG = "an unknown tag"
    UNKNOWN_ATTRIBUTE = "an unknown attribute"
    REPEATED_TAG = "a repeated tag"
    MISSING_TAG = "a missing tag"
    MISSING_DEFAULT_VALUE = "a missing DefaultValue"
    TITLE_LENGTH = "Title too long"
    PROMPT_LENGTH = "Prompt too long"
    NAME_LENGTH = "Name too long"
    TELEPHONE_LENGTH = "Telephone too long"
    TEXT_LENGTH = "Text too long"
    INPUT_LENGTH = "DisplayName, QueryStringParam or DefaultValue too long"
    SOFT_KEY_LENGTH = "Name of a soft key too long"
    URL_LENGTH = "URL too long"
    MENU_ITEMS = "too many MenuItem elements"
    ICON_MENU_ITEMS = "too many MenuItem elements in an icon menu"
    ICONS = "too many IconItem elements"
    DIRECTORY_ENTRIES = "too many DirectoryEntry elements"
    INPUT_ITEMS = "too many InputItem elements"
    EXECUTE_ITEMS = "no or too many ExecuteItem elements"
    KEY_ITEMS = "too many KeyItem elements"
    SOFT_KEYS = "too many SoftKeyItem elements"
    SOFT_KEY_POSITION = "Position of a soft key invalid or already used"
    INPUT_FLAGS = "unknown InputFlags"
    UNKNOWN_URI = "a URI that this family does not support"
    BAD_URL = "an invalid http URL"
    POST = "a POST form for a family that does not support POST"
    MENU_EXPECTED = "the Directories key of this family accepts only a menu"
    DEAD_SOFT_KEY = "a soft key without effect on this kind of page"
    COOKIE = "a cookie that the phone refuses"
    EXPIRES = "an Expires that this family cannot read"
    REFRESH = "an invalid Refresh"


TOLERATED = frozenset({Rule.DEAD_SOFT_KEY, Rule.COOKIE, Rule.EXPIRES, Rule.REFRESH})
"""The page is shown without the part that broke the rule."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A violation of one rule.

    Attributes:
        rule: the broken rule.
        where: location and numbers; never the content, which may be secret.
    """

    rule: Rule
    where: str = ""
