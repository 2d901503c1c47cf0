"""XML as a phone reads it: small, without a document type, whole or not at all."""

from lxml import etree


class XmlError(ValueError):
    """What the phone's status screen calls an XML error; the text says in what way."""


def parse(document: bytes, root: str) -> etree._Element:
    """The root element of ``document``.

    Raises:
        XmlError: not well-formed, cut off, empty, with a document type, or with another root than ``root``.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        element = etree.fromstring(document, parser)
    except etree.XMLSyntaxError as failure:
        # The parser's own words may quote the document, and with it a password.
        raise XmlError(f"not well-formed in line {failure.lineno}") from None
    if element.getroottree().docinfo.doctype:
        raise XmlError("has a document type")
    if etree.QName(element).localname != root:
        raise XmlError(f"the root is not <{root}>")
    return element
