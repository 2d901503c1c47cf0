"""Switch jobs over the API."""

import asyncio
import csv
import io
import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import pytest

from cisisk.model.codes.deployment import Misfit
from cisisk.model.codes.error import ErrorKind
from cisisk.model.codes.job import StopReason
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.messages import render
from cisisk.model.switch_job import MAX_ROWS
from tests.api.client import CONFIG, UNKNOWN, Answer, Site, check_error, check_metadata
from tests.patience import PATIENCE

JOBS = "/switch-jobs"
SHORT_POLICY = {"fetch_seconds": 1, "retry": False, "escalate": False}
"""A policy whose switches fail after one second without a fetch."""
addresses = (f"{high}.{low}" for high, low in itertools.product(range(256), range(1, 255)))

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


async def rows_for(site: Site, count: int, **more: Any) -> list[dict[str, Any]]:
    """Return rows with new phones and one new profile."""
    profile = await site.admin.new_profile(site.admin_uuid)
    return [{"mac": site.mac(), "profile_uuid": profile, **more} for _ in range(count)]


async def started(site: Site, rows: Sequence[dict[str, Any]], **more: Any) -> str:
    answer = await site.admin.post(JOBS, {"rows": rows, **more})
    assert answer.status == 201, answer.body
    return str(answer.data["uuid"])


async def job(site: Site, uuid: str) -> Any:
    return (await site.admin.get(f"{JOBS}/{uuid}")).data


async def reaches(site: Site, uuid: str, is_there: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(PATIENCE):
        while not is_there(found := await job(site, uuid)):  # noqa: ASYNC110 -- polls the API
            await asyncio.sleep(0.02)
        return found


async def counts(site: Site, uuid: str, **wanted: int) -> Any:
    """Wait until the job has these numbers of rows per state, and return it."""
    return await reaches(site, uuid, lambda found: found["counts"] == wanted)


async def results(site: Site, uuid: str, query: str = "") -> list[dict[str, Any]]:
    return list((await site.admin.get(f"{JOBS}/{uuid}/rows{query}")).data)


async def fetch(site: Site, *rows: dict[str, Any]) -> None:
    """Fetch the configs of switched phones as the phones do."""
    assert site.running.provisioning_http_address
    host, port = site.running.provisioning_http_address
    for row in rows:
        # Each phone fetches from its own address: the access policy refuses a shared one.
        own = aiohttp.TCPConnector(local_addr=(f"127.77.{next(addresses)}", 0))
        async with (
            aiohttp.ClientSession(connector=own) as phone,
            phone.get(f"http://{host}:{port}/{site.served(row['mac']).name}") as response,
        ):
            assert response.status == 200
            await response.read()


async def post_csv(site: Site, text: str, query: str = "") -> Answer:
    return await site.admin.request("POST", f"{JOBS}{query}", content=text.encode(), Content_Type="text/csv")


async def table(site: Site, uuid: str, delimiter: str = ",") -> list[list[str]]:
    answer = await site.admin.get(f"{JOBS}/{uuid}/rows", Accept="text/csv")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/csv; charset=utf-8")
    return list(csv.reader(io.StringIO(answer.content.decode(), newline=""), delimiter=delimiter))


async def test_job_runs_canary_and_waves_to_completion(site: Site) -> None:
    rows = await rows_for(site, 6, desk="A1")
    answer = await site.admin.post(JOBS, {"rows": rows, "canary": 1, "wave": 3, "concurrency": 2})
    check_metadata(answer)
    assert (answer.status, answer.message) == (201, "Switch job created")
    uuid = answer.data["uuid"]
    assert {name: answer.data[name] for name in ("state", "rows", "canary", "wave", "concurrency", "reason")} == {
        "state": "running",
        "rows": 6,
        "canary": 1,
        "wave": 3,
        "concurrency": 2,
        "reason": None,
    }
    assert answer.data["requested_by"] == site.admin_uuid
    assert answer.data["min_confirmed"] == 0.9
    assert answer.data["policy"]["when"] == "now"
    await counts(site, uuid, waiting=1, pending=5)
    await fetch(site, rows[0])
    # Two rows run concurrently in a wave of three.
    await counts(site, uuid, fetched=1, waiting=2, pending=3)
    await fetch(site, *rows[1:3])
    await counts(site, uuid, fetched=3, waiting=1, pending=2)
    await fetch(site, rows[3])
    await counts(site, uuid, fetched=4, waiting=2)
    await fetch(site, *rows[4:])
    done = await reaches(site, uuid, lambda found: found["state"] == "completed")
    assert done["counts"] == {"fetched": 6}
    assert done["ended_at"] is not None

    found = await results(site, uuid)
    assert [(row["row"], row["mac"], row["wave"]) for row in found] == [
        (number, rows[number - 1]["mac"], wave) for number, wave in enumerate([0, 1, 1, 1, 2, 2], 1)
    ]
    assert {row["state"] for row in found} == {"fetched"}
    assert found[0]["input"] == rows[0]
    assert found[0]["restart_outcome"] == "refused"
    assert RestartRefusal.ADDRESS_UNKNOWN in [refusal["code"] for refusal in found[0]["restart_detail"]]
    shown = (await site.admin.get(f"/deployments/{found[0]['deployment']}")).data
    assert (shown["mac"], shown["requested_by"]) == (rows[0]["mac"], site.admin_uuid)
    assert [shown["steps"][-1][name] for name in ("code", "message")] == [
        found[0][name] for name in ("code", "message")
    ]
    actions = [row["action"] for row in await site.admin.whole_audit_log() if row["entity_uuid"] == uuid]
    assert actions == ["switch_job.created", "switch_job.completed"]
    assert (await site.admin.post(f"{JOBS}/{uuid}/pause")).status == 409


async def test_job_table_is_returned_with_results(site: Site) -> None:
    profile = await site.admin.new_profile(site.admin_uuid)
    first, second = site.mac(), site.mac()
    text = f'\ufeffDesk;MAC;Profile_UUID;Note\r\n"Fön; 1";{first};{profile};=1+1\r\n\r\n+49 30;{second};{profile};\r\n'
    answer = await post_csv(site, text, "?canary=0&when=idle&fetch_seconds=77")
    assert answer.status == 201, answer.body
    assert answer.data["policy"]["fetch_seconds"] == 77
    assert answer.data["policy"]["when"] == "idle"
    uuid = answer.data["uuid"]
    await counts(site, uuid, waiting=2)
    await fetch(site, {"mac": first}, {"mac": second})
    await reaches(site, uuid, lambda found: found["state"] == "completed")
    head, one, two = await table(site, uuid, ";")
    results = ["result_deployment", "result_state", "result_restart", "result_message"]
    assert head == ["Desk", "MAC", "Profile_UUID", "Note", *results]
    assert one[:4] == ["Fön; 1", first, profile, "'=1+1"]
    assert two[:4] == ["'+49 30", second, profile, ""]
    assert one[5] == two[5] == "fetched"
    # The result table is a valid input; its result columns are replaced.
    again = await site.admin.get(f"{JOBS}/{uuid}/rows?format=csv")
    assert f'filename="switch-job-{uuid}.csv"' in again.headers["Content-Disposition"]
    repeated = await post_csv(site, again.content.decode())
    assert repeated.status == 201, repeated.body
    assert (await table(site, repeated.data["uuid"], ";"))[0] == head
    await site.admin.post(f"{JOBS}/{repeated.data['uuid']}/cancel")


async def test_job_rows_are_filtered_and_paged(site: Site) -> None:
    rows = await rows_for(site, 3)
    uuid = await started(site, rows, canary=1)
    await counts(site, uuid, waiting=1, pending=2)
    assert [row["row"] for row in await results(site, uuid, "?state=pending")] == [2, 3]
    page = await site.admin.get(f"{JOBS}/{uuid}/rows?limit=1&offset=1&sort=-number")
    assert ([row["row"] for row in page.data], page.metadata["total"]) == ([2], 3)
    pending = (await site.admin.get(f"{JOBS}/{uuid}/rows?format=csv&state=pending")).content.decode()
    assert len(pending.splitlines()) == 3
    both = await site.admin.get(f"{JOBS}/{uuid}/rows", Accept="text/csv, application/json")
    assert both.headers["Content-Type"].startswith("application/json")
    assert list((await site.admin.get(f"{JOBS}/{uuid}/rows?state=nothing")).fields) == ["state"]
    assert (await site.admin.request("HEAD", f"{JOBS}/{uuid}/rows?format=csv")).status == 200
    found = await site.admin.get(f"{JOBS}?limit=1")
    assert [each["uuid"] for each in found.data] == [uuid]
    assert found.data[0]["counts"] == {"waiting": 1, "pending": 2}
    assert found.metadata["total"] >= 1
    await site.admin.post(f"{JOBS}/{uuid}/cancel")


async def test_job_with_errors_names_all_and_does_not_start(site: Site) -> None:
    good, twice = (await rows_for(site, 2)), site.mac()
    profile = good[0]["profile_uuid"]
    total = (await site.admin.get(JOBS)).metadata["total"]
    answer = await site.admin.post(
        JOBS,
        {
            "rows": [
                *good,
                {"mac": "nothing", "profile_uuid": "nothing"},
                {"mac": twice, "profile_uuid": profile},
                {"mac": twice.lower().replace(":", "-"), "profile_uuid": profile},
                {"mac": site.mac(), "profile_uuid": UNKNOWN},
                {"mac": site.mac(), "username": "admin", "profile": "none of that name"},
            ]
        },
    )
    check_error(answer, 422)
    assert answer.fields == {
        "rows.3.mac": ["Not a MAC address such as AA:BB:CC:DD:EE:01"],
        "rows.3.profile_uuid": ["Not a valid UUID."],
        "rows.5.mac": ["The same phone as in row 4"],
        "rows.6.profile_uuid": ["No such profile"],
        "rows.7.profile": ["The user has none of that name"],
    }
    text = f"mac,profile_uuid\n{site.mac()},{UNKNOWN}\nnothing,{profile}\n{site.mac()}\n"
    wrong = {"rows.1.profile_uuid", "rows.2.mac", "rows.3"}
    assert set((await post_csv(site, text)).fields) == wrong
    assert (await site.admin.get(JOBS)).metadata["total"] == total
    assert not site.served(good[0]["mac"]).exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "rows"),
        ({"rows": []}, "rows"),
        ({"rows": "all"}, "rows"),
        ({"rows": [1, {}]}, "rows.1"),
        ({"rows": [{"desk": 1}]}, "columns"),
        ({"rows": [{}], "more": 1}, "more"),
        ({"rows": [{}], "canary": -1}, "canary"),
        ({"rows": [{}], "concurrency": 0}, "concurrency"),
        ({"rows": [{}], "concurrency": 65}, "concurrency"),
        ({"rows": [{}], "min_confirmed": 1.1}, "min_confirmed"),
        ({"rows": [{}], "policy": {"when": "soon"}}, "policy.when"),
        ({"rows": [{"mac": 1}] * (MAX_ROWS + 1)}, "rows"),
    ],
)
async def test_job_with_invalid_body_is_refused(site: Site, body: Any, field: str) -> None:
    answer = await site.admin.post(JOBS, body)
    check_error(answer, 422)
    assert field in answer.fields


async def test_job_body_must_be_json_or_csv_within_limit(site: Site) -> None:
    check_error(await site.admin.request("POST", JOBS, content=b"x", Content_Type="text/plain"), 415)
    check_error(await site.admin.request("POST", JOBS, content=b"{", Content_Type="application/json"), 400)
    check_error(await post_csv(site, "mac\n" + "1\n" * 2_000_000), 413)
    assert list((await post_csv(site, "")).fields) == ["body"]
    assert list((await post_csv(site, "mac,profile_uuid\n", "?canary=x")).fields) == ["canary"]


async def test_job_with_most_rows_is_accepted(site: Site) -> None:
    rows = await rows_for(site, MAX_ROWS, desk="some text", floor=3)
    uuid = await started(site, rows, canary=1)
    await counts(site, uuid, waiting=1, pending=MAX_ROWS - 1)
    assert len(await table(site, uuid)) == MAX_ROWS + 1
    await site.admin.post(f"{JOBS}/{uuid}/cancel")


async def test_job_row_names_profile_by_user_and_name(site: Site) -> None:
    name = site.name()
    user = await site.admin.new_user(name)
    desk = await site.admin.new_profile(user, name="Desk")
    await site.admin.new_profile(user, name="Twice")
    await site.admin.new_profile(user, name="Twice")
    refused = await post_csv(site, f"mac,username,profile\n{site.mac()},{name},Desk\n{site.mac()},{name},Twice\n")
    assert refused.fields == {"rows.2.profile": ["The user has several of that name: give the uuid"]}
    answer = await post_csv(site, f"mac,username,profile\n{site.mac()},{name.upper()},Desk\n")
    [row] = await results(site, answer.data["uuid"])
    assert row["profile_uuid"] == desk
    await site.admin.post(f"{JOBS}/{answer.data['uuid']}/cancel")


async def test_job_with_phone_of_running_job_is_refused(site: Site) -> None:
    rows = await rows_for(site, 2)
    uuid = await started(site, rows, canary=1)
    answer = await site.admin.post(JOBS, {"rows": rows[1:]})
    check_error(answer, 409)
    assert f"{rows[1]['mac']} in job {uuid}" in answer.message
    assert (await site.admin.post(f"{JOBS}/{uuid}/cancel")).data["state"] == "cancelled"
    other = await started(site, rows[1:])
    await site.admin.post(f"{JOBS}/{other}/cancel")


async def test_job_with_failed_canary_stops_and_can_continue(site: Site) -> None:
    rows = await rows_for(site, 4)
    uuid = await started(site, rows, canary=2, policy=SHORT_POLICY)
    await counts(site, uuid, waiting=2, pending=2)
    await fetch(site, rows[0])
    stopped = await reaches(site, uuid, lambda found: found["state"] == "stopped")
    assert stopped["reason"]["code"] == StopReason.TOO_FEW
    assert stopped["reason"]["parameters"] == {"ended": 2, "taken": 1, "share": 0.5, "wanted": 0.9}
    assert stopped["counts"] == {"fetched": 1, "timed_out": 1, "pending": 2}
    assert not site.served(rows[2]["mac"]).exists()
    assert (await site.admin.post(f"{JOBS}/{uuid}/resume")).data["state"] == "running"
    await counts(site, uuid, fetched=1, timed_out=1, waiting=2)
    await fetch(site, *rows[2:])
    await reaches(site, uuid, lambda found: found["state"] == "completed")
    actions = [row["action"] for row in await site.admin.whole_audit_log() if row["entity_uuid"] == uuid]
    assert actions == [f"switch_job.{name}" for name in ("created", "stopped", "resumed", "completed")]


async def test_job_row_refused_counts_as_result(site: Site) -> None:
    rows = await rows_for(site, 3)
    for row, model in ((rows[0], "7942"), (rows[1], "8845")):
        await site.admin.post("/phones", {"mac": row["mac"], "model": model})
    only = await site.admin.new_profile(site.admin_uuid, compatible_models=["7942"])
    rows = [{**row, "profile_uuid": only} for row in rows]
    rehearsed = await site.admin.post(JOBS, {"rows": rows, "canary": 2, "dry_run": True})
    assert (rehearsed.status, rehearsed.message) == (200, "Nothing was switched")
    misfit = Misfit.MODEL.notice(wanted="7942", model="8845")
    shown = {**misfit.plain(), "message": render(misfit)}
    assert rehearsed.data["refused"] == [{"row": 2, "mac": rows[1]["mac"], **shown}]
    assert (rehearsed.data["waves"], rehearsed.data["rows"]) == ([2, 1], 3)
    assert not site.served(rows[0]["mac"]).exists()

    uuid = await started(site, rows, canary=2)
    await counts(site, uuid, waiting=1, refused=1, pending=1)
    await fetch(site, rows[0])
    await reaches(site, uuid, lambda found: found["state"] == "stopped")
    refused = (await results(site, uuid))[1]
    assert (refused["deployment"], refused["restart"]) == (None, None)
    assert shown.items() <= refused.items()
    # A deleted profile does not end the job.
    await site.admin.delete(f"/phone-profiles/{only}")
    await site.admin.post(f"{JOBS}/{uuid}/resume")
    await reaches(site, uuid, lambda found: found["state"] == "completed")
    assert (await results(site, uuid))[2]["code"] == ErrorKind.NOT_FOUND


async def test_job_paused_begins_no_rows(site: Site) -> None:
    rows = await rows_for(site, 3)
    uuid = await started(site, rows, canary=0, concurrency=1)
    await counts(site, uuid, waiting=1, pending=2)
    assert (await site.admin.post(f"{JOBS}/{uuid}/pause")).data["state"] == "paused"
    await fetch(site, rows[0])
    await counts(site, uuid, fetched=1, pending=2)
    # Another job continued meanwhile, so this one had the chance.
    other = await started(site, await rows_for(site, 1))
    await counts(site, other, waiting=1)
    assert (await job(site, uuid))["counts"] == {"fetched": 1, "pending": 2}
    await site.admin.post(f"{JOBS}/{uuid}/resume")
    await counts(site, uuid, fetched=1, waiting=1, pending=1)
    await site.admin.post(f"{JOBS}/{uuid}/cancel")
    assert (await job(site, uuid))["counts"] == {"fetched": 1, "waiting": 1, "cancelled": 1}
    check_error(await site.admin.post(f"{JOBS}/{uuid}/resume"), 409)
    await site.admin.post(f"{JOBS}/{other}/cancel")


async def test_job_cancelled_cancels_deferred_switches(site: Site) -> None:
    rows = await rows_for(site, 3)
    uuid = await started(site, rows, canary=2, policy={"when": "2999-01-01T00:00:00Z"})
    await counts(site, uuid, deferred=2, pending=1)
    await site.admin.post(f"{JOBS}/{uuid}/cancel")
    await counts(site, uuid, cancelled=3)


async def test_jobs_share_limit_of_running_switches(site: Site) -> None:
    many, few = await rows_for(site, 70), await rows_for(site, 2)
    first = await started(site, many, canary=0, concurrency=64)
    await counts(site, first, waiting=64, pending=6)
    second = await started(site, few, canary=0)
    await fetch(site, *many[:2])
    # A free slot goes to the job with fewer running rows.
    await counts(site, second, waiting=2)
    await counts(site, first, fetched=2, waiting=62, pending=6)
    for uuid in (first, second):
        await site.admin.post(f"{JOBS}/{uuid}/cancel")


async def test_jobs_require_superadmin(site: Site) -> None:
    uuid = await started(site, await rows_for(site, 1))
    clerk = await site.clerk()
    for method, path in (
        *(("GET", JOBS), ("POST", JOBS), ("GET", f"{JOBS}/{uuid}"), ("GET", f"{JOBS}/{uuid}/rows")),
        *(("POST", f"{JOBS}/{uuid}/{change}") for change in ("pause", "resume", "cancel")),
    ):
        check_error(await clerk.request(method, path, {} if method == "POST" else None), 403)
        check_error(await site.anonymous.request(method, path, {} if method == "POST" else None), 401)
        if uuid in path:
            check_error(await site.admin.request(method, path.replace(uuid, UNKNOWN)), 404)
    assert (await job(site, uuid))["state"] == "running"
    await site.admin.post(f"{JOBS}/{uuid}/cancel")


async def test_job_answers_contain_no_secret_of_profile(site: Site) -> None:
    config = CONFIG.replace("<name>101</name>", "<name>101</name><authPassword>topsecret</authPassword>")
    profile = await site.admin.new_profile(site.admin_uuid, cnf_xml=config)
    uuid = await started(site, [{"mac": site.mac(), "profile_uuid": profile}])
    await counts(site, uuid, waiting=1)
    texts = json.dumps([await job(site, uuid), await results(site, uuid), await site.admin.whole_audit_log()])
    assert "topsecret" not in texts
    await site.admin.post(f"{JOBS}/{uuid}/cancel")
