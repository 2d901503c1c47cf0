import pytest

from cisisk.mobility import emergency
from cisisk.model import placeholders
from cisisk.model.mac import Mac
from cisisk.model.site import EmergencyCall
from cisisk.model.user import SYSTEM
from cisisk.store import phones, profiles
from cisisk.store.database import Database
from tests.unit.mobility.login_setup import LoginSetup

CONTENT = b"<device><location>{{emergency_location}}</location><id>{{emergency_caller_id}}</id></device>"


@pytest.mark.parametrize(
    ("call", "rendered"),
    [
        (
            EmergencyCall(location="Rua 1 <2>", caller_id="+351 112"),
            b"<device><location>Rua 1 &lt;2&gt;</location><id>+351 112</id></device>",
        ),
        (EmergencyCall(), b"<device><location></location><id></id></device>"),
    ],
)
def test_placeholders_have_the_values_of_the_phone_or_are_empty(call: EmergencyCall, rendered: bytes) -> None:
    assert placeholders.render(CONTENT, emergency.values(call)) == rendered


async def test_unknown_emergency_value_is_a_finding(db: Database, mac: Mac) -> None:
    anna = await (setup := LoginSetup(db)).user("anna")
    asks = await db.write(
        profiles.create, SYSTEM, {"user_uuid": anna.uuid, "name": "Asks", "cnf_xml": CONTENT, "placeholders": True}
    )
    silent = await setup.profile(anna, "Silent", placeholders=True)
    plain = await db.write(profiles.create, SYSTEM, {"user_uuid": anna.uuid, "name": "Plain", "cnf_xml": CONTENT})
    await setup.phone(mac, emergency_caller_id="112")
    (finding,) = await db.read(emergency.findings, asks.uuid, mac)
    assert finding.code == "emergency_unknown"
    assert finding.notice.parameters == {"placeholder": "emergency_location"}
    for uuid in (silent.uuid, plain.uuid, None, anna.uuid):
        assert await db.read(emergency.findings, uuid, mac) == ()
    await db.write(phones.update, SYSTEM, mac, {"emergency_location": "Rua 1"})
    assert await db.read(emergency.findings, asks.uuid, mac) == ()
    assert len(await db.read(emergency.findings, asks.uuid, Mac("AABBCCDDEE99"))) == 2
