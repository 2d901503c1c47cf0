import pytest

from cisisk.model import catalogue, kem
from cisisk.model.codes.kem import KemFindingCode
from cisisk.model.kem import MODULES, Kem, find

CODES = KemFindingCode


def module(model: str | None, phone: str | None, *beside: str | None) -> Kem:
    return Kem(
        uuid="u",
        model=model,
        mac=None,
        ip=None,
        connected_phone=None,
        software_version=None,
        software_type=None,
        phone_model=phone,
        beside=beside,
        created_at="2026",
        updated_at="2026",
        revision=1,
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("7914", "7914"),
        ("CP-7915=", "7915"),
        ("cp-7916", "7916"),
        ("CP-CKEM-C", "CKEM"),
        ("CP-CKEM-W=", "CKEM"),
        ("CP-BEKEM", "BEKEM"),
        ("CP-8800-A-KEM", "8800-A-KEM"),
        ("8800-V-KEM", "8800-V-KEM"),
    ],
)
def test_find_accepts_every_spelling(text: str, name: str) -> None:
    facts = find(text)
    assert facts is not None
    assert facts.name == name


@pytest.mark.parametrize("text", ["", "7917", "KEM-30", "CP-7942G"])
def test_find_rejects_other_names(text: str) -> None:
    assert find(text) is None


def test_modules_agree_with_the_catalogue() -> None:
    hosts = {name for facts in MODULES for name in facts.hosts}
    assert hosts == {facts.name for facts in catalogue.MODELS if facts.modules}
    for facts in catalogue.MODELS:
        keys = [module.keys for module in MODULES if facts.name in module.hosts]
        assert max(keys, default=0) == facts.module_keys


@pytest.mark.parametrize(
    ("model", "phone", "beside"),
    [
        ("CP-7914", "CP-7960G", ("7914",)),
        ("CP-7916", "7975", ()),
        ("CP-CKEM-C", "CP-9971", ("CKEM", "CKEM")),
        ("CP-8800-A-KEM", "8861", ("CP-8800-A-KEM=", "8800-A-KEM")),
        ("BEKEM", "8865NR", ("BEKEM", None)),
        ("7915", None, ()),
        (None, "7962", (None,)),
        (None, None, ()),
        ("7915", "a phone of another make", ("7915", "7915", "7915")),
    ],
)
def test_fitting_and_unknown_modules_have_no_findings(
    model: str | None, phone: str | None, beside: tuple[str | None, ...]
) -> None:
    assert module(model, phone, *beside).findings == ()


@pytest.mark.parametrize(
    ("model", "phone", "beside", "codes"),
    [
        ("KEM-30", None, (), [CODES.UNKNOWN_MODULE]),
        ("7914", "CP-7942G", (), [CODES.PHONE_TAKES_NO_MODULES]),
        (None, "7821", (), [CODES.PHONE_TAKES_NO_MODULES]),
        ("7915", "CP-7961G", (), [CODES.MODULE_DOES_NOT_FIT]),
        ("CP-8800-A-KEM", "8865", (), [CODES.MODULE_DOES_NOT_FIT]),
        ("CP-8800-V-KEM", "8861", (), [CODES.MODULE_DOES_NOT_FIT]),
        ("7914", "7960", ("7914", "7914"), [CODES.TOO_MANY_MODULES]),
        ("CKEM", "8961", (None,), [CODES.TOO_MANY_MODULES]),
        ("7915", "7965", ("CP-7916",), [CODES.MIXED_MODULES]),
        ("BEKEM", None, ("8800-A-KEM",), [CODES.MIXED_MODULES]),
        ("7914", "8851", ("BEKEM", "BEKEM"), [CODES.MODULE_DOES_NOT_FIT, CODES.TOO_MANY_MODULES, CODES.MIXED_MODULES]),
        ("nonsense", "7911", (), [CODES.UNKNOWN_MODULE, CODES.PHONE_TAKES_NO_MODULES]),
    ],
)
def test_misfits_have_findings(
    model: str | None, phone: str | None, beside: tuple[str | None, ...], codes: list[KemFindingCode]
) -> None:
    findings = module(model, phone, *beside).findings
    assert [finding.code for finding in findings] == codes


def test_misfit_names_fitting_modules() -> None:
    (finding,) = module("7914", "8861").findings
    assert finding.parameters == {"module": "7914", "phone": "8861", "fitting": ("BEKEM", "8800-A-KEM")}
    assert kem.find("BEKEM") is not None
