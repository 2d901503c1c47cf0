"""The only parser of configs. It returns well-formed, harmless XML with a <device> root."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from lxml import etree

from cisisk.model import foreign_xml
from cisisk.model.errors import Invalid
from cisisk.model.sep_config.encoding import decode, encoding_of
from cisisk.model.sep_config.refusal import refusal, refusal_at

DEFAULT_MAX_BYTES = 524288
"""Usual configs have 6 to 25 KB. Phones stop reading other XML files at 550001 bytes."""
MAX_TAGS = 50_000
"""Tags and comments. A config of the maximum size and usual density has fewer. The tree takes 10 MiB."""
MAX_ATTRIBUTES = 256
"""Per element. Call-manager exports have fewer than ten; 40000 cost the parser 20 MiB."""
MAX_UNDECLARED_PREFIXES = 50
"""Uses of undeclared prefixes. The parser logs at most 100 errors, so a full log may hide other errors."""

_UTF16_OR_32 = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<", b"\0\0")
# Possessive quantifiers: the search is linear for any prologue.
_DOCTYPE = re.compile(rb"(?:\xef\xbb\xbf)?+(?:[ \t\r\n]++|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL)
_ATTRIBUTE = re.compile(rb"=[ \t\r\n]*[\"']")
_UNDECLARED_PREFIX = "NS_ERR_UNDEFINED_NAMESPACE"
_REASONS = {
    "ERR_ATTRIBUTE_NOT_STARTED": 'An attribute\'s value has no quotes. Write name="value".',
    "ERR_ATTRIBUTE_REDEFINED": "An element has the same attribute twice. Remove one of them.",
    "ERR_ATTRIBUTE_WITHOUT_VALUE": 'An attribute has no value. Write name="value".',
    "ERR_CDATA_NOT_FINISHED": "A CDATA section has no end. The file may be cut off.",
    "ERR_COMMENT_NOT_FINISHED": "A comment has no end. Close it with -->, or send the whole file if it was cut off.",
    "ERR_DOCUMENT_EMPTY": "The file is no XML: the first character must be <.",
    "ERR_DOCUMENT_END": "Something follows the end of the root element. A config has one root; remove the rest.",
    "ERR_ENTITYREF_SEMICOL_MISSING": "An & does not begin an entity. Write &amp; for a plain &.",
    "ERR_GT_REQUIRED": "A tag is not closed with >. The file may be cut off.",
    "ERR_HYPHEN_IN_COMMENT": "A comment contains two hyphens. Remove one of them.",
    "ERR_INVALID_CHAR": "XML does not allow this control character. Remove it.",
    "ERR_LT_IN_ATTRIBUTE": "An attribute's value contains <. Write &lt; for a plain <.",
    "ERR_NAME_REQUIRED": "A name is missing after & or <. Write &amp; for a plain & and &lt; for a plain <.",
    "ERR_NAME_TOO_LONG": "A name is longer than phones can read. Shorten it.",
    "ERR_RESERVED_XML_NAME": "An XML declaration (<?xml) is allowed at the start of the file only. Remove this one.",
    "ERR_RESOURCE_LIMIT": "More than 256 elements are nested, or a value is far too long. Flatten or shorten it.",
    "ERR_TAG_NAME_MISMATCH": "An end tag does not match the open element. Close the elements in order.",
    "ERR_TAG_NOT_FINISHED": "The file ends inside an element. Send the whole file.",
    "ERR_UNDECLARED_ENTITY": "The entity is none of &amp; &lt; &gt; &quot; &apos;. Write the character itself.",
}
_OTHER_REASON = "This is not well-formed XML. Correct it here or shortly before."


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A parsed config.

    Attributes:
        content: the parsed bytes.
        encoding: as declared, in upper case.
        undeclared_prefix: the line of the first name with an undeclared prefix; None if there is none.
    """

    content: bytes = field(repr=False)
    encoding: str
    root: etree._Element
    undeclared_prefix: int | None

    def first(self, path: str) -> etree._Element | None:
        """Return the first element at ``path``, which holds local names below the root, joined by ``/``."""
        return self.root.find(_any_namespace(path))

    def every(self, path: str) -> Iterator[etree._Element]:
        """Yield every element at ``path``, in the order of the file."""
        return self.root.iterfind(_any_namespace(path))

    def text(self, path: str) -> str | None:
        """Return the stripped text at ``path``, or None if there is no such element."""
        element = self.first(path)
        return None if element is None else text_of(element)

    def line(self, path: str) -> int | None:
        """Return the line of the first element at ``path``, or None."""
        element = self.first(path)
        return None if element is None else element.sourceline


def text_of(element: etree._Element) -> str:
    """Return the stripped text of ``element``."""
    return (element.text or "").strip()


def local_name(element: etree._Element) -> str:
    """Return the name of ``element`` without its namespace."""
    return str(element.tag).rpartition("}")[2]


def parse(content: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES) -> Document:
    """Parse an untrusted config.

    Raises:
        Invalid: it is too large, in an unsupported encoding, malformed, no config of a phone, or harmful.
    """
    _check_size(content, max_bytes)
    _check_characters(content)
    encoding = encoding_of(content)
    _check_prologue(content)
    _check_amounts(content)
    root, undeclared_prefix = _tree(content, encoding)
    _check_root(root)
    return Document(content=content, encoding=encoding, root=root, undeclared_prefix=undeclared_prefix)


def _check_size(content: bytes, max_bytes: int) -> None:
    if len(content) > max_bytes:
        raise refusal(f"The file has {len(content)} bytes; the maximum is {max_bytes}. Send one config only.")
    if not content.strip():
        raise refusal("The file is empty.")


def _check_characters(content: bytes) -> None:
    if content.startswith(_UTF16_OR_32):
        raise refusal("The file is UTF-16, UTF-32 or no text. Save it as UTF-8.", line=1)
    text = decode(content)
    if "\0" in text:
        raise refusal_at(
            "The file contains a NUL byte. A config is plain text; remove the byte.", text[: text.index("\0")]
        )


def _check_prologue(content: bytes) -> None:
    if content[:1].isspace() and content.lstrip().startswith(b"<?xml"):
        raise refusal("There is white space before <?xml. Delete it: the file must begin with the declaration.", line=1)
    if match := _DOCTYPE.match(content):
        before = content[: match.end() - len(b"<!DOCTYPE")]
        raise refusal_at(
            "The file has a DOCTYPE. Phones need none, and it can carry attacks. Remove it.", before.decode("latin-1")
        )


def _check_amounts(content: bytes) -> None:
    if content.count(b"<") > MAX_TAGS:
        raise refusal(f"The file has more than {MAX_TAGS} tags. No phone's config is so large; send one config only.")
    if content.count(b"=") <= MAX_ATTRIBUTES:
        return
    # A tag contains no <, so each part holds at most one tag.
    for tag in content.split(b"<"):
        if tag.count(b"=") > MAX_ATTRIBUTES and len(_ATTRIBUTE.findall(tag)) > MAX_ATTRIBUTES:
            raise refusal(f"An element has more than {MAX_ATTRIBUTES} attributes. No phone's config has; remove them.")


def _tree(content: bytes, encoding: str) -> tuple[etree._Element, int | None]:
    parser = foreign_xml.parser(encoding)
    try:
        return etree.fromstring(content, parser), None
    except etree.XMLSyntaxError:
        errors = parser.error_log.filter_from_errors()
    for error in errors:
        if error.type_name != _UNDECLARED_PREFIX:
            raise _malformed(error)
    if len(errors) > MAX_UNDECLARED_PREFIXES:
        first = errors[0]
        reason = f"More than {MAX_UNDECLARED_PREFIXES} names with an undeclared prefix. Declare or remove the prefixes."
        raise refusal(reason, line=first.line, column=first.column)
    # The file has no other error, so recovery ignores the prefixes only.
    return etree.fromstring(content, foreign_xml.parser(encoding, recover=True)), errors[0].line


def _malformed(error: etree._LogEntry) -> Invalid:
    # The message of the parser may quote the file, and with it a password.
    return refusal(_REASONS.get(error.type_name, _OTHER_REASON), line=error.line, column=error.column)


def _check_root(root: etree._Element) -> None:
    name = local_name(root).rpartition(":")[2]
    if name == "Default":
        reason = "This is the default config for unknown phones (XMLDefault.cnf.xml), not the config of a phone."
        raise refusal(f"{reason} Send a file whose root element is <device>.")
    if name != "device":
        raise refusal("The root element is not <device>. Send the phone's own config, SEP<MAC>.cnf.xml.")


@cache
def _any_namespace(path: str) -> str:
    return "/".join(f"{{*}}{name}" for name in path.split("/"))
