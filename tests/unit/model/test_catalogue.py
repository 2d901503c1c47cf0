import pytest

from cisisk.model.catalogue import MODELS, Family, find
from cisisk.model.phone import plain_model


@pytest.mark.parametrize("text", ["7942", "CP-7942G", "cp-7942g", " 7942G ", "CP-7942"])
def test_find_accepts_every_spelling(text: str) -> None:
    facts = find(text)
    assert facts is not None
    assert (facts.name, facts.family, facts.line_keys) == ("7942", Family.P79XX, 2)
    assert facts.protocols == {"SCCP", "SIP"}


@pytest.mark.parametrize("text", ["", "7924", "CP-", "SPA504G", "Yealink T42"])
def test_unknown_model_is_not_found(text: str) -> None:
    assert find(text) is None


def test_model_is_found_by_its_name() -> None:
    assert [find(facts.name) for facts in MODELS] == list(MODELS)
    assert all(plain_model(facts.name) == facts.name for facts in MODELS)


def test_names_with_a_space_or_a_region_are_found() -> None:
    assert find("ATA 187") is find("ata187")
    assert find("CP-8851NR") != find("CP-8851")
    assert find("7941G-GE") != find("7941G")


@pytest.mark.parametrize("model", ["8961", "9951", "9971", "7811", "7821", "7861", "8811", "8841", "8865NR", "3905"])
def test_newer_phones_have_no_sccp(model: str) -> None:
    facts = find(model)
    assert facts is not None
    assert facts.protocols == {"SIP"}


@pytest.mark.parametrize("model", ["7910", "7921", "7936", "7985", "7902"])
def test_some_old_phones_have_no_sip(model: str) -> None:
    facts = find(model)
    assert facts is not None
    assert facts.protocols == {"SCCP"}


def models_of(family: Family) -> set[str]:
    return {facts.name for facts in MODELS if facts.family is family}


def test_family_determines_restart_keys() -> None:
    assert models_of(Family.P99XX) == {"8961", "9951", "9971"}
    assert models_of(Family.P7940) == {"7940", "7960"}
    by_settings = models_of(Family.P79XX)
    assert {
        "7906",
        "7911",
        "7931",
        "7941",
        "7942",
        "7945",
        "7961",
        "7962",
        "7965",
        "7970",
        "7971",
        "7975",
    } < by_settings
    assert not by_settings & {"7902", "7905", "7910", "7912", "7921", "7937", "7940", "7960", "7985"}


@pytest.mark.parametrize(
    ("model", "first"),
    [("8945", True), ("8845", True), ("7940", False), ("7960", False), ("7905", False), ("7942", None), ("7841", None)],
)
def test_http_first_is_none_if_unknown(model: str, *, first: bool | None) -> None:
    facts = find(model)
    assert facts is not None
    assert facts.http_first is first
