"""Thousands of requests that nobody thought of, derived from the published document, against a real appliance."""

import asyncio
import json
import re
import sys
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from aiohttp import web

from cisisk.api.routes import ROUTES
from cisisk.events import webhooks
from cisisk.model.codes.webhook import DeliveryDetail
from tests.api.client import MAC, SWITCH, Site

CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"),
    *("response_headers_conformance", "unsupported_method", "allow_header_conformance", "ignored_auth"),
)
EXAMPLES = 8
"""For each operation, beside those of the coverage phase, which makes some fifty for each."""
SECONDS = 300.0
"""The runs take 25 on a calm machine."""


async def existing(site: Site) -> dict[str, dict[str, str]]:
    """Operations with the parameters of something that is there, so that not everything ends at a 404.

    Deletions are not among them: they would leave nothing for the others.
    """
    anna = await site.admin.new_user("anna")
    clerk = await site.admin.new_permission(5, "clerk")
    profile = await site.admin.new_profile(anna)
    contact = (await site.admin.post(f"/personal-directory/{anna}", {"name": "Zoe"})).data["uuid"]
    line = {"type": "custom", "extension": "101", "name": "Lobby", "password": "secret"}
    extension = (await site.admin.post("/extensions", line)).data["uuid"]
    bodies = {
        "cisco-kem": {"model": "CP-7915"},
        "cisco-services": {"name": "Weather"},
        "company-directory": {"name": "Zoe"},
        "sites": {"name": "Lisbon"},
        "user-extensions": {"user_uuid": anna, "extension_uuid": extension},
    }
    made = {path: (await site.admin.post(f"/{path}", body)).data["uuid"] for path, body in bodies.items()}
    await site.admin.put(f"/cisco-users/{anna}", {"pin_code": "1234"})
    await site.admin.post("/user-perms", {"user_uuid": anna, "perm_uuid": clerk})
    done = (await site.admin.post(SWITCH, {"profile_uuid": profile, "mac": MAC})).data
    hook = (await site.admin.post("/webhooks", {"url": "http://127.0.0.1:9/", "is_active": False})).data
    rows = [{"mac": site.mac(), "profile_uuid": profile}]
    job = (await site.admin.post("/switch-jobs", {"rows": rows})).data["uuid"]
    values = {"users": anna, "permissions": clerk, "phone-profiles": profile, "deployments": done["deployment"]}
    values |= {**made, "personal-directory": contact, "extensions": extension}
    values |= {"switch-jobs": job}
    values["webhooks"] = hook["uuid"]
    found = {}
    for route in ROUTES:
        path = web.DynamicResource(route.path).canonical
        if route.method in ("GET", "PUT") and "{" in path:
            uuid = anna if "{userUuid}" in path else values.get(path.split("/")[1], "")
            there = {"mac": MAC, "path": f"SEP{MAC.replace(':', '')}.cnf.xml", "before": "1", "after": "1"}
            there["extUuid"] = extension
            names = re.findall(r"{(\w+)}", path)
            found[f"{route.method} /api/v1{path}"] = {f"path.{name}": there.get(name, uuid) for name in names}
    for path in ("/events", "/deployments/{uuid}/events"):
        # A stream has no end, so none is begun.
        found.setdefault(f"GET /api/v1{path}", {})["header.Last-Event-ID"] = "nothing"
    return found


async def configuration(site: Site, directory: Path) -> Path:
    """The settings of the run."""
    leaver = await site.clerk()
    lines = [
        f"headers = {{ Authorization = {json.dumps(f'Bearer {site.admin.token}')} }}",
        # Somebody else logs out: without a token in the body that ends every login of the user who asks.
        "[[operations]]",
        'include-name = "POST /api/v1/auth/logout"',
        f"headers = {{ Authorization = {json.dumps(f'Bearer {leaver.token}')} }}",
    ]
    for name, parameters in (await existing(site)).items():
        values = ", ".join(f'"{parameter}" = {json.dumps(value)}' for parameter, value in parameters.items())
        lines += ["[[operations]]", f"include-name = {json.dumps(name)}", f"parameters = {{ {values} }}"]
    path = directory / "schemathesis.toml"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(autouse=True)
def nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The URLs of webhooks that nobody thought of may be those of somebody."""
    answered = AsyncMock(return_value=webhooks._Answer(204, DeliveryDetail.ANSWERED.notice(status=204)))
    monkeypatch.setattr(webhooks.Webhooks, "_send", answered)


@pytest.mark.slow
async def test_no_request_of_thousands_fails_or_is_answered_in_an_undocumented_way(site: Site, tmp_path: Path) -> None:
    before = (await site.admin.get("/me")).data
    settings = await configuration(site, tmp_path)
    # Two at the same time: what asks costs more than what answers.
    outputs = await asyncio.gather(*(run(site, settings, which) for which in ("--include-method", "--exclude-method")))
    # The document itself is the only operation that it does not describe.
    assert sum(int(number) for each in outputs for number in re.findall(r"Tested: (\d+)", each)) == len(ROUTES) - 1
    # The administrator was neither changed nor logged out: the runs have asked everything with a token that counts.
    after = (await site.admin.get("/me")).data
    assert after == before
    assert (await site.anybody.get("/health")).data["status"] == "ok"


async def run(site: Site, settings: Path, which: str) -> str:
    """What is printed by a run of the operations that read, or of the others."""
    directory = settings.parent / which
    directory.mkdir()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", settings, "run"),
        *(f"{site.running.api_url}/api/v1/openapi.json", "--checks", ",".join(CHECKS), which, "GET"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--generation-deterministic"),
        *("--continue-on-failure", "--no-shrink", "--no-color", "--warnings", "off"),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        pytest.fail(output.decode())
    return output.decode()
