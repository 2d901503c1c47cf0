"""Section 0 of the contract: lists are searched, sorted and paged."""

import pytest

from tests.api.client import MAC, Answer, Client, check_error


async def create_users(admin: Client) -> None:
    for name in ("berta", "anna", "dora", "caesar"):
        await admin.new_user(name, last_name="50% of_all" if name == "dora" else "Tester")


def names(answer: Answer) -> list[str]:
    return [each["username"] for each in answer.data]


async def test_list_is_paged(admin: Client) -> None:
    await create_users(admin)
    answer = await admin.get("/users?limit=2&offset=1")
    assert names(answer) == ["anna", "berta"]
    assert {name: answer.metadata[name] for name in ("total", "limit", "offset")} == {
        "total": 5,
        "limit": 2,
        "offset": 1,
    }
    answer = await admin.get("/users?offset=3")
    assert (names(answer), answer.metadata["total"], answer.metadata["limit"]) == (["caesar", "dora"], 5, None)
    answer = await admin.get("/users?offset=99&limit=1")
    assert (names(answer), answer.metadata["total"]) == ([], 5)


async def test_list_is_searched(admin: Client) -> None:
    await create_users(admin)
    for q, found in {
        "ANN": ["anna"],
        "tester": ["anna", "berta", "caesar"],
        "50%25%20of_": ["dora"],
        "0%25o": [],
        "%25": ["dora"],
        "_": ["dora"],
        "%5c": [],
        "'": [],
        "missing": [],
    }.items():
        answer = await admin.get(f"/users?q={q}&sort=username")
        assert (q, names(answer)) == (q, found)
        assert answer.metadata["total"] == len(found)


async def test_phone_list_finds_mac_in_any_form(admin: Client) -> None:
    for mac in (MAC, "AA:BB:CC:DD:EE:02"):
        await admin.post("/phones", {"mac": mac})
    for q in (MAC, "AABBCCDDEE01", "dd:ee:01", "ddee01"):
        for path in ("/phones", "/cisco-phones"):
            assert (q, [phone["mac"] for phone in (await admin.get(f"{path}?q={q}")).data]) == (q, [MAC])


async def test_list_with_empty_search_and_sort_is_unchanged(admin: Client) -> None:
    await create_users(admin)
    assert names(await admin.get("/users?q=&sort=")) == names(await admin.get("/users"))


@pytest.mark.parametrize(
    "path",
    [
        *("/users", "/permissions", "/phones", "/cisco-phones", "/phone-profiles", "/audit-logs", "/cisco-kem"),
        *("/cisco-services", "/company-directory", "/me/cisco-services/personal", "/extensions", "/user-extensions"),
    ],
)
async def test_list_sorts_by_every_published_field(admin: Client, path: str) -> None:
    [reason] = (await admin.get(f"{path}?sort=nothing")).fields["sort"]
    columns = reason.removeprefix("Sort by one of ").partition(", with - ")[0].split(", ")
    assert columns
    for column in columns:
        for sort in (column, f"-{column}"):
            assert (sort, (await admin.get(f"{path}?sort={sort}")).status) == (sort, 200)


async def test_list_sorts_ascending_and_descending(admin: Client) -> None:
    await create_users(admin)
    order = ["admin", "anna", "berta", "caesar", "dora"]
    assert names(await admin.get("/users?sort=username")) == order
    assert names(await admin.get("/users?sort=-username&limit=2")) == order[:2:-1]
    assert names(await admin.get("/users?sort=created_at")) == ["admin", "berta", "anna", "dora", "caesar"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
        ("offset=99999999999999999999", "offset"),
        ("sort=password_hash", "sort"),
        ("sort=username;--", "sort"),
    ],
)
async def test_list_with_invalid_page_is_422(admin: Client, query: str, field: str) -> None:
    answer = await admin.get(f"/users?{query}")
    check_error(answer, 422)
    assert list(answer.fields) == [field]


async def test_list_ignores_unknown_query_parameters(admin: Client) -> None:
    assert (await admin.get("/users?page=3&_=1719571200")).status == 200
