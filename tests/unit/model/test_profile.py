import pytest

from cisisk.model.codes.deployment import Misfit
from cisisk.model.mac import Mac
from cisisk.model.phone import Phone, Software
from cisisk.model.profile import Profile, misfit

MOMENT = "2026-06-28T12:00:00.000Z"


def profile(*models: str, software: Software | None = None, config: bytes = b"<device/>") -> Profile:
    return Profile(
        uuid="00000000-0000-4000-8000-000000000001",
        user_uuid="00000000-0000-4000-8000-000000000002",
        name="Office",
        cnf_xml=config,
        compatible_models=models,
        software_type=software,
        created_at=MOMENT,
        updated_at=MOMENT,
    )


def phone(model: str | None = None, software: Software | None = None) -> Phone:
    return Phone(mac=Mac("AABBCCDDEE01"), model=model, software=software, created_at=MOMENT, updated_at=MOMENT)


@pytest.mark.parametrize("model", [None, "", "7942", "CP-7942G"])
def test_profile_for_any_model_fits_all(model: str | None) -> None:
    assert misfit(profile(), phone(model)) is None


@pytest.mark.parametrize("model", [None, "", "7942", "CP-7942G", "7945"])
def test_profile_fits_its_models_and_unknown_ones(model: str | None) -> None:
    assert misfit(profile("CP-7942G", "7945G"), phone(model)) is None


def test_profile_for_one_model_fits_no_other() -> None:
    reason = misfit(profile("CP-7942G", "7945"), phone("7962"))
    assert reason == Misfit.MODEL.notice(wanted="CP-7942G, 7945", model="7962")


@pytest.mark.parametrize("phone_software", [None, *Software])
@pytest.mark.parametrize("profile_software", [None, *Software])
def test_software_fits_if_equal_or_unknown(profile_software: Software | None, phone_software: Software | None) -> None:
    reason = misfit(profile(software=profile_software), phone(software=phone_software))
    if None in {profile_software, phone_software} or profile_software == phone_software:
        assert reason is None
    else:
        assert reason == Misfit.SOFTWARE.notice(wanted=str(profile_software), software=str(phone_software))


SIP = b"<device><deviceProtocol>SIP</deviceProtocol></device>"
SCCP = b"<device><loadInformation>SCCP45.9-4-2SR4-3S</loadInformation></device>"
FLAT = b"line1_name: 1001\n"
FOR_FLAT = b"<device><loadInformation>P0S3-8-12-00</loadInformation></device>"


@pytest.mark.parametrize(
    ("config", "model", "software", "code"),
    [
        (SCCP, None, None, None),
        (SCCP, None, Software.SCCP, None),
        (SCCP, None, Software.SIP, Misfit.SOFTWARE),
        (SCCP, None, Software.SIPE, Misfit.SOFTWARE),
        (SIP, "7942", Software.SIP, None),
        (SIP, "CP-7940G", Software.SIP, Misfit.READS_FLAT_CONFIG),
        (SIP, "7960", None, Misfit.READS_FLAT_CONFIG),
        (FOR_FLAT, None, None, Misfit.READS_FLAT_CONFIG),
        (FOR_FLAT, "7940", Software.SCCP, Misfit.READS_FLAT_CONFIG),
        (FLAT, None, None, None),
        (FLAT, "7960", Software.SIP, None),
        (FLAT, "7940", Software.SCCP, Misfit.SOFTWARE),
        (FLAT, "7942", None, Misfit.READS_NO_FLAT_CONFIG),
        (b"<device", "7940", Software.SIP, None),
    ],
)
def test_config_must_fit_what_phone_reads(
    config: bytes, model: str | None, software: Software | None, code: Misfit | None
) -> None:
    reason = misfit(profile(config=config), phone(model, software))
    assert (reason.code if reason else None) == code


@pytest.mark.parametrize(("config", "code"), [(SIP, Misfit.READS_FLAT_CONFIG), (FLAT, None), (SCCP, None)])
def test_phone_that_asks_for_flat_config_reads_no_xml_lines(config: bytes, code: Misfit | None) -> None:
    reason = misfit(profile(config=config), phone(), asks_for_flat_config=True)
    assert (reason.code if reason else None) == code
