"""The XML parser for untrusted documents. It fetches, expands and executes nothing."""

from lxml import etree


def parser(encoding: str, *, recover: bool = False) -> etree.XMLParser:
    """Return a parser for one document in ``encoding``. With ``recover`` it continues after malformed parts."""
    return etree.XMLParser(
        encoding=encoding,
        recover=recover,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
