"""The exact form of the responses: applications compare strings."""

import pytest
from lxml import etree

from cisisk.api.emservice import responses
from cisisk.api.emservice.failures import FAILURES, UnknownUser
from cisisk.api.emservice.responses import CheckedUser, DeviceType, DeviceUser, Result, UserDevices, UserProfiles
from cisisk.model.errors import Unauthenticated


def test_success_has_published_form() -> None:
    assert responses.success() == b"<response><success/></response>"


def test_failure_has_code_and_call_manager_text() -> None:
    assert responses.failure(FAILURES[Unauthenticated]) == (
        b'<response><failure><error code="3">Invalid App User</error></failure></response>'
    )


@pytest.mark.parametrize(
    ("found", "inner"),
    [
        (
            [DeviceUser(name="SEPA", exists=True, username="em@cisco.com", last_username="em@cisco.com")],
            (
                '<deviceUserResults><device name="SEPA"><userID>em%40cisco.com</userID>'
                "<lastlogin>em%40cisco.com</lastlogin><emccDevice>no</emccDevice></device></deviceUserResults>"
            ),
        ),
        (
            [DeviceUser(name="SEPA", exists=True), DeviceUser(name="x", exists=False)],
            (
                '<deviceUserResults><device name="SEPA"><none/><none/><emccDevice>no</emccDevice></device>'
                '<device name="x"><doesNotExist/></device></deviceUserResults>'
            ),
        ),
        (
            [
                UserDevices(name="john", devices=["SEPA", "SEPB"]),
                UserDevices(name="em@cisco.com", devices=[]),
                UserDevices(name="x", devices=None),
            ],
            (
                '<userDevicesResults><user id="john"><deviceName>SEPA</deviceName><deviceName>SEPB</deviceName></user>'
                '<user id="em%40cisco.com"><none/></user><user id="x"><doesNotExist/></user></userDevicesResults>'
            ),
        ),
        (
            [
                UserProfiles(name="john", profiles=[("A", True), ("B", False)]),
                UserProfiles(name="x", profiles=FAILURES[UnknownUser]),
            ],
            (
                '<deviceProfileResults><user id="john"><deviceProfile><deviceProfileName>A</deviceProfileName>'
                "<isDefaultDeviceProfile>t</isDefaultDeviceProfile></deviceProfile><deviceProfile><deviceProfileName>B"
                "</deviceProfileName><isDefaultDeviceProfile>f</isDefaultDeviceProfile></deviceProfile></user>"
                '<user id="x"><failure><error code="23">User not found</error></failure></user></deviceProfileResults>'
            ),
        ),
        (
            [CheckedUser(name="john", exists=True), CheckedUser(name="x", exists=False)],
            (
                '<checkUserResults><user id="john"><exists>john</exists></user><user id="x"><doesNotExist/></user>'
                "</checkUserResults>"
            ),
        ),
        (
            [
                DeviceType(name="SEPA", exists=True, model="CP-7942G"),
                DeviceType(name="SEPB", exists=True),
                DeviceType(name="x", exists=False),
            ],
            (
                '<checkDeviceTypeResults><device name="SEPA"><deviceType>CP-7942G</deviceType></device>'
                '<device name="SEPB"><none/></device><device name="x"><doesNotExist/></device></checkDeviceTypeResults>'
            ),
        ),
    ],
)
def test_results_have_published_form(found: list[Result], inner: str) -> None:
    assert responses.results(found).decode() == f"<response>{inner}</response>"


def test_results_escape_names_and_are_ascii() -> None:
    name = "J\u00fcrgen <&\"'> \u5c71\n"
    found = responses.results([UserProfiles(name="x", profiles=[(name, False)]), UserProfiles(name=name, profiles=[])])
    assert found.isascii()
    root = etree.fromstring(found)
    assert root.findtext(".//deviceProfileName") == name
    answer = responses.results([DeviceUser(name=name, exists=False)])
    assert etree.fromstring(answer)[0][0].get("name") == name
