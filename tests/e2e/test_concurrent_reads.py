"""Readers of a config while switches replace it."""

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running_site import Site

READER = Path(__file__).with_name("config_reader.py")
"""Readers run in separate processes, because threads would compete for the GIL."""
SWITCHES = 1000


@contextmanager
def reading(*arguments: object) -> Iterator[dict[str, Any]]:
    """Run a reader during the block; afterwards the yielded dict holds what it read."""
    seen: dict[str, Any] = {}
    command = [sys.executable, str(READER), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield seen
        finally:
            seen.update(json.loads(process.communicate("stop\n", timeout=30)[0]))


@pytest.mark.slow
async def test_reads_during_a_thousand_switches_return_whole_configs(site: Site) -> None:
    """One reader uses TFTP like a phone, the other opens the file."""
    configs = [site.config(label * 400) for label in ("201", "305")]
    whole = {hashlib.sha256(text.encode()).hexdigest() for text in configs}
    profiles = [await site.profile("either", cnf_xml=text) for text in configs]
    mac = site.new_mac()
    await site.switch(profiles[0], mac)
    assert site.running.tftp_address
    host, port = site.running.tftp_address
    with (
        reading("disk", site.root / mac.config_name) as on_disk,
        reading("tftp", host, port, mac.config_name) as over_tftp,
    ):
        for number in range(SWITCHES):
            await site.switch(profiles[number % 2], mac)
            await asyncio.sleep(0)
    for seen in (on_disk, over_tftp):
        assert set(seen["contents"]) <= whole
        assert seen["absent"] == 0
        assert sum(seen["contents"].values()) > SWITCHES
