"""What readers see while configs are replaced under them."""

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.premises import Site

READER = Path(__file__).with_name("reader.py")
"""Readers are processes of their own: in this one they would only fight for the interpreter's lock."""
SWITCHES = 1000


@contextmanager
def reading(*arguments: object) -> Iterator[dict[str, Any]]:
    """A reader, from its first read to the end of the block; then what it has seen."""
    seen: dict[str, Any] = {}
    command = [sys.executable, str(READER), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield seen
        finally:
            seen.update(json.loads(process.communicate("stop\n", timeout=30)[0]))


async def test_a_reader_during_a_thousand_switches_never_sees_less_than_a_whole_config(site: Site) -> None:
    """As a phone sees it over TFTP, and as any program sees it on the disk."""
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
