"""Send generated requests, derived from the published document, to a running appliance."""

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
"""Fuzzing examples per operation. The coverage phase adds about fifty."""
SECONDS = 300.0
"""Timeout of a run. A run takes 25 s on an idle machine."""


async def existing(site: Site) -> dict[str, dict[str, str]]:
    """Create resources; return operations with their path parameters, so that requests reach more than a 404.

    Deletions keep random parameters, because the other operations need the resources.
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
            constants = {"mac": MAC, "path": f"SEP{MAC.replace(':', '')}.cnf.xml", "before": "1", "after": "1"}
            constants["extUuid"] = extension
            names = re.findall(r"{(\w+)}", path)
            found[f"{route.method} /api/v1{path}"] = {f"path.{name}": constants.get(name, uuid) for name in names}
    for path in ("/events", "/deployments/{uuid}/events"):
        # An invalid Last-Event-ID opens no stream, which would not end.
        found.setdefault(f"GET /api/v1{path}", {})["header.Last-Event-ID"] = "nothing"
    return found


async def configuration(site: Site, directory: Path) -> Path:
    """Write the configuration file of a run and return its path."""
    other_user = await site.clerk()
    lines = [
        f"headers = {{ Authorization = {json.dumps(f'Bearer {site.admin.token}')} }}",
        # Another user logs out, because a logout without a refresh token ends all logins of its user.
        "[[operations]]",
        'include-name = "POST /api/v1/auth/logout"',
        f"headers = {{ Authorization = {json.dumps(f'Bearer {other_user.token}')} }}",
    ]
    for name, parameters in (await existing(site)).items():
        values = ", ".join(f'"{parameter}" = {json.dumps(value)}' for parameter, value in parameters.items())
        lines += ["[[operations]]", f"include-name = {json.dumps(name)}", f"parameters = {{ {values} }}"]
    path = directory / "schemathesis.toml"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(autouse=True)
def no_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send no webhooks: generated URLs may belong to real servers."""
    answered = AsyncMock(return_value=webhooks._Answer(204, DeliveryDetail.ANSWERED.notice(status=204)))
    monkeypatch.setattr(webhooks.Webhooks, "_send", answered)


@pytest.mark.slow
async def test_generated_requests_get_documented_answers(site: Site, tmp_path: Path) -> None:
    before = (await site.admin.get("/me")).data
    settings = await configuration(site, tmp_path)
    # Two runs in parallel, because the client is slower than the server.
    outputs = await asyncio.gather(*(run(site, settings, which) for which in ("--include-method", "--exclude-method")))
    # The document describes every operation except itself.
    assert sum(int(number) for each in outputs for number in re.findall(r"Tested: (\d+)", each)) == len(ROUTES) - 1
    # The administrator is unchanged and logged in, so the runs used a valid token.
    after = (await site.admin.get("/me")).data
    assert after == before
    assert (await site.anonymous.get("/health")).data["status"] == "ok"


async def run(site: Site, settings: Path, which: str) -> str:
    """Run schemathesis on the GET operations or on the others, and return its output."""
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
