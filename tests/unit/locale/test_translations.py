"""Babel finds all templates, and a compiled translation is used."""

from collections.abc import Callable
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo

import cisisk
from cisisk.locale import translations
from cisisk.model.messages import CATALOGUE, DOMAIN, ENGLISH, render
from cisisk.phone_services.texts import ScreenProblem

PROBLEM = ScreenProblem.NOT_SWITCHED.notice(profile="201")
GERMAN = "{profile} ist nicht aktiv."

Compile = Callable[..., None]


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    """Compiles a translation of one template, as ``pybabel compile`` does."""

    def make(language: str, translated: str = GERMAN) -> None:
        catalog = Catalog(language)
        catalog.add(CATALOGUE[ScreenProblem.NOT_SWITCHED], translated)
        folder = tmp_path / language / "LC_MESSAGES"
        folder.mkdir(parents=True)
        with (folder / f"{DOMAIN}.mo").open("wb") as file:
            write_mo(file, catalog)

    return make


@pytest.mark.wording
def test_babel_finds_every_template() -> None:
    found = {message for _, _, message, _, _ in extract_from_dir(Path(cisisk.__file__).parent)}
    assert found == set(CATALOGUE.values())


@pytest.mark.parametrize("language", ["de", "de-AT", "de_CH", "DE"])
def test_render_uses_the_compiled_translation(tmp_path: Path, compiled: Compile, language: str) -> None:
    compiled("de")
    assert render(PROBLEM, translations(language, tmp_path)) == "201 ist nicht aktiv."


def test_region_takes_precedence_over_its_language(tmp_path: Path, compiled: Compile) -> None:
    compiled("pt_BR")
    assert render(PROBLEM, translations("pt-BR", tmp_path)) == "201 ist nicht aktiv."
    assert render(PROBLEM, translations("pt", tmp_path)) == render(PROBLEM)


@pytest.mark.parametrize("language", ["fr", "", "../de", "de/../de", "x" * 35])
def test_other_languages_are_english(tmp_path: Path, compiled: Compile, language: str) -> None:
    compiled("de")
    assert render(PROBLEM, translations(language, tmp_path)) == render(PROBLEM, ENGLISH)


def test_text_without_translation_stays_english(tmp_path: Path, compiled: Compile) -> None:
    compiled("de")
    german = translations("de", tmp_path)
    assert render(ScreenProblem.FULL.notice(), german) == render(ScreenProblem.FULL.notice())


@pytest.mark.parametrize("translated", ["{profil} ist nicht aktiv.", "{profile ist nicht aktiv."])
def test_translation_with_other_parameters_is_not_used(tmp_path: Path, compiled: Compile, translated: str) -> None:
    compiled("de", translated)
    assert render(PROBLEM, translations("de", tmp_path)) == render(PROBLEM)
