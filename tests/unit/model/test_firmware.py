import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.model.firmware import MAX_LOADS_BYTES, MAX_PARTS, parts_of

NAMES = ("jar45sip.9-4-2ES26.sbn", "cnu45.9-4-2ES26.sbn", "apps45.9-4-2ES26.sbn", "dsp45.9-4-2ES26.sbn")


@pytest.mark.parametrize("between", [b"\n", b"\r\n", b"\0", b" ", b"\x01\x00\x16", b", "])
def test_parts_are_found_between_binary_data(between: bytes) -> None:
    signature = bytes(range(128, 256)) * 4
    content = signature + b"CN=IpPhone;O=Cisco" + between + between.join(name.encode() for name in NAMES) + between
    assert parts_of(content) == NAMES


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ()),
        (b"nothing of interest", ()),
        (b"A.SBN", ()),
        (b"CP7921G-1.4.7.3.SBN", ("CP7921G-1.4.7.3.SBN",)),
        (
            b"rootfs88xx.14-2-1.sbn kern88xx.14-2-1.SBN rootfs88xx.14-2-1.sbn",
            ("rootfs88xx.14-2-1.sbn", "kern88xx.14-2-1.SBN"),
        ),
        (
            b"BOOT69xx.0-0-0-14.zz.sgn\nSIP69xx.9-4-1-3SR3.zz.sgn",
            ("BOOT69xx.0-0-0-14.zz.sgn", "SIP69xx.9-4-1-3SR3.zz.sgn"),
        ),
        (b"sip8941.9-4-2-13.bin1.sgn", ("sip8941.9-4-2-13.bin1.sgn",)),
        (b"P0S3-8-12-00.sb2 P0S3-8-12-00.bin", ("P0S3-8-12-00.sb2", "P0S3-8-12-00.bin")),
        (b"jar45.sbnx ../jar45.txt", ()),
    ],
)
def test_parts_ignore_other_names(content: bytes, parts: tuple[str, ...]) -> None:
    assert parts_of(content) == parts


def test_parts_of_any_file_are_bounded() -> None:
    assert parts_of(bytes(MAX_LOADS_BYTES) + b"\0late45.sbn\0") == ()
    assert len(parts_of(b"\n".join(b"part%d.sbn" % number for number in range(1000)))) == MAX_PARTS


@given(st.binary(max_size=2000))
def test_parts_of_any_bytes_are_returned(content: bytes) -> None:
    assert all(name.isascii() and name.isprintable() and "/" not in name for name in parts_of(content))
