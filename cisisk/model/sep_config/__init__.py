"""The configuration file of a phone, SEP<MAC>.cnf.xml: what it says, whether it may be served, and what would hurt.

The bytes themselves are never changed here; they are stored and served as they were given.
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
"""Nobody reads more, and a file must not make its answer larger than itself."""
_REMEMBERED, _LARGEST_REMEMBERED = 256, 32 << 10
"""Configs, and bytes of each (those in the field have 6 to 25 KB): one switch asks several times what the old and the
new one say, and many may be under way. At most 8 MiB of files."""


def read(content: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES) -> SepConfig:
    """What a config says.

    Raises:
        Invalid: it must not be served. The field ``cnf_xml`` says where, why, and what to do.
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
    """What a config says, and what in it is legal but hurts.

    Args:
        content: the file.
        compatible_models: which models its profile is for; empty for any.
        software_type: which software its profile is for; None for any.
        placeholders: whether its profile has placeholders filled in.
        max_bytes: the size above which it is refused unread.

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
