from contextlib import closing
from pathlib import Path

import pytest

from cisisk.mobility.findings import Findings
from cisisk.model.mac import Mac
from cisisk.model.profile import Profile
from cisisk.model.user import SYSTEM
from cisisk.provisioning.library import Library
from cisisk.store import progress
from cisisk.store.database import Database
from tests.unit.plans import plan

CONTENT = b"<device><loadInformation>X45</loadInformation>%s</device>"


@pytest.mark.parametrize("more", [b"", b" " * 100_000], ids=["small", "large"])
async def test_findings_reflect_the_present(
    db: Database, tmp_path: Path, mac: Mac, profile: Profile, more: bytes
) -> None:
    with closing(Library(tmp_path / "tftpboot")) as library:
        findings = Findings(db, library)
        deployment = await db.write(progress.record, SYSTEM, plan(mac, profile, CONTENT % more), None)
        assert [finding.code for finding in await findings.of(deployment)] == ["load_not_served"]
        assert await findings.of_plan(CONTENT % more, profile.uuid, mac) == await findings.of(deployment)
        (tmp_path / "tftpboot" / "X45.loads").write_bytes(b"")
        library.refresh()
        assert await findings.of(deployment) == ()


async def test_unreadable_config_has_no_findings(db: Database, tmp_path: Path, mac: Mac, profile: Profile) -> None:
    with closing(Library(tmp_path / "tftpboot")) as library:
        deployment = await db.write(progress.record, SYSTEM, plan(mac, profile, b"<device>"), None)
        assert await Findings(db, library).of(deployment) == ()
