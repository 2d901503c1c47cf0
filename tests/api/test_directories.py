"""Section 3 of the contract: the personal directories and the company directory."""

from typing import Any

import pytest

from tests.api.client import UNKNOWN, Client, Site, check_error

PERSONAL = {
    "name": "José",
    "work": "+49 30 1",
    "mobile": "0171",
    "home": "7",
    "email": "j@example.org",
    "ringtone": "a",
}
COMPANY = {**PERSONAL, "department": "Vendas", "company": "ACME", "location": "São Paulo", "building": "B"}
HOSTILE = ["<b>&\"'", "太郎 田中", "Ελένη", "Jürgen Groß", "'; DROP TABLE personal_contacts; --", "a\nb", "%_\\"]


async def test_personal_contact_life_cycle_answers_as_in_contract(site: Site) -> None:
    admin, anna = site.admin, await site.admin.new_user("anna")
    created = await admin.post(f"/personal-directory/{anna}", PERSONAL)
    assert (created.status, created.message) == (201, "Personal contact created")
    assert {name: created.data[name] for name in PERSONAL} == PERSONAL
    assert created.data["user_uuid"] == anna
    path = f"/personal-directory/contact/{created.data['uuid']}"
    shown = await admin.get(path)
    assert (shown.message, shown.data) == ("Personal contact found", created.data)
    listed = await admin.get(f"/personal-directory/{anna}")
    assert (listed.message, listed.data) == ("1 personal contact(s) found", [created.data])
    changed = await admin.put(path, {"work": None, "name": "Zé"})
    assert changed.message == "Personal contact updated"
    assert (changed.data["name"], changed.data["work"], changed.data["mobile"]) == ("Zé", None, "0171")
    deleted = await admin.delete(path)
    assert (deleted.message, deleted.data) == ("Personal contact deleted", None)
    for answer in (await admin.get(path), await admin.put(path, {"name": "a"}), await admin.delete(path)):
        check_error(answer, 404)
    assert (await admin.get(f"/personal-directory/{anna}")).message == "0 personal contact(s) found"


async def test_personal_directory_of_unknown_user_is_404(admin: Client) -> None:
    check_error(await admin.get(f"/personal-directory/{UNKNOWN}"), 404)
    check_error(await admin.post(f"/personal-directory/{UNKNOWN}", {"name": "a"}), 404)


async def test_personal_directory_is_deleted_with_user(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    made = (await site.admin.post(f"/personal-directory/{anna}", {"name": "a"})).data
    await site.admin.delete(f"/users/{anna}")
    check_error(await site.admin.get(f"/personal-directory/contact/{made['uuid']}"), 404)


async def test_company_contact_life_cycle_answers_as_in_contract(admin: Client) -> None:
    created = await admin.post("/company-directory", COMPANY)
    assert (created.status, created.message) == (201, "Company contact created")
    assert {name: created.data[name] for name in COMPANY} == COMPANY
    path = f"/company-directory/{created.data['uuid']}"
    shown = await admin.get(path)
    assert (shown.message, shown.data) == ("Company contact found", created.data)
    listed = await admin.get("/company-directory")
    assert (listed.message, listed.data) == ("1 company contact(s) found", [created.data])
    changed = await admin.put(path, {"department": None})
    assert (changed.message, changed.data["department"], changed.data["building"]) == (
        "Company contact updated",
        None,
        "B",
    )
    deleted = await admin.delete(path)
    assert (deleted.message, deleted.data) == ("Company contact deleted", None)
    for answer in (await admin.get(path), await admin.put(path, {"name": "a"}), await admin.delete(path)):
        check_error(answer, 404)


@pytest.mark.parametrize("name", HOSTILE)
async def test_contact_with_hostile_name_is_found(site: Site, name: str) -> None:
    for path in ("/company-directory", f"/personal-directory/{site.admin_uuid}"):
        made = (await site.admin.post(path, {"name": name})).data
        assert made["name"] == name
        quoted = "".join(f"%{byte:02x}" for byte in name.encode())
        assert [each["name"] for each in (await site.admin.get(f"{path}?q={quoted}")).data] == [name]


async def test_contact_search_ignores_case_accents_and_number_format(admin: Client) -> None:
    for name, work in (("José Conceição", "+55 (11) 98765-4321"), ("Jürgen Groß", "0049 30 1234"), ("ΕΛΈΝΗ", "7")):
        await admin.post("/company-directory", {"name": name, "work": work})
    for q, found in {
        "jose": "José Conceição",
        "CONCEI%C3%87%C3%83O": "José Conceição",
        "GROSS": "Jürgen Groß",
        "%CE%B5%CE%BB%CE%B5%CE%BD%CE%B7": "ΕΛΈΝΗ",
        "11987": "José Conceição",
        "30-12": "Jürgen Groß",
    }.items():
        assert (q, [each["name"] for each in (await admin.get(f"/company-directory?q={q}")).data]) == (q, [found])


async def test_directory_lists_have_their_default_order(site: Site) -> None:
    for name in ("Zoe", "ärmel", "Bob"):
        await site.admin.post("/company-directory", {"name": name})
        await site.admin.post(f"/personal-directory/{site.admin_uuid}", {"name": name})

    async def names(path: str) -> list[str]:
        return [each["name"] for each in (await site.admin.get(path)).data]

    assert await names("/company-directory") == ["ärmel", "Bob", "Zoe"]
    assert await names("/company-directory?limit=1&offset=1") == ["Bob"]
    assert await names("/company-directory?sort=-name") == ["Zoe", "Bob", "ärmel"]
    assert await names(f"/personal-directory/{site.admin_uuid}") == ["Zoe", "ärmel", "Bob"]
    assert await names(f"/personal-directory/{site.admin_uuid}?sort=name") == ["ärmel", "Bob", "Zoe"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("name", "a" * 121), ("name", 7), ("work", "1" * 256), ("email", ["a"]), ("home", 7)],
)
async def test_contact_with_invalid_field_is_422(site: Site, field: str, value: Any) -> None:
    for path in ("/company-directory", f"/personal-directory/{site.admin_uuid}"):
        answer = await site.admin.post(path, {"name": "a", field: value})
        check_error(answer, 422)
        assert list(answer.fields) == [field]


# Permissions


async def test_personal_directory_is_private_to_its_user(site: Site) -> None:
    anna, name = await site.new_clerk()
    bert = await site.admin.new_user("bert")
    client = await site.anonymous.login(name)
    mine = (await client.post(f"/personal-directory/{anna}", {"name": "Zoe"})).data
    path = f"/personal-directory/contact/{mine['uuid']}"
    assert (await client.put(path, {"work": "7"})).data["work"] == "7"
    assert [each["name"] for each in (await client.get(f"/personal-directory/{anna.upper()}")).data] == ["Zoe"]
    assert (await client.get("/me/cisco-services/personal")).data == (
        await client.get(f"/personal-directory/{anna}")
    ).data
    secret = (await site.admin.post(f"/personal-directory/{bert}", {"name": "Secret", "work": "666"})).data
    for other in (bert, UNKNOWN):
        check_error(await client.get(f"/personal-directory/{other}"), 403)
        check_error(await client.post(f"/personal-directory/{other}", {"name": "a"}), 403)
    secret_path = f"/personal-directory/contact/{secret['uuid']}"
    for answer in (
        await client.get(secret_path),
        await client.put(secret_path, {"name": "a"}),
        await client.delete(secret_path),
    ):
        check_error(answer, 404)
        assert "Secret" not in answer.content.decode()
    assert (await site.admin.get(secret_path)).data == secret
    assert (await client.delete(path)).status == 200
    row = (await site.admin.whole_audit_log())[-1]
    assert (row["action"], row["user_uuid"], row["payload"]) == (
        "personal_contact.deleted",
        anna,
        {"user_uuid": anna},
    )


async def test_company_directory_is_read_by_all_written_by_administrators(site: Site) -> None:
    made = (await site.admin.post("/company-directory", COMPANY)).data
    clerk = await site.clerk()
    path = f"/company-directory/{made['uuid']}"
    assert (await clerk.get(path)).data == made
    for listed in (await clerk.get("/company-directory"), await clerk.get("/me/cisco-services/company")):
        assert (listed.message, listed.data) == ("1 company contact(s) found", [made])
    for answer in (
        await clerk.post("/company-directory", {"name": "a"}),
        await clerk.put(path, {"name": "a"}),
        await clerk.delete(path),
    ):
        check_error(answer, 403)
    assert (await site.admin.get(path)).data == made
