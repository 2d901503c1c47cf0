import pytest

from cisisk.api.emservice.failures import NobodyLoggedIn
from cisisk.api.emservice.messages import LogoutRequest
from cisisk.api.emservice.operations import Operations
from cisisk.model.mac import Mac
from cisisk.model.phone_login import LoginWay
from cisisk.model.user import SYSTEM
from cisisk.store import phone_logins
from cisisk.store.database import Database
from tests.unit.mobility.office import Office

DESK = Mac("AABBCCDDEE01")


async def test_an_application_calls_off_a_login_that_waits_for_the_end_of_a_call(db: Database) -> None:
    office = Office(db)
    anna = await office.user("anna")
    await office.profile(anna, "Anna")
    await office.phone(DESK)
    office.switches.in_call.add(DESK)
    await office.logins.log_in(SYSTEM, anna.uuid, DESK, None, how=LoginWay.EMAPI)
    operations = Operations(db, office.logins)
    await operations.log_out(SYSTEM, LogoutRequest(DESK.device_name))
    assert await db.read(phone_logins.beginning_on, DESK) == []
    with pytest.raises(NobodyLoggedIn):
        await operations.log_out(SYSTEM, LogoutRequest(DESK.device_name))
