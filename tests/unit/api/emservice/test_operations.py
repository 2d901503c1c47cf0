import pytest

from cisisk.api.emservice.failures import NoUserLoggedIn
from cisisk.api.emservice.messages import LogoutRequest
from cisisk.api.emservice.operations import Operations
from cisisk.model.mac import Mac
from cisisk.model.phone_login import LoginWay
from cisisk.model.user import SYSTEM
from cisisk.store import phone_logins
from cisisk.store.database import Database
from tests.unit.mobility.login_setup import LoginSetup

PHONE = Mac("AABBCCDDEE01")


async def test_log_out_cancels_login_waiting_for_call_end(db: Database) -> None:
    setup = LoginSetup(db)
    anna = await setup.user("anna")
    await setup.profile(anna, "Anna")
    await setup.phone(PHONE)
    setup.switches.in_call.add(PHONE)
    await setup.logins.log_in(SYSTEM, anna.uuid, PHONE, None, how=LoginWay.EMAPI)
    operations = Operations(db, setup.logins)
    await operations.log_out(SYSTEM, LogoutRequest(PHONE.device_name))
    assert await db.read(phone_logins.beginning_on, PHONE) == []
    with pytest.raises(NoUserLoggedIn):
        await operations.log_out(SYSTEM, LogoutRequest(PHONE.device_name))
