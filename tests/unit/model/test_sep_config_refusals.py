import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cisisk.model import sep_config
from cisisk.model.errors import Invalid
from cisisk.model.sep_config.document import Document, parse

FAST = 0.5
"""Seconds of processor time. The slowest file takes 0.03; an exploding one takes minutes."""


def declared(encoding: str) -> bytes:
    return f'<?xml version="1.0" encoding="{encoding}"?>'.encode()


def laughs() -> bytes:
    levels = b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    return b'<!DOCTYPE d [<!ENTITY a "lol">' + levels + b"]><device>&j;</device>"


DOCTYPE = "The file has a DOCTYPE"
CORPUS = {
    "empty": (b"", "The file is empty"),
    "only white space": (b" \r\n\t", "The file is empty"),
    "more than 1 MiB": (b"<device>" + b" " * 1_100_000 + b"</device>", "1100017 bytes; the maximum is 524288"),
    "billion laughs": (laughs(), DOCTYPE),
    "quadratic blow-up": (
        b'<!DOCTYPE d [<!ENTITY a "' + b"a" * 50_000 + b'">]><device>' + b"&a;" * 50_000 + b"</device>",
        DOCTYPE,
    ),
    "external entity, file": (b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><device>&x;</device>', DOCTYPE),
    "external entity, http": (b'<!DOCTYPE d [<!ENTITY x SYSTEM "http://127.0.0.1/">]><device>&x;</device>', DOCTYPE),
    "parameter entity": (b'<!DOCTYPE d [<!ENTITY % p SYSTEM "http://127.0.0.1/d"> %p;]><device/>', DOCTYPE),
    "external DTD": (b'<!DOCTYPE device SYSTEM "http://127.0.0.1/device.dtd"><device/>', DOCTYPE),
    "DOCTYPE only": (b"<!DOCTYPE device>", DOCTYPE),
    "DOCTYPE behind comments": (
        b"\xef\xbb\xbf" + declared("UTF-8") + b"\n<!-- > --> <?p ?>\n<!DOCTYPE a><a/>",
        "Line 3, column 1: The file has a DOCTYPE",
    ),
    "undeclared entity": (b"<device>&nbsp;</device>", "The entity is none of &amp;"),
    "lone &": (b"<device>\n<servicesURL>a & b</servicesURL></device>", "Line 2, column 17: A name is missing after &"),
    "& in a query": (b"<device>http://a/?b=1&c=2</device>", "An & does not begin an entity. Write &amp;"),
    "UTF-7": (declared("UTF-7") + b"+ADw-device+AD4-", "Phones do not read the encoding UTF-7"),
    "UTF-7 undeclared": (b"+ADw-device/+AD4-", "the first character must be <"),
    "UTF-16 with mark": (f"{declared('UTF-16').decode()}<device/>".encode("utf-16"), "The file is UTF-16"),
    "UTF-16 without mark": ("<device/>".encode("utf-16-be"), "The file is UTF-16"),
    "UTF-16 in name only": (declared("UTF-16") + b"<device/>", "Phones do not read the encoding UTF-16"),
    "UTF-32": ("<device/>".encode("utf-32"), "UTF-32"),
    "EBCDIC": ("<?xml version='1.0' encoding='cp037'?><device/>".encode("cp037"), "Line 1, column 3: These bytes"),
    "Windows-1252": (declared("windows-1252") + b"<device/>", "Phones do not read the encoding WINDOWS-1252"),
    "bad UTF-8": (b"<device>\n <name>Zo\xeb</name></device>", "Line 2, column 10: These bytes are not UTF-8"),
    "overlong UTF-8": (b"<device>\xc0\xbc</device>", "These bytes are not UTF-8"),
    "more than ASCII": (declared("US-ASCII") + b"<device>\xeb</device>", "These bytes are not US-ASCII"),
    "mark against declaration": (
        b"\xef\xbb\xbf" + declared("ISO-8859-1") + b"<device/>",
        "The byte order mark says UTF-8, and the first line says ISO-8859-1",
    ),
    "NUL": (b"<device>\n12\x00</device>", "Line 2, column 3: The file contains a NUL byte"),
    "control character": (b"<device>\x08</device>", "XML does not allow this control character"),
    "control character, written": (b"<device>&#8;</device>", "XML does not allow this control character"),
    "attributes": (
        b"<device " + b" ".join(b'a%x = ">"' % n for n in range(20_000)) + b"/>",
        "more than 256 attributes",
    ),
    "100k nesting": (b"<a>" * 100_000, "more than 50000 tags"),
    "nesting": (b"<a>" * 10_000, "More than 256 elements are nested"),
    "elements": (b"<device>" + b"<a/>" * 100_000 + b"</device>", "more than 50000 tags"),
    "undeclared prefixes": (
        b"<device>" + b"<a:b/>" * 51 + b"</device>",
        "More than 50 names with an undeclared prefix",
    ),
    "an error behind more errors than a parser logs": (
        b"<device>" + b"<a:b/>" * 500 + b"&</device>",
        "A name is missing after &",
    ),
    "prefix of nothing": (b"<a:b:c/>", "This is not well-formed XML"),
    "long name": (b"<" + b"a" * 60_000 + b"/>", "A name is longer"),
    "two roots": (b"<device/>\n<device/>", "Line 2, column 1: Something follows the end of the root"),
    "text behind the root": (b"<device/>x", "Something follows the end of the root"),
    "text before the root": (b"x<device/>", "the first character must be <"),
    "white space before the declaration": (
        b"\n" + declared("UTF-8") + b"<device/>",
        "There is white space before <?xml",
    ),
    "declaration inside": (b"<device>" + declared("UTF-8") + b"</device>", "is allowed at the start of the file only"),
    "duplicate attribute": (b'<device a="1" a="2"/>', "An element has the same attribute twice"),
    "attribute without quotes": (b"<device a=1/>", "value has no quotes"),
    "attribute without value": (b"<device a/>", "An attribute has no value"),
    "< in an attribute": (b'<device a="<"/>', "An attribute's value contains <"),
    "crossed elements": (b"<device>\n<a></b></device>", "An end tag does not match"),
    "cut off in an element": (b"<device>\n<a>", "The file ends inside an element"),
    "cut off in a tag": (b"<device", "A tag is not closed"),
    "cut off in a comment": (b"<device/><!-- ", "A comment has no end"),
    "cut off in CDATA": (b"<device><![CDATA[", "A CDATA section has no end"),
    "hyphens in a comment": (b"<device><!-- -- --></device>", "A comment contains two hyphens"),
    "XMLDefault": (b"<Default><callManagerGroup/></Default>", "XMLDefault.cnf.xml"),
    "another root": (b"<flat-profile/>", "The root element is not <device>"),
    "HTML": (b"<!doctype html><html></html>", "A name is missing after & or <"),
}


@pytest.mark.parametrize(("content", "reason"), CORPUS.values(), ids=CORPUS.keys())
def test_harmful_file_is_rejected_fast_with_reason(content: bytes, reason: str) -> None:
    started = time.process_time()
    with pytest.raises(Invalid) as caught:
        sep_config.read(content)
    assert time.process_time() - started < FAST
    assert list(caught.value.fields) == ["cnf_xml"]
    (text,) = caught.value.fields["cnf_xml"]
    assert reason in text
    assert len(text) < 250


def test_many_attributes_are_rejected_in_large_files() -> None:
    content = b"<device " + b" ".join(b'a%x=""' % n for n in range(200_000)) + b"/>"
    with pytest.raises(Invalid, match="more than 256 attributes"):
        sep_config.read(content, max_bytes=8_000_000)


def test_size_limit_is_inclusive_and_configurable() -> None:
    content = b"<device/>"
    assert sep_config.read(content, max_bytes=9).protocol is None
    with pytest.raises(Invalid, match="9 bytes; the maximum is 8"):
        sep_config.read(content, max_bytes=8)


def test_truncated_file_is_rejected(sip: bytes) -> None:
    whole = sip.rstrip()
    for end in range(len(whole)):
        with pytest.raises(Invalid):
            sep_config.read(whole[:end])


@pytest.mark.parametrize(
    "content",
    [
        b"<device/>",
        b"\xef\xbb\xbf<device/>",
        b"  <device/>",
        declared("UTF-8") + b"\r\n<device></device>\r\n<!-- end -->",
        declared("utf-8") + b"<device/>",
        declared("ISO-8859-1") + b"<device>Zo\xeb</device>",
        declared("US-ASCII") + b"<device/>",
        declared("ASCII") + b"<device/>",
        b"<device><!-- <!DOCTYPE a> --><a><![CDATA[<!DOCTYPE &x;]]></a></device>",
        b"<device>&amp;&lt;&gt;&quot;&apos;&#65;&#x42;</device>",
        b'<device xsi:type="axl:XIPPhone"/>',
        b'<device a="' + b"= " * 5000 + b'"/>',
        b"<device>" + b"<a:b/>" * 50 + b"</device>",
        b"<axl:device/>",
    ],
)
def test_unusual_harmless_files_are_read(content: bytes) -> None:
    assert sep_config.read(content).encoding in {"UTF-8", "US-ASCII", "ASCII", "ISO-8859-1"}


def outcome(content: bytes) -> Document | Invalid:
    try:
        return parse(content)
    except Invalid as refused:
        return refused


def check_outcome(content: bytes) -> None:
    result = outcome(content)
    if isinstance(result, Invalid):
        assert list(result.fields) == ["cnf_xml"]
    else:
        assert result.content is content
        assert result.root.getroottree().docinfo.internalDTD is None


@given(st.binary(max_size=300) | st.text(alphabet='<>/!?[]"=&;-:x ADEIOPTYNdevicml\n', max_size=80).map(str.encode))
@example(b'<?xml encoding=""?><device/>')
@example(b"<?xml?>")
@example(b"\xef\xbb\xbf")
def test_arbitrary_bytes_are_read_or_rejected(content: bytes) -> None:
    check_outcome(content)


@given(data=st.data())
def test_damaged_config_is_read_or_rejected(data: st.DataObject, sip: bytes) -> None:
    start = data.draw(st.integers(0, len(sip)))
    end = data.draw(st.integers(start, min(start + 20, len(sip))))
    damage = data.draw(
        st.sampled_from([b"<", b">", b"&", b"&x;", b"\0", b"]]>", b"<!DOCTYPE a>"]) | st.binary(max_size=9)
    )
    content = sip[:start] + damage + sip[end:]
    check_outcome(content)
