"""The English sentence of each notice.

The API, the events, the phone's screen and the command line show the same sentences. None of these packages may import
another, so the one catalogue is here, below all of them. A package adds the texts that only it shows, by :func:`add`.
Logs show the notice itself, ``code key=value``.

A template names its parameters in braces, as :meth:`str.format` takes them. ``pybabel extract`` finds the templates by
``N_``; a translation of the domain :data:`DOMAIN` is handed to :func:`render`.
"""

from collections.abc import Mapping
from contextlib import suppress
from gettext import NullTranslations

from cisisk.model.messages import (
    access,
    asterisk,
    boot,
    config,
    deployment,
    directory_import,
    error,
    job,
    kem,
    phone_login,
    restart,
    served_directory,
    webhook,
)
from cisisk.model.notice import Notice, Parameter

DOMAIN = "cisisk"
ENGLISH = NullTranslations()
CATALOGUE: dict[str, str] = {}
"""The template of each code."""


def add(templates: Mapping[str, str]) -> None:
    """Add the templates of some codes to the catalogue."""
    CATALOGUE.update(templates)


for _templates in (
    error.TEMPLATES,
    access.TEMPLATES,
    boot.TEMPLATES,
    config.TEMPLATES,
    directory_import.TEMPLATES,
    kem.TEMPLATES,
    phone_login.TEMPLATES,
    restart.TEMPLATES,
    asterisk.TEMPLATES,
    deployment.TEMPLATES,
    job.TEMPLATES,
    served_directory.TEMPLATES,
    webhook.TEMPLATES,
):
    add(_templates)


def render(notice: Notice, translations: NullTranslations = ENGLISH) -> str:
    """The sentence of a notice. It is in English if the translation has other parameters.

    Another version of Cisisk may have stored the notice. If its code is unknown here, or its parameters do not fit the
    template, this is ``code key=value``.
    """
    template = CATALOGUE.get(notice.code)
    if template is None:
        return str(notice)
    parameters = {name: _rendered(value, translations) for name, value in notice.parameters.items()}
    for text in (translations.gettext(template), template):
        with suppress(AttributeError, LookupError, TypeError, ValueError):
            return text.format_map(parameters)
    return str(notice)


def _rendered(value: Parameter, translations: NullTranslations) -> str | int | float:
    if isinstance(value, Notice):
        return render(value, translations)
    if isinstance(value, tuple):
        if any(isinstance(each, Notice) for each in value):
            return "; ".join(str(_rendered(each, translations)) for each in value)
        return ", ".join(map(str, value))
    return value
