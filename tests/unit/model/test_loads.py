import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.model.catalogue import find
from cisisk.model.loads import load_protocol, read_load

FIRST = ("7940", "7960")


@pytest.mark.parametrize(
    ("load", "protocol", "models"),
    [
        ("SIP45.9-4-2SR3-1S", "SIP", ("7945", "7965")),
        ("SIP45.9-4-2SR3-1S.loads", "SIP", ("7945", "7965")),
        ("SIP70.9-4-2", "SIP", ("7970", "7971")),
        ("SCCP41.9-4-2SR3-1S", "SCCP", ("7941", "7941G-GE", "7961", "7961G-GE")),
        ("SCCP42.9-4-2SR3-1S", "SCCP", ("7942", "7962")),
        ("SCCP11.9-4-2", "SCCP", ("7906", "7911")),
        ("term45.default", None, ("7945", "7965")),
        ("P0S3-8-12-00", "SIP", FIRST),
        ("P00308010200", "SCCP", FIRST),
        ("P003-08-12-00", None, FIRST),
        ("P0M3-08-1-00", None, FIRST),
        ("P00405000700", "SCCP", ("7910",)),
        ("P00503021900", "SCCP", ("7935",)),
        ("apps37sccp.1-4-5-7", "SCCP", ("7937",)),
        ("cmterm_7936.3-3-21-0", "SCCP", ("7936",)),
        ("CP7912080004SCCP080108A", "SCCP", ("7912",)),
        ("CP7912080000SIP060111A", "SIP", ("7912",)),
        ("CP7921G-1.4.5", "SCCP", ("7921",)),
        ("CP3905.9-4-1SR2-2", "SIP", ("3905",)),
        ("SIP3951.8-1-2a", "SIP", ("3951",)),
        ("SCCP69xx.9-4-1-3SR3", "SCCP", ("6921", "6941", "6961")),
        ("SIP6945.9-4-1-3SR3", "SIP", ("6945",)),
        ("SCCP894x.9-4-2SR3-1", "SCCP", ("8941", "8945")),
        ("sip8961.9-4-2SR4-1", "SIP", ("8961",)),
        ("sip9971.9-4-2SR4-1", "SIP", ("9971",)),
        ("sip78xx.12-8-1-0001-455", "SIP", ("7811", "7821", "7841", "7861")),
        ("sip88xx.12-8-1-0001-455", "SIP", ("8811", "8841", "8851", "8851NR", "8861")),
        ("sip8845_65.12-8-1-0001-455", "SIP", ("8845", "8865", "8865NR")),
        ("sip8821.11-0-6SR6-3", "SIP", ("8821",)),
        ("sipdx650.10-2-5-207", "SIP", ("DX650",)),
        ("ATA030203SCCP051201A", "SCCP", ("ATA186", "ATA188")),
        ("ATA187.9-2-3-1", "SIP", ("ATA187",)),
        ("", None, ()),
        ("../etc/passwd", None, ()),
    ],
)
def test_load_name_reveals_protocol_and_models(load: str, protocol: str | None, models: tuple[str, ...]) -> None:
    facts = read_load(load)
    assert (facts.protocol, facts.models) == (protocol, models)
    assert load_protocol(load) == protocol
    assert all(find(model) for model in models)


@pytest.mark.parametrize(
    ("load", "is_multiplatform"),
    [
        ("sip88xx.12-0-7MPP0201-66", True),
        ("sip78xx.11-3-1MPP-1", True),
        ("sip8845_65.12-0-1MPP2", True),
        ("sip88xx.12-8-1-0001-455", False),
        ("SIP45.9-4-2SR3-1S", False),
    ],
)
def test_multiplatform_load_is_recognised(load: str, *, is_multiplatform: bool) -> None:
    assert read_load(load).is_multiplatform is is_multiplatform


@pytest.mark.parametrize(
    ("load", "is_flat"), [("P0S3-8-12-00", True), ("P00308010200", False), ("P0M3-8", False), ("SIP45.9", False)]
)
def test_only_first_sip_generation_reads_flat_config(load: str, *, is_flat: bool) -> None:
    assert read_load(load).reads_flat_config is is_flat


@given(st.text(max_size=100))
def test_any_load_name_reveals_known_models_only(load: str) -> None:
    assert read_load(load).protocol in {None, "SIP", "SCCP"}
