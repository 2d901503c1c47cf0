"""The XML objects of ``POST /CGI/Execute``: requests and responses.

Source: docs/phone-protocol/restart.md#restart-over-http
"""

from collections.abc import Iterable
from enum import IntEnum
from urllib.parse import parse_qsl

from lxml import etree

from cisisk.simulator import phone_xml

MAX_BODY = 65_536
"""Bytes. Cisco's limit for an object is 40 KB; form encoding makes it longer."""
MAX_ITEMS = 3
MAX_URL = 256
_FIELD = "XML"
_MAX_FIELDS = 16


class ErrorNumber(IntEnum):
    """The ``Number`` of a ``CiscoIPPhoneError``."""

    PARSE = 1
    AUTHENTICATION = 4


class Status(IntEnum):
    """The ``Status`` of a ``ResponseItem``."""

    SUCCESS = 0
    NOT_EXECUTABLE = 6


_DATA = {Status.SUCCESS: "Success", Status.NOT_EXECUTABLE: "Internal file error"}


class Unparsable(ValueError):
    """The body is not a ``CiscoIPPhoneExecute`` that a phone accepts."""


def read_execute(body: bytes) -> list[str]:
    """Return the URLs of the items in a form-encoded ``body``, in order. Phones ignore its content type.

    Raises:
        Unparsable: no field ``XML`` (in upper case), invalid XML, no item, more than three items, more than one http
            URL, or a URL that is empty or too long.
    """
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
        execute = phone_xml.parse(fields[_FIELD].encode(), "CiscoIPPhoneExecute")
    except KeyError:
        raise Unparsable("field XML is missing") from None
    except ValueError as failure:
        raise Unparsable(str(failure)) from failure
    urls = [item.get("URL", "") for item in execute.iterfind("ExecuteItem")]
    if not 1 <= len(urls) <= MAX_ITEMS or sum(is_page(url) for url in urls) > 1:
        raise Unparsable("expected one to three items with at most one http URL")
    if any(not 1 <= len(url) <= MAX_URL for url in urls):
        raise Unparsable("a URL is empty or too long")
    return urls


def is_page(url: str) -> bool:
    """Return whether ``url`` is a page to open rather than a URI to execute."""
    return url.startswith(("http://", "https://"))


def response(results: Iterable[tuple[str, Status]]) -> bytes:
    """Return a ``CiscoIPPhoneResponse`` with the status of each URL."""
    root = etree.Element("CiscoIPPhoneResponse")
    for url, status in results:
        etree.SubElement(root, "ResponseItem", Status=str(int(status)), Data=_DATA[status], URL=url)
    return etree.tostring(root, encoding="utf-8", xml_declaration=True)


def refusal(number: ErrorNumber) -> bytes:
    """Return a ``CiscoIPPhoneError``: the phone executed nothing."""
    return etree.tostring(etree.Element("CiscoIPPhoneError", Number=str(int(number))))
