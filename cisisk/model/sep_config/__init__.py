"""The config file of a phone, SEP<MAC>.cnf.xml: its facts, whether it may be served, and findings about it.

This package never changes the bytes of a config: they are stored and served as given.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice

from cisisk.model.catalogue import find
from cisisk.model.phone import Software
from cisisk.model.sep_config.case import Case
from cisisk.model.sep_config.document import DEFAULT_MAX_BYTES, parse
from cisisk.model.sep_config.encoding import decode, encode
from cisisk.model.sep_config.facts import Line, SepConfig, facts_of
from cisisk.model.sep_config.finding import Finding
from cisisk.model.sep_config.rules import findings_in

__all__ = ["Finding", "Line", "SepConfig", "decode", "encode", "judge", "read"]

MAX_FINDINGS = 100
"""Enough for a reader. An answer must not be larger than the file."""
_REMEMBERED, _LARGEST_REMEMBERED = 256, 32 << 10
"""Cached configs, and the maximum bytes of each; usual configs have 6 to 25 KB. One switch reads the old and the new
config several times, and many switches run at the same time. The cache holds at most 8 MiB of files."""


def read(content: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES) -> SepConfig:
    """Return the facts of a config.

    Raises:
        Invalid: the config must not be served. The field ``cnf_xml`` says where, why, and what to do.
    """
    if len(content) > min(max_bytes, _LARGEST_REMEMBERED):
        return facts_of(parse(content, max_bytes=max_bytes))
    return _remembered(content)


@lru_cache(maxsize=_REMEMBERED)
def _remembered(content: bytes) -> SepConfig:
    return facts_of(parse(content))


def judge(
    content: bytes,
    *,
    compatible_models: Sequence[str] = (),
    software_type: Software | None = None,
    placeholders: bool = False,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> tuple[SepConfig, tuple[Finding, ...]]:
    """Return the facts of a config, and the findings about it.

    Args:
        content: the file.
        compatible_models: the models of its profile; empty for any.
        software_type: the software of its profile; None for any.
        placeholders: whether its profile fills in placeholders.
        max_bytes: larger files are rejected unread.

    Raises:
        Invalid: as :func:`read`.
    """
    document = parse(content, max_bytes=max_bytes)
    config = facts_of(document)
    known = (find(model) for model in compatible_models)
    case = Case(
        document=document,
        config=config,
        compatible_models=tuple(compatible_models),
        models=tuple(facts for facts in known if facts),
        software_type=software_type,
        placeholders=placeholders,
    )
    return config, tuple(islice(findings_in(case), MAX_FINDINGS))
