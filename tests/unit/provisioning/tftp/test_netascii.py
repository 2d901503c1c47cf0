import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.provisioning.tftp.netascii import NetasciiContent, encode
from tests.unit.provisioning.tftp.conftest import MakeContent


def decode(octets: bytes) -> bytes:
    """Decode netascii as a receiver whose lines end with LF (RFC 764)."""
    return octets.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r")


@pytest.mark.parametrize(
    ("text", "octets"),
    [(b"", b""), (b"a\nb", b"a\r\nb"), (b"a\rb", b"a\r\0b"), (b"a\r\nb", b"a\r\0\r\nb"), (b"\n\n", b"\r\n\r\n")],
)
def test_encode_writes_cr_lf_and_cr_nul(text: bytes, octets: bytes) -> None:
    assert encode(text) == octets
    assert decode(octets) == text


@given(st.lists(st.sampled_from([b"\n", b"\r", b"x" * 100, b"line\n"]), max_size=300), st.data())
def test_parts_equal_slices_of_translated_file(content: MakeContent, pieces: list[bytes], data: st.DataObject) -> None:
    text = b"".join(pieces)
    whole = encode(text)
    translated = NetasciiContent.of(content(text))
    assert translated.size == len(whole)
    offset = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, len(whole) - offset))
    assert translated.read(offset, length) == whole[offset : offset + length]
    assert translated.read(offset, length + translated.read_ahead) == whole[offset:][: length + translated.read_ahead]


def test_it_names_the_version_and_gives_it_back(content: MakeContent) -> None:
    file = content(b"a\n")
    translated = NetasciiContent.of(file)
    assert translated.sha256 == file.sha256
    translated.close()
    assert file.closed == 1
