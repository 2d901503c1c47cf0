"""XML parsing with a phone's restrictions: no document type, and malformed documents are rejected."""

from lxml import etree


class XmlError(ValueError):
    """The document is one that a phone rejects; the text is the reason."""


def parse(document: bytes, root: str) -> etree._Element:
    """Return the root element of ``document``.

    Raises:
        XmlError: empty, not well-formed, with a document type, or with a root element other than ``root``.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        element = etree.fromstring(document, parser)
    except etree.XMLSyntaxError as failure:
        # The parser's message may quote the document, which may contain a password.
        raise XmlError(f"not well-formed in line {failure.lineno}") from None
    if element.getroottree().docinfo.doctype:
        raise XmlError("has a document type")
    if etree.QName(element).localname != root:
        raise XmlError(f"the root is not <{root}>")
    return element
