"""The kernel's ARP table, as text."""

from pathlib import Path

import pytest

from cisisk.provisioning.access.neighbours import FRESH_SECONDS, TABLE, Neighbours

TEXT = """IP address       HW type     Flags       HW address            Mask     Device
192.0.2.10       0x1         0x2         00:11:22:aa:bb:01     *        eth0
192.0.2.11       0x1         0x0         00:00:00:00:00:00     *        eth0
192.0.2.12       0x1         0x6         00:11:22:aa:bb:02     *        eth0.20
192.0.2.13       0x20        0x2         00:11:22:aa:bb:03     *        ib0
192.0.2.14       0x1         0x4         00:11:22:aa:bb:04     *        eth0
198.51.100.200   0x1         0xc         00:00:00:00:00:00     *        eth0
198.51.100.201   0x1         0x2         nonsense              *        eth0
"""


def test_complete_ethernet_entries_are_neighbours(tmp_path: Path) -> None:
    (tmp_path / "arp").write_text(TEXT)
    neighbours = Neighbours(tmp_path / "arp")
    known = {f"192.0.2.{last}": neighbours.mac_of(f"192.0.2.{last}") for last in range(9, 16)}
    assert {host: mac for host, mac in known.items() if mac} == {
        "192.0.2.10": "001122AABB01",
        "192.0.2.12": "001122AABB02",
    }
    assert neighbours.mac_of("198.51.100.200") is None
    assert neighbours.mac_of("2001:db8::1") is None


def test_neighbour_table_is_reread_when_old(tmp_path: Path) -> None:
    now = 0.0
    (tmp_path / "arp").write_text(TEXT)
    neighbours = Neighbours(tmp_path / "arp", lambda: now)
    assert neighbours.mac_of("192.0.2.10") == "001122AABB01"
    (tmp_path / "arp").write_text(TEXT.replace("bb:01", "bb:99"))
    assert neighbours.mac_of("192.0.2.10") == "001122AABB01"
    now = FRESH_SECONDS
    assert neighbours.mac_of("192.0.2.10") == "001122AABB99"


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00" * 100, b"IP address\n" + b"1" * 100_000])
def test_malformed_arp_table_has_no_neighbours(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "arp").write_bytes(content)
    assert Neighbours(tmp_path / "arp").mac_of("192.0.2.10") is None


@pytest.mark.skipif(not TABLE.exists(), reason="no ARP here")
def test_this_machines_own_table_is_understood() -> None:
    lines = TABLE.read_text("ascii").splitlines()[1:]
    complete = [line.split() for line in lines if int(line.split()[2], 16) & 2 and line.split()[1] == "0x1"]
    neighbours = Neighbours()
    for host, _, _, mac, *_ in complete:
        assert neighbours.mac_of(host) == mac.replace(":", "").upper()
    assert neighbours.mac_of("0.0.0.0") is None
