"""Shell commands of the documentation that call the API succeed as pasted."""

import asyncio
import json
import re
import zipfile
from pathlib import Path

import pytest

from tests.api.client import PASSWORD, Site

DOCS = Path(__file__).parents[2] / "docs"
PAGES = DOCS / "administration"
PROFILE = "0b9f2c1e-5a2f-4a55-9c37-3a0b8c8e7f10"
"""The uuid of a profile in the pages."""
CALLS_THE_API = re.compile(r"/api/v1|\$API/")


def blocks_of(path: Path, language: str = "sh") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str = "sh") -> list[str]:
    return blocks_of(PAGES / f"{page}.md", language)


def commands() -> list[tuple[str, str]]:
    """Return each block that calls the API, with the page it is on."""
    found = [(path.stem, block) for path in sorted(PAGES.glob("*.md")) for block in blocks(path.stem)]
    return [(page, block) for page, block in found if CALLS_THE_API.search(block)]


async def pasted(site: Site, folder: Path, script: str) -> str:
    """Run ``script`` with the address and the password of ``site``; return what it prints."""
    script = re.sub(r"http://(?:192\.0\.2\.5|127\.0\.0\.1):8080", site.running.api_url, script)
    script = script.replace('"password": "..."', f'"password": "{PASSWORD}"').replace("journalctl", "true journalctl")
    shell = await asyncio.create_subprocess_exec(
        "bash", "-e", "-c", script, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await shell.communicate())[0].decode()
    assert shell.returncode == 0, output
    return output


async def prepare(site: Site, folder: Path) -> dict[str, str]:
    """Create the resources that the pages assume; return replacements for their names."""
    profile = await site.admin.new_profile(site.admin_uuid)
    (table,) = [block for block in blocks("switch-jobs", "") if block.startswith("Desk;")]
    move = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", profile, table)
    (folder / "move.csv").write_text(move, "utf-8")
    (folder / "List.xml").write_text("<CiscoIPPhoneImageList/>", "utf-8")
    with zipfile.ZipFile(folder / "cmterm-7945_7965-sip.9-4-2SR3.zip", "w") as archive:
        archive.writestr("SIP45.9-4-2SR3-1S.loads", "")
    return {PROFILE: profile, "$USER_UUID": site.admin_uuid, "$TOKEN": site.admin.token or ""}


@pytest.mark.needs("bash", "curl")
@pytest.mark.parametrize(("page", "block"), commands(), ids=lambda text: text if len(text) < 20 else "block")
async def test_command_of_page_succeeds_as_pasted(site: Site, tmp_path: Path, page: str, block: str) -> None:
    names = await prepare(site, tmp_path)
    (api,) = {line for text in blocks(page) for line in text.splitlines() if line.startswith("API=")} or {""}
    for name, value in names.items():
        block = block.replace(name, value)
    if page == "install" and block.startswith("TOKEN="):
        block += '\ncurl -sS -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/api/v1/me'
    output = await pasted(site, tmp_path, f"{api}\n{block}")
    answers = [json.loads(text) for text in re.findall(r"\{\"success.*?\}(?=\{\"success|\s*$)", output, re.DOTALL)]
    assert answers
    assert all(answer["success"] for answer in answers)


@pytest.mark.needs("bash", "curl")
async def test_api_example_succeeds_as_pasted(site: Site, tmp_path: Path) -> None:
    assert site.running.tftp_address is not None
    host, port = site.running.tftp_address
    (example,) = [block for block in blocks_of(DOCS / "api.md") if block.startswith("API=")]
    example = example.replace("the printed one", PASSWORD).replace("TFTP=127.0.0.1:69", f"TFTP={host}:{port}")
    output = await pasted(site, tmp_path, example)
    assert '"success": false' not in output
    # A state after ``policy`` belongs to the deployment, not to a step.
    assert re.findall(r'"policy": \{[^{}]*\}, "state": "(\w+)"', output) == ["waiting", "fetched"]
    assert (tmp_path / "desk.cnf.xml").read_text("utf-8") in output


def test_pages_have_many_commands() -> None:
    assert len(commands()) > 8
