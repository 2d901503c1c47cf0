"""Strict parser of XML service pages, by model family.

Source: docs/phone-protocol/xml-services.md#objects, docs/phone-protocol/xml-services.md#answers
"""

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from lxml import etree
from yarl import URL

from cisisk.simulator.services import input_flags, soft_keys
from cisisk.simulator.services.capabilities import LATIN, UTF_8, Capabilities
from cisisk.simulator.services.page import (
    PageKind,
    ParsedEntry,
    ParsedInputItem,
    ParsedMenuItem,
    ParsedPage,
    ParsedSoftKey,
)
from cisisk.simulator.services.rules import TOLERATED, Rule, Violation

PARSE_ERROR = "XML Error [4]: Parse Error"
"""Screen text after any violation that is not tolerated."""
MAX_URL = 256
MAX_NAME = 64
"""Characters of a menu item's name."""
MAX_SHORT = 32
"""Characters of every other name, title and value."""
MAX_TEXT = 4000
MAX_MENU_ITEMS = 100
MAX_ICON_MENU_ITEMS = 32
MAX_ICONS = 10
MAX_ENTRIES = 32
MAX_INPUTS = 5
MAX_EXECUTE_ITEMS = 3
MAX_KEY_ITEMS = 32

_DECLARATION = re.compile(rb"<\?xml\s[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_CHARSET = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9._-]{1,40})", re.IGNORECASE)
_URL_CHARACTERS = re.compile(r"[!-~]+")
_SCHEMES = frozenset(
    {"Init", "Key", "Dial", "EditDial", "Play", "RTPRx", "RTPTx", "RTPMRx", "RTPMTx", "QueryStringParam", "Notify"}
    | {"App", "Application", "Device", "Display", "SendDigits", "Vibrate"}
)
_ROOT_ATTRIBUTES = frozenset(
    {"appId", "keypadTarget", "onAppFocusLost", "onAppFocusGained", "onAppMinimized", "onAppClosed"}
)
_COMMON = frozenset({"Title", "Prompt", "SoftKeyItem", "KeyItem"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    """The page kind, children and attributes of a root element."""

    kind: PageKind
    tags: frozenset[str]
    attributes: frozenset[str] = _ROOT_ATTRIBUTES


_OBJECTS: Final = {
    "CiscoIPPhoneMenu": _Object(kind=PageKind.MENU, tags=_COMMON | {"MenuItem"}),
    "CiscoIPPhoneIconMenu": _Object(kind=PageKind.ICON_MENU, tags=_COMMON | {"MenuItem", "IconItem"}),
    "CiscoIPPhoneIconFileMenu": _Object(kind=PageKind.ICON_MENU, tags=_COMMON | {"MenuItem", "IconItem"}),
    "CiscoIPPhoneDirectory": _Object(kind=PageKind.DIRECTORY, tags=_COMMON | {"DirectoryEntry"}),
    "CiscoIPPhoneInput": _Object(kind=PageKind.INPUT, tags=_COMMON | {"URL", "InputItem"}),
    "CiscoIPPhoneText": _Object(kind=PageKind.TEXT, tags=_COMMON | {"Text"}),
    "CiscoIPPhoneExecute": _Object(kind=PageKind.EXECUTE, tags=frozenset({"ExecuteItem"}), attributes=frozenset()),
}
"""Image and status objects are not supported: the simulator has no display."""


def parse_page(
    body: bytes,
    content_type: str,
    capabilities: Capabilities,
    *,
    has_next_page: bool = False,
    waits_for_next: bool = False,
) -> ParsedPage:
    """Return the page that a phone shows for a response. A rule violation makes it a page of kind ERROR.

    Args:
        body: of the response; a body longer than ``max_object`` was truncated.
        content_type: header with its charset; empty if absent.
        capabilities: of the model family.
        has_next_page: the response has a ``Refresh`` header.
        waits_for_next: the refresh waits for the Next key.
    """
    parser = _PageParser(capabilities, has_next_page=has_next_page, waits_for_next=waits_for_next)
    page = parser.page(body, content_type)
    if TOLERATED.issuperset(violation.rule for violation in parser.violations):
        return replace(page, violations=tuple(parser.violations))
    return error_page(PARSE_ERROR, capabilities, violations=parser.violations)


def error_page(text: str, capabilities: Capabilities, *, violations: Iterable[Violation] = ()) -> ParsedPage:
    """Return the page that a phone shows after an error."""
    keys = soft_keys.defaults(PageKind.ERROR, exit_first=capabilities.exit_first, waits_for_next=False)
    return ParsedPage(kind=PageKind.ERROR, text=text, soft_keys=keys, is_expired=True, violations=tuple(violations))


def check_url(url: str, capabilities: Capabilities) -> Rule | None:
    """Return the rule that the ``url`` of a menu item or soft key breaks, or None. Its length is not checked."""
    scheme, colon, rest = url.partition(":")
    if scheme in {"http", "https"}:
        return None if is_fetchable(url) else Rule.BAD_URL
    if not colon or (scheme == "SoftKey" and rest not in soft_keys.KNOWN):
        return Rule.UNKNOWN_URI
    if scheme == "QueryStringParam" and "=" not in rest:
        return Rule.UNKNOWN_URI
    is_known = scheme == "SoftKey" or (scheme in _SCHEMES and scheme not in capabilities.foreign_schemes)
    return None if is_known else Rule.UNKNOWN_URI


def is_fetchable(url: str) -> bool:
    """Return whether ``url`` is http or https, has a host, and needs no percent-encoding."""
    if not _URL_CHARACTERS.fullmatch(url):
        return False
    try:
        target = URL(url)
    except ValueError:
        return False
    return target.scheme in {"http", "https"} and bool(target.host)


class _PageParser:
    """Parses one page and collects its violations."""

    def __init__(self, capabilities: Capabilities, *, has_next_page: bool, waits_for_next: bool) -> None:
        self.violations: list[Violation] = []
        self._capabilities = capabilities
        self._has_next_page = has_next_page
        self._waits_for_next = waits_for_next

    def page(self, body: bytes, content_type: str) -> ParsedPage:
        """Return the page as far as it is readable."""
        if len(body) > self._capabilities.max_object:
            return self._unreadable(Rule.OBJECT_SIZE, f"more than {self._capabilities.max_object} bytes")
        media_type, _, parameters = content_type.partition(";")
        media_type = media_type.strip().lower()
        named = _CHARSET.search(parameters)
        charset = _normalised(named[1]) if named else ""
        if media_type in {"text/plain", "text/html"}:
            text = body.decode(LATIN if charset not in self._capabilities.charsets else charset, "replace")
            return self._with_default_keys(ParsedPage(kind=PageKind.PLAIN, text=text))
        if media_type != "text/xml":
            return self._unreadable(Rule.CONTENT_TYPE)
        self._check_charset(body, charset)
        root = self._root(body)
        return ParsedPage(kind=PageKind.ERROR) if root is None else self._object(root, charset)

    def _unreadable(self, rule: Rule, where: str = "") -> ParsedPage:
        self._report(rule, where)
        return ParsedPage(kind=PageKind.ERROR)

    def _report(self, rule: Rule, where: str = "") -> None:
        self.violations.append(Violation(rule, where))

    def _check_charset(self, body: bytes, charset: str) -> None:
        if not charset:
            self._report(Rule.NO_CHARSET)
            return
        declared = _DECLARATION.match(body)
        # XML without a declaration is UTF-8 (XML 1.0 section 4.3.3).
        if _normalised(declared[1].decode("ascii") if declared else UTF_8) != charset:
            self._report(Rule.CHARSET_MISMATCH)
        if charset not in self._capabilities.charsets:
            self._report(Rule.CHARSET_UNSUPPORTED)

    def _root(self, body: bytes) -> etree._Element | None:
        if not body.startswith(b"<"):
            self._report(Rule.LEADING_BYTES)
            return None
        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
        )
        try:
            root = etree.fromstring(body, parser)
        except etree.XMLSyntaxError as error:
            is_entity = error.code == etree.ErrorTypes.ERR_UNDECLARED_ENTITY
            self._report(Rule.ENTITY if is_entity else Rule.NOT_WELL_FORMED, f"line {error.lineno}")
            return None
        if root.getroottree().docinfo.doctype:
            self._report(Rule.DOCUMENT_TYPE)
            return None
        return root

    def _object(self, root: etree._Element, charset: str) -> ParsedPage:
        known = _OBJECTS.get(_tag(root))
        if known is None:
            return self._unreadable(Rule.UNKNOWN_OBJECT)
        self._check_element(root, known.tags, "", known.attributes)
        if known.kind is PageKind.EXECUTE:
            return ParsedPage(kind=known.kind, executes=self._execute_items(root))
        title = self._text(root, "Title", Rule.TITLE_LENGTH, "", required=False)
        prompt = self._text(root, "Prompt", Rule.PROMPT_LENGTH, "", required=False)
        page = ParsedPage(
            kind=known.kind,
            title=title if self._capabilities.shows_title or not prompt else "",
            prompt=prompt,
            charset=charset or LATIN,
        )
        self._key_items(root)
        return self._with_keys(self._with_content(page, root), root)

    def _with_content(self, page: ParsedPage, root: etree._Element) -> ParsedPage:
        match page.kind:
            case PageKind.MENU | PageKind.ICON_MENU:
                return replace(page, items=self._menu_items(root, with_icons=page.kind is PageKind.ICON_MENU))
            case PageKind.DIRECTORY:
                return replace(page, entries=self._entries(root))
            case PageKind.INPUT:
                return self._form(page, root)
            case _:
                return replace(page, text=self._text(root, "Text", Rule.TEXT_LENGTH, "", longest=MAX_TEXT))

    # Objects

    def _menu_items(self, root: etree._Element, *, with_icons: bool) -> tuple[ParsedMenuItem, ...]:
        rule, most = (Rule.ICON_MENU_ITEMS, MAX_ICON_MENU_ITEMS) if with_icons else (Rule.MENU_ITEMS, MAX_MENU_ITEMS)
        elements = self._counted(root, "MenuItem", rule, most)
        self._counted(root, "IconItem", Rule.ICONS, MAX_ICONS)
        tags = frozenset({"Name", "URL", "IconIndex"} if with_icons else {"Name", "URL"})
        items = []
        for where, element in elements:
            self._check_element(element, tags, where)
            name = self._text(element, "Name", Rule.NAME_LENGTH, where, longest=MAX_NAME)
            items.append(ParsedMenuItem(name=name, url=self._url(element, where, may_be_empty=True)))
        return tuple(items)

    def _entries(self, root: etree._Element) -> tuple[ParsedEntry, ...]:
        entries = []
        for where, element in self._counted(root, "DirectoryEntry", Rule.DIRECTORY_ENTRIES, MAX_ENTRIES):
            self._check_element(element, frozenset({"Name", "Telephone"}), where)
            entries.append(
                ParsedEntry(
                    name=self._text(element, "Name", Rule.NAME_LENGTH, where),
                    telephone=self._text(element, "Telephone", Rule.TELEPHONE_LENGTH, where),
                )
            )
        return tuple(entries)

    def _form(self, page: ParsedPage, root: etree._Element) -> ParsedPage:
        element = root.find("URL")
        method = "" if element is None else element.get("method", "")
        posts = method == "post"
        if method not in {"", "get", "post"} or (posts and not self._capabilities.posts):
            self._report(Rule.POST, "URL")
        submit_url = self._url(root, "", attributes=frozenset({"method"}))
        if submit_url and not submit_url.startswith(("http://", "https://")):
            self._report(Rule.BAD_URL, "URL")
        return replace(page, submit_url=submit_url, posts=posts, inputs=tuple(self._inputs(root)))

    def _inputs(self, root: etree._Element) -> Iterable[ParsedInputItem]:
        tags = frozenset({"DisplayName", "QueryStringParam", "DefaultValue", "InputFlags"})
        for where, element in self._counted(root, "InputItem", Rule.INPUT_ITEMS, MAX_INPUTS):
            self._check_element(element, tags, where)
            if element.find("DefaultValue") is None:
                self._report(Rule.MISSING_DEFAULT_VALUE, where)
            flags = self._text(element, "InputFlags", Rule.INPUT_FLAGS, where)
            if not input_flags.FLAGS.fullmatch(flags):
                self._report(Rule.INPUT_FLAGS, where)
            yield ParsedInputItem(
                name=self._text(element, "DisplayName", Rule.INPUT_LENGTH, where),
                parameter=self._text(element, "QueryStringParam", Rule.INPUT_LENGTH, where),
                default=self._text(element, "DefaultValue", Rule.INPUT_LENGTH, where, required=False),
                flags=flags,
            )

    def _execute_items(self, root: etree._Element) -> tuple[str, ...]:
        elements = self._counted(root, "ExecuteItem", Rule.EXECUTE_ITEMS, MAX_EXECUTE_ITEMS)
        if not elements:
            self._report(Rule.EXECUTE_ITEMS, "none")
        urls = []
        for where, element in elements:
            self._check_element(element, frozenset(), where, frozenset({"URL", "Priority"}))
            urls.append(element.get("URL", ""))
            if not 1 <= len(urls[-1]) <= MAX_URL:
                self._report(Rule.URL_LENGTH, where)
        return tuple(urls)

    def _key_items(self, root: etree._Element) -> None:
        for where, element in self._counted(root, "KeyItem", Rule.KEY_ITEMS, MAX_KEY_ITEMS):
            self._check_element(element, frozenset({"Key", "URL"}), where)
            self._url(element, where)

    def _with_keys(self, page: ParsedPage, root: etree._Element) -> ParsedPage:
        elements = self._counted(root, "SoftKeyItem", Rule.SOFT_KEYS, self._capabilities.max_soft_keys)
        if not elements:
            return self._with_default_keys(page)
        keys: dict[int, ParsedSoftKey] = {}
        for where, element in elements:
            self._check_element(element, frozenset({"Name", "URL", "URLDown", "Position"}), where)
            key = ParsedSoftKey(
                name=self._text(element, "Name", Rule.SOFT_KEY_LENGTH, where), url=self._url(element, where)
            )
            position = self._text(element, "Position", Rule.SOFT_KEY_POSITION, where)
            place = int(position) if re.fullmatch("[0-9]{1,2}", position) else 0
            if place in keys or not 1 <= place <= self._capabilities.max_soft_keys:
                self._report(Rule.SOFT_KEY_POSITION, where)
            keys[place] = key
            name = key.url.removeprefix(soft_keys.SCHEME)
            if name in soft_keys.KNOWN and name != key.url and not self._is_native(name, page.kind):
                self._report(Rule.DEAD_SOFT_KEY, where)
        return replace(page, soft_keys=tuple(keys[place] for place in sorted(keys)))

    def _is_native(self, name: str, kind: PageKind) -> bool:
        return soft_keys.is_native(name, kind, has_next_page=self._has_next_page)

    def _with_default_keys(self, page: ParsedPage) -> ParsedPage:
        return replace(
            page,
            soft_keys=soft_keys.defaults(
                page.kind, exit_first=self._capabilities.exit_first, waits_for_next=self._waits_for_next
            ),
        )

    # Elements

    def _counted(self, root: etree._Element, tag: str, rule: Rule, most: int) -> list[tuple[str, etree._Element]]:
        """Return the children called ``tag``, each with its location. More than ``most`` break ``rule``."""
        elements = root.findall(tag)
        if len(elements) > most:
            self._report(rule, f"{len(elements)}, {most} at most")
        return [(f"{tag} {number}", element) for number, element in enumerate(elements, start=1)]

    def _check_element(
        self, element: etree._Element, tags: frozenset[str], where: str, attributes: frozenset[str] = frozenset()
    ) -> None:
        """Report children and attributes other than ``tags`` and ``attributes``."""
        for child in element:
            if _tag(child) not in tags:
                self._report(Rule.UNKNOWN_TAG, where or _tag(element))
        if not attributes.issuperset(element.attrib):
            self._report(Rule.UNKNOWN_ATTRIBUTE, where or _tag(element))

    def _check_not_repeated(self, parent: etree._Element, tag: str, where: str) -> None:
        if len(parent.findall(tag)) > 1:
            self._report(Rule.REPEATED_TAG, f"{where} {tag}".strip())

    def _text(
        self,
        parent: etree._Element,
        tag: str,
        rule: Rule,
        where: str,
        *,
        longest: int = MAX_SHORT,
        required: bool = True,
        attributes: frozenset[str] = frozenset(),
    ) -> str:
        """Return the text of the child called ``tag``; more than ``longest`` characters break ``rule``."""
        place = f"{where} {tag}".strip()
        self._check_not_repeated(parent, tag, where)
        element = parent.find(tag)
        if element is None:
            if required:
                self._report(Rule.MISSING_TAG, place)
            return ""
        self._check_element(element, frozenset(), place, attributes)
        text = element.text or ""
        if len(text) > longest:
            self._report(rule, f"{place}: {len(text)} characters, {longest} at most")
        if not self._capabilities.is_latin_only:
            return text
        return text.encode(LATIN, "replace").decode(LATIN)

    def _url(
        self,
        parent: etree._Element,
        where: str,
        *,
        may_be_empty: bool = False,
        attributes: frozenset[str] = frozenset(),
    ) -> str:
        url = self._text(parent, "URL", Rule.URL_LENGTH, where, longest=MAX_URL, attributes=attributes)
        if url or (parent.find("URL") is not None and not may_be_empty):
            rule = check_url(url, self._capabilities)
            if rule is not None:
                self._report(rule, f"{where} URL".strip())
        return url


def _normalised(charset: str) -> str:
    """Return Python's normalised name of ``charset``, or the name in lower case if it is unknown."""
    try:
        return codecs.lookup(charset).name
    except LookupError:
        return charset.lower()


def _tag(element: etree._Element) -> str:
    return element.tag if isinstance(element.tag, str) else ""
