"""The config of a phone, SEP<MAC>.cnf.xml or SIP<MAC>.cnf: its facts, whether it may be served, and findings about it.

This package never changes the bytes of a config: they are stored and served as given.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice

from cisisk.model.catalogue import find
from cisisk.model.content_type import ContentType, content_type_of, names_flat_firmware
from cisisk.model.phone import Software
from cisisk.model.sep_config.case import Case
from cisisk.model.sep_config.document import DEFAULT_MAX_BYTES, parse
from cisisk.model.sep_config.encoding import decode, encode
from cisisk.model.sep_config.facts import Line, SepConfig, facts_of
from cisisk.model.sep_config.finding import Finding
from cisisk.model.sep_config.flat import MAX_FLAT_BYTES, facts_of_flat, findings_in_flat, parse_flat
from cisisk.model.sep_config.refusal import refusal
from cisisk.model.sep_config.rules import findings_in, placeholder_findings

__all__ = [
    "ContentType",
    "Finding",
    "Line",
    "SepConfig",
    "content_type_of",
    "decode",
    "encode",
    "judge",
    "names_flat_firmware",
    "read",
    "require_content_type",
]

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
        return _facts(content, max_bytes)
    return _remembered(content)


@lru_cache(maxsize=_REMEMBERED)
def _remembered(content: bytes) -> SepConfig:
    return _facts(content, DEFAULT_MAX_BYTES)


def _facts(content: bytes, max_bytes: int) -> SepConfig:
    if content_type_of(content) is ContentType.CNF:
        return facts_of_flat(parse_flat(content, max_bytes=min(max_bytes, MAX_FLAT_BYTES)))
    return facts_of(parse(content, max_bytes=max_bytes))


def require_content_type(content: bytes, wanted: ContentType) -> None:
    """Raise Invalid if a config has another form than ``wanted``."""
    if content_type_of(content) is not wanted:
        if wanted is ContentType.CNF:
            raise refusal("The file is no flat config: its first line must set a value, as name: value.", line=1)
        parse(content, max_bytes=max(len(content), 1))


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
    if content_type_of(content) is ContentType.CNF:
        flat = parse_flat(content, max_bytes=min(max_bytes, MAX_FLAT_BYTES))
        config = facts_of_flat(flat)
        found = (
            *placeholder_findings(content, fills=placeholders),
            *findings_in_flat(flat, config, compatible_models, software_type),
        )
        return config, found[:MAX_FINDINGS]
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
