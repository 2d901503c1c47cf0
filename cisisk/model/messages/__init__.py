"""The English sentence of each notice.

The API, the events, the phone's screen and the command line show the same sentences. None of these rooms may import
another, so the one catalogue is here, below all of them. Logs show the notice itself, ``code key=value``.

A template names its parameters in braces, as :meth:`str.format` takes them. ``pybabel extract`` finds the templates by
``N_``; a translation of the domain :data:`DOMAIN` is handed to :func:`render`.
"""

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
    phone_screen,
    restart,
    webhook,
)
from cisisk.model.notice import Notice, Parameter

DOMAIN = "cisisk"
ENGLISH = NullTranslations()
CATALOGUE: dict[str, str] = {}
"""The template of each code."""

for _templates in (
    error.TEMPLATES,
    access.TEMPLATES,
    boot.TEMPLATES,
    config.TEMPLATES,
    directory_import.TEMPLATES,
    kem.TEMPLATES,
    phone_login.TEMPLATES,
    phone_screen.TEMPLATES,
    restart.TEMPLATES,
    asterisk.TEMPLATES,
    deployment.TEMPLATES,
    job.TEMPLATES,
    webhook.TEMPLATES,
):
    CATALOGUE.update(_templates)


def render(notice: Notice, translations: NullTranslations = ENGLISH) -> str:
    """The sentence of a notice; ``code key=value`` for a notice that another version of Cisisk has stored."""
    template = CATALOGUE.get(notice.code)
    if template is None:
        return str(notice)
    parameters = {name: _rendered(value, translations) for name, value in notice.parameters.items()}
    try:
        return translations.gettext(template).format_map(parameters)
    except (KeyError, ValueError):
        return str(notice)


def _rendered(value: Parameter, translations: NullTranslations) -> str | int | float:
    if isinstance(value, Notice):
        return render(value, translations)
    if isinstance(value, tuple):
        if any(isinstance(each, Notice) for each in value):
            return "; ".join(str(_rendered(each, translations)) for each in value)
        return ", ".join(map(str, value))
    return value
