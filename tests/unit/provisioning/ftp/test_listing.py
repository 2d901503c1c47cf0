import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.provisioning.ftp.listing import Listed, read_listing


@pytest.mark.parametrize(
    ("argument", "path", "pattern"),
    [
        ("", "", None),
        ("-al", "", None),
        ("-a -l", "", None),
        ("-lR1", "", None),
        ("/", "/", None),
        ("-al /", "/", None),
        ("-la Desktops", "Desktops", None),
        ("*.xml", "", "*.xml"),
        ("-l *.xml", "", "*.xml"),
        ("/*", "/", "*"),
        ("dir/*.*", "dir", "*.*"),
        ("dir\\*.*", "dir", "*.*"),
        ("Desktops\\320x212x16\\", "Desktops/320x212x16/", None),
        ("SEP??????000001.cnf.xml", "", "SEP??????000001.cnf.xml"),
        ("Ring[12].raw", "", "Ring[12].raw"),
        ("my folder/*.raw", "my folder", "*.raw"),
        ("-l my folder", "my folder", None),
        ("a-l", "a-l", None),
        ("./-l", "./-l", None),
        ("--help", "--help", None),
    ],
)
def test_argument_of_listing_is_read_as_other_servers_do(argument: str, path: str, pattern: str | None) -> None:
    assert read_listing(argument) == Listed(path, pattern)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*.xml", "a.xml", True),
        ("*.xml", "a.xml.sgn", False),
        ("*.XML", "a.xml", False),
        ("*.*", "noextension", True),
        ("*", "noextension", True),
        ("Ring[12].raw", "Ring2.raw", True),
        ("Ring[!12].raw", "Ring2.raw", False),
        ("Ring?.raw", "Ring10.raw", False),
        ("[", "[", True),
    ],
)
def test_pattern_of_listing_matches_names(pattern: str, name: str, expected: bool) -> None:
    assert Listed("", pattern).matches(name) is expected


@given(st.text(max_size=300))
def test_any_argument_of_a_listing_is_read(argument: str) -> None:
    assert isinstance(read_listing(argument).matches("a.xml"), bool)
