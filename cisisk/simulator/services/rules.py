"""The rules a page of an XML service has to keep (docs/phone-protocol/xml-services.md#objects)."""

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """One rule, by what breaks it."""

    CONTENT_TYPE = "neither text/xml, text/plain nor text/html"
    NO_CHARSET = "no charset in the Content-Type"
    CHARSET_MISMATCH = "the Content-Type's charset is not the one the XML declares"
    CHARSET_UNSUPPORTED = "a charset this family does not read"
    OBJECT_SIZE = "larger than this family takes"
    LEADING_BYTES = "something before the first tag"
    NOT_WELL_FORMED = "not well-formed"
    ENTITY = "an entity that is not predefined"
    DOCUMENT_TYPE = "a document type"
    UNKNOWN_OBJECT = "a root element that is no displayable object"
    UNKNOWN_TAG = "an unknown tag"
    UNKNOWN_ATTRIBUTE = "an unknown attribute"
    REPEATED_TAG = "a tag that may stand there once only"
    MISSING_TAG = "a tag is missing"
    MISSING_DEFAULT_VALUE = "DefaultValue is missing"
    TITLE_LENGTH = "Title too long"
    PROMPT_LENGTH = "Prompt too long"
    NAME_LENGTH = "Name too long"
    TELEPHONE_LENGTH = "Telephone too long"
    TEXT_LENGTH = "Text too long"
    INPUT_LENGTH = "DisplayName, QueryStringParam or DefaultValue too long"
    SOFT_KEY_LENGTH = "a soft key's Name too long"
    URL_LENGTH = "URL too long"
    MENU_ITEMS = "too many MenuItem"
    ICON_MENU_ITEMS = "too many MenuItem beside icons"
    ICONS = "too many IconItem"
    DIRECTORY_ENTRIES = "too many DirectoryEntry"
    INPUT_ITEMS = "too many InputItem"
    EXECUTE_ITEMS = "none or too many ExecuteItem"
    KEY_ITEMS = "too many KeyItem"
    SOFT_KEYS = "too many SoftKeyItem"
    SOFT_KEY_POSITION = "a soft key's Position is no free place"
    INPUT_FLAGS = "InputFlags that no phone knows"
    UNKNOWN_URI = "a URI this family does not know"
    BAD_URL = "an http URL that leads nowhere"
    POST = "a form to be posted by a family that does not post"
    MENU_EXPECTED = "the Directories key of this family opens a menu only"
    DEAD_SOFT_KEY = "a soft key that does nothing on such a page"
    COOKIE = "a cookie this phone does not keep"
    EXPIRES = "an Expires this family cannot read"
    REFRESH = "a Refresh no phone can follow"


TOLERATED = frozenset({Rule.DEAD_SOFT_KEY, Rule.COOKIE, Rule.EXPIRES, Rule.REFRESH})
"""The page is shown, without what broke the rule."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule broken.

    Attributes:
        rule: which.
        where: the place, and the numbers; never what stands there, which may be secret.
    """

    rule: Rule
    where: str = ""
