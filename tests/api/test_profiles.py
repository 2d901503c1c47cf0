"""Section 1 of the contract: phone profiles."""

from typing import Any

import pytest

from tests.api.client import CONFIG, SWITCH, UNKNOWN, Site, check_error

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIELDS = {
    *("uuid", "user_uuid", "name", "description", "cnf_xml", "compatible_models"),
    *("software_type", "created_at", "updated_at"),
}


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


def profile(user_uuid: str, **more: Any) -> dict[str, Any]:
    return {"user_uuid": user_uuid, "name": "Reception Desk", "cnf_xml": CONFIG, **more}


async def test_profile_is_created_with_required_fields(site: Site) -> None:
    answer = await site.admin.post("/phone-profiles", profile(site.admin_uuid))
    assert (answer.status, answer.message) == (201, "Profile created")
    assert set(answer.data) >= FIELDS
    optional: dict[str, Any] = {"description": None, "compatible_models": [], "software_type": None}
    assert {name: answer.data[name] for name in optional} == optional
    assert answer.data["created_at"] == answer.data["updated_at"]


async def test_profile_is_created_with_every_field(site: Site) -> None:
    body = profile(
        site.admin_uuid, description="For guests", compatible_models=["CP-7942G", "7962"], software_type="SIPE"
    )
    made = (await site.admin.post("/phone-profiles", body)).data
    assert {name: made[name] for name in body} == body
    shown = await site.admin.get(f"/phone-profiles/{made['uuid']}")
    assert (shown.status, shown.message, shown.data) == (200, "Profile found", made)


async def test_profile_list_of_all_and_of_one_user(site: Site) -> None:
    anna, berta = [await site.admin.new_user(site.name()) for _ in range(2)]
    made = {await site.admin.new_profile(anna, name=name) for name in ("one", "two")}
    other = await site.admin.new_profile(berta)
    everything = await site.admin.get("/phone-profiles")
    assert {each["uuid"] for each in everything.data} >= {*made, other}
    assert everything.message == f"{len(everything.data)} profile(s) found"
    hers = await site.admin.get(f"/phone-profiles/user/{anna}")
    assert {each["uuid"] for each in hers.data} == made
    assert hers.message == "2 profile(s) found"
    assert all(set(each) >= FIELDS for each in hers.data)
    assert (await site.admin.get(f"/phone-profiles/user/{await site.admin.new_user(site.name())}")).data == []


async def test_profile_is_changed_and_deleted(site: Site) -> None:
    path = f"/phone-profiles/{await site.admin.new_profile(site.admin_uuid, software_type='SIP')}"
    other = CONFIG.replace("101", "202")
    answer = await site.admin.put(path, {"cnf_xml": other, "software_type": "SCCP"})
    assert (answer.status, answer.message) == (200, "Profile updated")
    assert (answer.data["cnf_xml"], answer.data["software_type"], answer.data["name"]) == (
        other,
        "SCCP",
        "Reception Desk",
    )
    answer = await site.admin.delete(path)
    assert (answer.status, answer.message, answer.data) == (200, "Profile deleted", None)
    check_error(await site.admin.get(path), 404)
    check_error(await site.admin.put(path, {"name": "a"}), 404)
    check_error(await site.admin.delete(path), 404)


async def test_profile_owner_can_be_changed(site: Site) -> None:
    uuid, anna = await site.admin.new_profile(site.admin_uuid), await site.admin.new_user(site.name())
    assert (await site.admin.put(f"/phone-profiles/{uuid}", {"user_uuid": anna})).data["user_uuid"] == anna
    assert [each["uuid"] for each in (await site.admin.get(f"/phone-profiles/user/{anna}")).data] == [uuid]


async def test_profile_of_unknown_user_is_422(site: Site) -> None:
    created = await site.admin.post("/phone-profiles", profile(UNKNOWN))
    check_error(created, 422)
    assert list(created.fields) == ["user_uuid"]
    uuid = await site.admin.new_profile(site.admin_uuid)
    changed = await site.admin.put(f"/phone-profiles/{uuid}", {"user_uuid": UNKNOWN})
    check_error(changed, 422)
    assert list(changed.fields) == ["user_uuid"]
    assert list((await site.admin.post("/phone-profiles", profile("no-uuid"))).fields) == ["user_uuid"]


async def test_profile_is_deleted_with_user(site: Site) -> None:
    anna = await site.admin.new_user(site.name())
    uuid = await site.admin.new_profile(anna)
    await site.admin.delete(f"/users/{anna}")
    check_error(await site.admin.get(f"/phone-profiles/{uuid}"), 404)


@pytest.mark.parametrize("anything", ["", None])
async def test_profile_without_software_fits_any(site: Site, anything: str | None) -> None:
    made = (await site.admin.post("/phone-profiles", profile(site.admin_uuid, software_type=anything))).data
    assert not made["software_type"]
    for software in ("SCCP", "SIP", "SIPE"):
        path = f"/phone-profiles/{made['uuid']}"
        assert (await site.admin.put(path, {"software_type": software})).data["software_type"] == software
        assert not (await site.admin.put(path, {"software_type": anything})).data["software_type"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("software_type", "sip"),
        ("software_type", "H323"),
        ("software_type", 0),
        ("compatible_models", "7942"),
        ("compatible_models", [""]),
        ("name", ""),
        ("name", "a" * 121),
        ("description", 7),
        ("cnf_xml", 7),
    ],
)
async def test_profile_with_invalid_field_is_422(site: Site, field: str, value: Any) -> None:
    answer = await site.admin.post("/phone-profiles", profile(site.admin_uuid, **{field: value}))
    check_error(answer, 422)
    assert [name.partition(".")[0] for name in answer.fields] == [field]


@pytest.mark.parametrize(
    ("xml", "place"),
    [
        ("", ""),
        ("not XML", "Line 1, column "),
        ("<device>\n  <a></b>\n</device>", "Line 2, column 10: "),
        ("<device>\r\n<a>&nbsp;</a></device>", "Line 2, column "),
        ("<device><a>1</a>", "Line 1, column "),
        ("<device/><device/>", "Line 1, column "),
        ("<Default/>", ""),
        ("<html/>", ""),
        ('<!DOCTYPE device [<!ENTITY a "b">]>\n<device>&a;</device>', "Line 1, column 1: "),
        ("<device>\n\u0000</device>", ""),
        ('<?xml version="1.0" encoding="UTF-16"?><device/>', "Line 1: "),
        ('<?xml version="1.0" encoding="ISO-8859-1"?>\n<device>€</device>', "Line 2, column 9: "),
    ],
)
async def test_profile_with_invalid_xml_names_position(site: Site, xml: str, place: str) -> None:
    uuid = await site.admin.new_profile(site.admin_uuid)
    for answer in (
        await site.admin.post("/phone-profiles", profile(site.admin_uuid, cnf_xml=xml)),
        await site.admin.put(f"/phone-profiles/{uuid}", {"cnf_xml": xml}),
    ):
        check_error(answer, 422)
        assert list(answer.fields) == ["cnf_xml"]
        [reason] = answer.fields["cnf_xml"]
        assert reason.startswith(place)
        assert not reason.startswith("Line") or place
    assert (await site.admin.get(f"/phone-profiles/{uuid}")).data["cnf_xml"] == CONFIG


async def test_profile_with_findings_has_warnings_with_code_and_line(site: Site) -> None:
    assert (await site.admin.post("/phone-profiles", profile(site.admin_uuid))).data["warnings"] == []
    xml = (
        "<device>\n<sshPassword>hunt3r</sshPassword>\n<vendorConfig>\n<webAccess>1</webAccess></vendorConfig></device>"
    )
    made = (await site.admin.post("/phone-profiles", profile(site.admin_uuid, cnf_xml=xml))).data
    warnings = {warning["code"]: warning for warning in made["warnings"]}
    assert all(set(warning) == {"code", "parameters", "message", "line"} for warning in made["warnings"])
    assert warnings["ssh_password_present"]["line"] == 2
    assert warnings["ssh_password_present"]["parameters"] == {"element": "sshPassword"}
    assert warnings["web_access_disabled"]["line"] == 4
    assert warnings["missing_authentication_url"]["line"] is None
    assert "hunt3r" not in str(made["warnings"])
    assert (await site.admin.get(f"/phone-profiles/{made['uuid']}")).data["warnings"] == made["warnings"]
    mended = (await site.admin.put(f"/phone-profiles/{made['uuid']}", {"cnf_xml": CONFIG})).data
    assert mended["warnings"] == []


SACRED = {
    "line ends of all kinds": ("<device>\r\n<a/>\n<b/>\r<c/>\r\n</device>\r\n\r\n", "utf-8"),
    "no declaration": ("<device><name>Empfang Süd 😀</name></device>", "utf-8"),
    "another order of attributes": (
        "<?xml version='1.0'  encoding='utf-8' ?><device   b='2'\ta = \"1\"><x></x><y/>&#65;<![CDATA[<]]></device>",
        "utf-8",
    ),
    "a byte order mark": ('\ufeff<?xml version="1.0" encoding="UTF-8"?>\r\n<device>ä</device>', "utf-8"),
    "ISO-8859-1": ('<?xml version="1.0" encoding="ISO-8859-1"?>\r\n<device>Süd ÿ\xa0</device>', "iso-8859-1"),
    "an undeclared prefix": ('<device xsi:type="axl:XIPPhone"><name>a</name></device>', "utf-8"),
    "white space before": ("\r\n  <device/>", "utf-8"),
    "what looks like a placeholder": ("<device><a>{{mac}} {{server}} {{MAC}}</a></device>", "utf-8"),
}


@pytest.mark.parametrize(("xml", "encoding"), SACRED.values(), ids=SACRED.keys())
async def test_profile_bytes_are_served_unchanged(site: Site, xml: str, encoding: str) -> None:
    made = (await site.admin.post("/phone-profiles", profile(site.admin_uuid, cnf_xml=xml))).data
    assert made["cnf_xml"] == xml
    assert (await site.admin.get(f"/phone-profiles/{made['uuid']}")).data["cnf_xml"] == xml
    await site.admin.put(f"/phone-profiles/{made['uuid']}", {"name": "other"})
    assert (await site.admin.put(f"/phone-profiles/{made['uuid']}", {"cnf_xml": xml})).data["cnf_xml"] == xml
    [listed] = [
        each["cnf_xml"] for each in (await site.admin.get("/phone-profiles")).data if each["uuid"] == made["uuid"]
    ]
    assert listed == xml
    mac = site.mac()
    assert (await site.admin.post(SWITCH, {"profile_uuid": made["uuid"], "mac": mac})).status == 200
    served = await site.admin.get(f"/phone-config/{mac}")
    assert served.content == site.served(mac).read_bytes() == xml.encode(encoding)
    assert served.headers["Content-Type"] == "application/xml"


FLAT = "line1_name: 201\n"


async def test_profile_of_flat_config_keeps_its_content_type(site: Site) -> None:
    fields = profile(site.admin_uuid, cnf_xml=FLAT, content_type="cnf", compatible_models=["7960"])
    created = (await site.admin.post("/phone-profiles", fields)).data
    assert (created["content_type"], created["cnf_xml"], created["warnings"]) == ("cnf", FLAT, [])
    path = f"/phone-profiles/{created['uuid']}"
    assert (await site.admin.put(path, {"cnf_xml": "line1_name: 305\n"})).data["content_type"] == "cnf"
    check_error(await site.admin.put(path, {"cnf_xml": CONFIG}), 422)
    check_error(await site.admin.put(path, {"content_type": "xml"}), 422)
    assert (await site.admin.put(path, {"content_type": "cnf", "name": "Desk"})).data["name"] == "Desk"
    changed = await site.admin.put(path, {"cnf_xml": CONFIG, "content_type": "xml"})
    assert (changed.data["content_type"], changed.data["cnf_xml"]) == ("xml", CONFIG)


@pytest.mark.parametrize(("text", "content_type"), [(FLAT, "xml"), (FLAT, None), (CONFIG, "cnf"), (FLAT, "json")])
async def test_config_of_other_content_type_is_422(site: Site, text: str, content_type: str | None) -> None:
    fields = {"cnf_xml": text} | ({"content_type": content_type} if content_type else {})
    answer = await site.admin.post("/phone-profiles", profile(site.admin_uuid, **fields))
    check_error(answer, 422)
    assert list(answer.fields) == ["content_type" if content_type == "json" else "cnf_xml"]
