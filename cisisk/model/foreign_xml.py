"""How XML is parsed that came from outside: it can name nothing that would be fetched, expanded or run."""

from lxml import etree


def parser(encoding: str, *, recover: bool = False) -> etree.XMLParser:
    """A parser for one document in ``encoding``; ``recover`` reads on after what is not well-formed."""
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
