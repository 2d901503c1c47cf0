"""The limits of pages, written independently from docs/phone-protocol/xml-services.md#objects."""

from dataclasses import dataclass

from lxml import etree

SHORT, MENU_NAME, URL, TEXT = 32, 64, 256, 4000
MENU_ITEMS, ENTRIES, INPUTS, KEYS = 100, 32, 5, 8
OLD_BYTES, NEW_BYTES = 8 * 1024, 40 * 1024
NEW_MODELS = ("CP-78", "CP-88", "CP-89", "CP-99")
LATIN_MODELS = ("CP-7940", "CP-7960")
URIS = ("http://", "https://", "SoftKey:", "Init:", "Key:", "QueryStringParam:")
FAMILIES = ("CP-7940G", "CP-7942G", "CP-7970G", "CP-6941", "CP-8845", "CP-9971")


@dataclass(frozen=True)
class Seen:
    """A page as a phone reads it."""

    root: etree._Element

    @property
    def kind(self) -> str:
        return str(self.root.tag).removeprefix("CiscoIPPhone")

    @property
    def title(self) -> str:
        return self.root.findtext("Title") or ""

    @property
    def prompt(self) -> str:
        return self.root.findtext("Prompt") or ""

    @property
    def text(self) -> str:
        return self.root.findtext("Text") or ""

    @property
    def keys(self) -> dict[str, str]:
        """The URLs of the soft keys by name, in the order of their positions."""
        found = sorted(self.root.iterfind("SoftKeyItem"), key=lambda key: int(key.findtext("Position") or 0))
        return {key.findtext("Name") or "": key.findtext("URL") or "" for key in found}

    @property
    def positions(self) -> dict[str, int]:
        return {key.findtext("Name") or "": int(key.findtext("Position") or 0) for key in self.root.iter("SoftKeyItem")}

    @property
    def items(self) -> dict[str, str]:
        return {item.findtext("Name") or "": item.findtext("URL") or "" for item in self.root.iter("MenuItem")}

    @property
    def entries(self) -> list[tuple[str, str]]:
        return [
            (entry.findtext("Name") or "", entry.findtext("Telephone") or "")
            for entry in self.root.iter("DirectoryEntry")
        ]

    @property
    def inputs(self) -> dict[str, str]:
        """The default values by parameter."""
        return {
            item.findtext("QueryStringParam") or "": item.findtext("DefaultValue") or ""
            for item in self.root.iter("InputItem")
        }

    @property
    def action(self) -> etree._Element:
        found = self.root.find("URL")
        assert found is not None
        return found


def seen(content: bytes, content_type: str, model: str) -> Seen:
    """Return the page; fail if a phone of that ``model`` does not accept it."""
    new, latin = model.startswith(NEW_MODELS), model.startswith(LATIN_MODELS)
    charset = "iso-8859-1" if latin else "utf-8"
    assert content_type == f"text/xml; charset={charset}"
    assert content.startswith(f'<?xml version="1.0" encoding="{charset}"?>'.encode())
    assert len(content) <= (NEW_BYTES if new else OLD_BYTES)
    root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
    assert b"<!" not in content
    page = Seen(root)
    assert page.kind in {"Menu", "Directory", "Input", "Text"}
    assert len(page.title) <= SHORT
    assert len(page.prompt) <= SHORT
    if model.startswith("CP-69"):
        assert not page.title
        assert page.prompt
    _check_lists(root)
    _check_keys(page, model)
    if page.kind == "Input":
        posts = model.startswith(("CP-78", "CP-88"))
        assert page.action.get("method") == ("post" if posts else None)
        assert len(page.action.text or "") <= URL
    return page


def _check_lists(root: etree._Element) -> None:
    assert len(root.findall("MenuItem")) <= MENU_ITEMS
    assert len(root.findall("DirectoryEntry")) <= ENTRIES
    assert len(root.findall("InputItem")) <= INPUTS
    assert len(root.findtext("Text") or "") <= TEXT
    for path, longest in {
        "MenuItem/Name": MENU_NAME,
        "DirectoryEntry/Name": SHORT,
        "InputItem/DisplayName": SHORT,
        "InputItem/QueryStringParam": SHORT,
        "SoftKeyItem/Name": SHORT,
    }.items():
        for element in root.iterfind(path):
            assert 1 <= len(element.text or "") <= longest, path
    for path in ("DirectoryEntry/Telephone", "InputItem/DefaultValue"):
        assert all(len(element.text or "") <= SHORT for element in root.iterfind(path))
    for url in root.iter("URL"):
        text = url.text or ""
        assert 1 <= len(text) <= URL
        assert text.isascii()
        assert text.isprintable()
        assert " " not in text
        assert text.startswith(URIS)


def _check_keys(page: Seen, model: str) -> None:
    positions = sorted(page.positions.values())
    assert 1 <= len(positions) <= KEYS
    assert len(set(positions)) == len(positions)
    by_url = {url: page.positions[name] for name, url in page.keys.items()}
    assert by_url["SoftKey:Exit"] == (3 if model.startswith("CP-79") else 1)
    for first in ("SoftKey:Select", "SoftKey:Dial", "SoftKey:Submit"):
        if first in by_url:
            assert by_url[first] == (1 if model.startswith("CP-79") else 2)
