"""The translations of all texts; each language has a folder (docs/contributing.md#translate).

``<language>/LC_MESSAGES/cisisk.po`` is what translators edit. ``cisisk.mo`` beside it is compiled from it.
"""

import gettext
import re
from functools import lru_cache
from pathlib import Path

from cisisk.model.messages import DOMAIN, ENGLISH

DIRECTORY = Path(__file__).parent
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
"""Such as ``pt`` and ``pt-BR``. Users write their language, and it becomes part of a path."""
_MAX_LANGUAGES = 64


@lru_cache(_MAX_LANGUAGES)
def translations(language: str, directory: Path = DIRECTORY) -> gettext.NullTranslations:
    """Return the compiled translations into a language; without any, those that leave texts in English.

    ``pt-BR`` falls back to ``pt``.
    """
    if not _LANGUAGE.fullmatch(language):
        return ENGLISH
    return gettext.translation(DOMAIN, directory, [language.replace("-", "_")], fallback=True)
