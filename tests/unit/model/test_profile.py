import pytest

from cisisk.model.codes.deployment import Misfit
from cisisk.model.mac import Mac
from cisisk.model.phone import Phone, Software
from cisisk.model.profile import Profile, misfit

MOMENT = "2026-06-28T12:00:00.000Z"


def profile(*models: str, software: Software | None = None) -> Profile:
    return Profile(
        uuid="00000000-0000-4000-8000-000000000001",
        user_uuid="00000000-0000-4000-8000-000000000002",
        name="Office",
        cnf_xml=b"<device/>",
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
