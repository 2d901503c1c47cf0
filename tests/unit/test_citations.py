"""Every reference from the code to a page of the documentation names an existing heading."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
CITATION = re.compile(r"\bdocs/([\w/.-]+\.md)(?:#([\w-]+))?")
DANGLING = re.compile(
    r"(?:protocol|field|development) notes\b|contract section\b|\bnotes [0-9]+(?:\.[0-9]+|\(?[a-g]\b)|\(notes [0-9]",
    re.IGNORECASE,
)
"""References to a document by a description instead of its path."""
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([\w-]+))?\)")


def sources() -> Iterator[Path]:
    this = Path(__file__)
    return (path for folder in ("cisisk", "tests") for path in (ROOT / folder).rglob("*.py") if path != this)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: those that headings state, and those that their titles give."""
    headings = re.findall(r"^#+ +(.+?)(?: +\{#([\w-]+)\})?$", page.read_text("utf-8"), re.MULTILINE)
    return {anchor or re.sub(r"[^\w-]+", "-", title.lower()).strip("-") for title, anchor in headings}


def resolves(page: Path, anchor: str) -> bool:
    return page.exists() and (not anchor or anchor in anchors(page))


def test_citations_in_source_lead_to_headings() -> None:
    cited = {(path, *citation) for path in sources() for citation in CITATION.findall(path.read_text("utf-8"))}
    broken = [(path, page, anchor) for path, page, anchor in cited if not resolves(DOCS / page, anchor)]
    assert [f"{path.relative_to(ROOT)}: docs/{page}#{anchor}" for path, page, anchor in sorted(broken)] == []


def test_citations_are_found_in_many_modules() -> None:
    """Check that the search still finds references."""
    citing = [path for path in sources() if CITATION.search(path.read_text("utf-8"))]
    assert len(citing) > 50


def test_citation_of_document_has_its_path() -> None:
    lines = [(path, line) for path in sources() for line in path.read_text("utf-8").splitlines()]
    assert [f"{path.relative_to(ROOT)}: {line.strip()}" for path, line in lines if DANGLING.search(line)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_to_headings(page: Path) -> None:
    links = LINK.findall(page.read_text("utf-8"))
    broken = [
        f"{target}#{anchor}"
        for target, anchor in links
        if not (page.parent / target).exists()
        or (anchor and not resolves(page.parent / target if target else page, anchor))
    ]
    assert broken == []


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_stated_anchors_of_a_page_are_unique(page: Path) -> None:
    stated = re.findall(r"^#+ .*\{#([\w-]+)\}$", page.read_text("utf-8"), re.MULTILINE)
    assert sorted(stated) == sorted(set(stated))
