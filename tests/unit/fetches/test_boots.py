"""Boots from published logs, and their findings.

Source: docs/phone-protocol/boot.md#request-order
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from cisisk.fetches.boot import Boot, BootKind, Care
from cisisk.fetches.boots import boot_history
from cisisk.model.clock import timestamp
from cisisk.model.codes.boot import AskedCode, RemedyCode, RequestCode
from cisisk.model.mac import Mac
from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.purpose import Purpose
from cisisk.store.fetches import LoggedFetch

MAC, OTHER = Mac("AABBCCDDEE01"), Mac("AABBCCDDEE02")
IP = "192.0.2.7"
EIGHT = datetime(2026, 6, 28, 8, 0, tzinfo=UTC)
SENT, ABSENT, STOPPED = FetchOutcome.COMPLETED, FetchOutcome.ABSENT, FetchOutcome.TIMED_OUT
OWN = {"CTL": "CTLSEP{}.tlv", "ITL": "ITLSEP{}.tlv", "SEP": "SEP{}.cnf.xml", "SGN": "SEP{}.cnf.xml.sgn"}

Asked = tuple[float, str, FetchOutcome]


def at(seconds: float) -> str:
    return timestamp(EIGHT + timedelta(seconds=seconds))


def fetch(
    second: float,
    name: str,
    outcome: FetchOutcome = SENT,
    *,
    protocol: str = "tftp",
    ip: str = IP,
    mac: Mac = MAC,
    duration: float = 0.05,
    sha256: str = "0" * 64,
) -> LoggedFetch:
    """Return one fetch. ``CTL``, ``ITL``, ``SEP``, ``SGN`` and names with {} are files of ``mac``."""
    written = OWN.get(name, name)
    sent = outcome not in (ABSENT, FetchOutcome.REFUSED)
    return LoggedFetch(
        number=int(second * 1000),
        started_at=at(second),
        protocol=protocol,
        peer=ip,
        port=49152,
        local="192.0.2.5",
        name=written.format(mac.digits),
        mac=mac if "{}" in written else None,
        outcome=outcome.value,
        sha256=sha256 if sent else None,
        size=12_000 if sent else 0,
        acknowledged=12_000 if outcome is SENT else 5_120 if sent else 0,
        blocks=24,
        retransmits=0,
        duration=duration,
        options={},
    )


def tftp(*asked: Asked, begin: float = 0.0) -> list[LoggedFetch]:
    return [fetch(begin + second, name, outcome) for second, name, outcome in asked]


def both(*asked: Asked) -> list[LoggedFetch]:
    """Return the fetches of a phone that tries HTTP first, and TFTP for absent files."""
    fetches = []
    for second, name, outcome in asked:
        fetches.append(fetch(second, name, outcome, protocol="http"))
        if outcome is ABSENT:
            fetches.append(fetch(second + 0.1, name, outcome))
    return fetches


def one(fetches: Sequence[LoggedFetch], model: str | None = None) -> Boot:
    [boot] = boot_history(MAC, fetches, model=model)
    return boot


def codes(boot: Boot) -> list[str]:
    return [finding.notice.code for finding in boot.findings]


def request_codes(boot: Boot) -> list[str]:
    return [request.result.code for request in boot.requests]


BOOT_OF_A_7942 = (
    (0.0, "CTL", ABSENT),
    (0.3, "ITL", ABSENT),
    (0.9, "ITLFile.tlv", ABSENT),
    (1.6, "SEP", SENT),
    (5.6, "/mk-sip.jar", ABSENT),
    (10.6, "dialplan.xml", ABSENT),
)
RECOVERY_OF_A_7942 = (
    (0.0, "term42.default.loads", SENT),
    (1.0, "jar42sccp.9-4-2.sbn", SENT),
    (9.0, "cnu42.9-4-2.sbn", SENT),
    (19.0, "apps42.9-4-2.sbn", SENT),
    (39.0, "dsp42.9-4-2.sbn", SENT),
    (49.0, "cvm42sccp.9-4-2.sbn", SENT),
)


def test_boot_of_7942_with_config_is_harmless() -> None:
    boot = one(tftp(*BOOT_OF_A_7942))
    assert (boot.kind, boot.needs_care, codes(boot)) == (BootKind.BOOT, False, ["configured"])
    assert request_codes(boot) == [
        *("no_trust_list", "no_trust_list", "no_trust_list", "taken"),
        *("no_dictionary", "no_dial_plan"),
    ]
    assert {request.care for request in boot.requests} == {Care.NONE, Care.HARMLESS}
    assert [request.by_address for request in boot.requests] == [False, False, True, False, True, True]
    assert (boot.started_at, boot.ended_at, boot.addresses) == (at(0), at(10.65), (IP,))
    assert boot.requests[3].asked.code == AskedCode.CONFIG
    assert boot.requests[3].result.parameters == {"size": 12_000, "duration": 0.05}


def test_boot_of_7942_after_recovery_misses_config() -> None:
    afterwards = tftp((0, "CTL", ABSENT), (0.5, "SEP", ABSENT), (1, "XMLDefault.cnf.xml", ABSENT), begin=130)
    newest, recovery = boot_history(MAC, [*tftp(*RECOVERY_OF_A_7942), *afterwards])
    assert codes(recovery) == ["recovering"]
    assert not recovery.needs_care
    assert all(request.by_address for request in recovery.requests)
    assert codes(newest) == ["config_missing"]
    assert newest.needs_care
    assert newest.findings[0].remedies == (RemedyCode.SWITCH.notice(),)


def test_boot_without_recovery_image_names_the_image() -> None:
    asking = tftp(*((at, "term06.default.loads", ABSENT) for at in (0.0, 8.0, 16.0)))
    boot, *rest = boot_history(MAC, asking, address=IP)
    assert rest == []
    assert codes(boot) == ["recovery_without_image"]
    assert boot.findings[0].remedies == (RemedyCode.ADD_RECOVERY_IMAGE.notice(name="term06.default.loads"),)
    assert boot_history(MAC, asking, address="192.0.2.8") == []


def test_boot_of_7921_ignores_missing_files() -> None:
    names = ["CTL", "WLAN{}.xml", "WLANDefault.xml", "SEP", "Ringlist.xml", "DistinctiveRingList.xml"]
    names += ["English_United_States/7921-dictionary.xml", "7921-kate.utf-8.xml", "7921-font.dat"]
    boot = one(tftp(*((float(at), name, SENT if name == "SEP" else ABSENT) for at, name in enumerate(names))))
    assert codes(boot) == ["configured"]
    assert request_codes(boot)[1:3] == ["no_wireless_settings"] * 2
    assert [request.purpose for request in boot.requests[-3:]] == [Purpose.DICTIONARY] * 3


def test_boot_of_7940_continues_without_trust_list() -> None:
    boot = one(tftp((0, "CTL", ABSENT), (0.06, "SEP", SENT), (3.0, "7960-dictionary.xml", SENT)))
    assert codes(boot) == ["configured"]


def test_boot_of_8845_over_http_reports_missing_firmware() -> None:
    fetches = both((0, "CTL", ABSENT), (1, "ITL", ABSENT), (2, "SEP", SENT), (4, "sip8845_65.12-8-1.loads", ABSENT))
    boot = one(fetches)
    assert codes(boot) == ["firmware_missing", "configured"]
    assert boot.findings[0].notice.parameters == {"names": ("sip8845_65.12-8-1.loads",)}
    assert [(request.fetch.protocol, request.result.code) for request in boot.requests][:5] == [
        *(("http", "no_trust_list"), ("tftp", "no_trust_list")) * 2,
        ("http", "taken"),
    ]


@pytest.mark.parametrize(
    ("model", "remedy"),
    [
        ("8845", RemedyCode.ERASE_TRUST_LIST_ADMIN_SETTINGS),
        ("CP-7965G", RemedyCode.ERASE_TRUST_LIST_79XX),
        ("9971", RemedyCode.ERASE_TRUST_LIST_ADMINISTRATOR_SETTINGS),
        (None, RemedyCode.ERASE_TRUST_LIST),
        ("nonsense", RemedyCode.ERASE_TRUST_LIST),
    ],
)
def test_boot_with_foreign_trust_list_names_erase_keys(model: str | None, remedy: RemedyCode) -> None:
    fetches = both((0, "CTL", ABSENT), (1, "ITL", ABSENT), (2, "SGN", ABSENT), (3, "SK12ab.xml.sgn", ABSENT))
    boot = one(fetches, model)
    assert codes(boot) == ["foreign_trust_list"]
    assert boot.needs_care
    assert [each.code for each in boot.findings[0].remedies] == [
        *(RemedyCode.BLANK_TRUST_LIST, RemedyCode.TRUST_NEW_SIGNER, remedy, RemedyCode.RESET_TO_FACTORY)
    ]
    assert "signed_config_absent" in request_codes(boot)


def test_boot_with_plain_config_after_signed_is_harmless() -> None:
    boot = one(both((0, "CTL", ABSENT), (2, "SGN", ABSENT), (3, "SEP", SENT)))
    assert codes(boot) == ["signed_config_first", "configured"]
    assert not boot.needs_care


def test_boot_of_7905_ends_with_default_config() -> None:
    name = "SEP{}".replace("{}", MAC.digits.lower())
    mine = [fetch(0, "SEP{}", ABSENT)]
    assert mine[0].name.lower() == name.lower()
    boot = one([*mine, *tftp((0.5, "XMLDefault.cnf.xml", SENT), (1, "SEPDefault.cnf", ABSENT))])
    assert codes(boot) == ["default_config"]
    assert boot.needs_care


def test_boot_of_7960_with_first_sip_firmware_is_configured() -> None:
    names = [("OS79XX.TXT", SENT), ("SIPDefault.cnf", ABSENT), ("SIP{}.cnf", SENT), ("RINGLIST.DAT", ABSENT)]
    boot = one(tftp(*((float(at), name, outcome) for at, (name, outcome) in enumerate(names))))
    assert codes(boot) == ["configured"]
    assert request_codes(boot) == ["taken", "no_shared_config", "taken", "no_ring_tones"]


def test_boot_of_7960_that_takes_only_its_firmware_name_misses_config() -> None:
    boot = one(tftp((0, "SEP", SENT), (1, "SIPDefault.cnf", SENT), (2, "SIP{}.cnf", ABSENT)))
    assert codes(boot) == ["config_missing"]
    assert boot.findings[0].notice.parameters["name"] == "SIPAABBCCDDEE01.cnf"
    assert request_codes(boot)[-1] == "config_absent"


def test_boot_of_adapter_takes_its_config() -> None:
    boot = one(tftp((0, "ATA{}.cnf.xml", SENT), (1, "ATADefault.cnf.xml", ABSENT)))
    assert codes(boot) == ["configured"]


def test_boot_with_default_config_only_suspects_another_server() -> None:
    earlier = tftp(*BOOT_OF_A_7942)
    newest, _ = boot_history(MAC, [*earlier, *tftp((0, "XMLDefault.cnf.xml", ABSENT), begin=4000)])
    assert codes(newest) == ["only_default_config"]
    assert newest.findings[0].remedies == (RemedyCode.CHECK_SERVERS.notice(),)


def test_boot_that_stops_at_trust_list_is_reported() -> None:
    boot = one(tftp((0, "CTL", ABSENT), (4, "CTL", ABSENT), (8, "CTL", ABSENT)))
    assert codes(boot) == ["stopped_at_trust_list"]
    assert len(boot.requests) == 3


@pytest.mark.parametrize(
    ("outcome", "code", "first_code"),
    [
        (FetchOutcome.TIMED_OUT, RequestCode.TIMED_OUT, RequestCode.TIMED_OUT_THEN_TAKEN),
        (FetchOutcome.CUT, RequestCode.CUT, RequestCode.CUT_THEN_TAKEN),
        (FetchOutcome.ABORTED, RequestCode.ABORTED, RequestCode.ABORTED_THEN_TAKEN),
    ],
)
def test_incomplete_config_transfer_needs_attention(
    outcome: FetchOutcome, code: RequestCode, first_code: RequestCode
) -> None:
    boot = one(tftp((0, "CTL", ABSENT), (1, "SEP", outcome)))
    assert codes(boot) == ["config_not_taken"]
    assert boot.findings[0].notice.parameters == {"acknowledged": 5120, "size": 12_000}
    expected = RemedyCode.CHECK_LOG if outcome is FetchOutcome.CUT else RemedyCode.CHECK_NETWORK
    assert boot.findings[0].remedies == (expected.notice(),)
    assert request_codes(boot)[1] == code
    again = one(tftp((0, "CTL", ABSENT), (1, "SEP", outcome), (5, "SEP", SENT)))
    assert codes(again) == ["configured"]
    assert request_codes(again)[1] == first_code
    assert again.requests[1].care is Care.HARMLESS


def test_incomplete_file_transfer_is_named_once() -> None:
    boot = one(tftp((0, "SEP", SENT), (1, "Ring1.raw", STOPPED), (6, "Ring1.raw", STOPPED), (11, "Ring2.raw", STOPPED)))
    assert codes(boot) == ["transfers_timed_out", "configured"]
    assert boot.findings[0].notice.parameters == {"names": ("Ring1.raw", "Ring2.raw")}


def test_incomplete_firmware_is_reported() -> None:
    boot = one(tftp((0, "SEP", SENT), (1, "SIP42.9-4-2.loads", SENT), (2, "cnu42.9-4-2.sbn", ABSENT)))
    assert codes(boot) == ["firmware_incomplete", "configured"]


def test_repeated_boots_within_minutes_are_a_loop() -> None:
    boots = boot_history(MAC, [one for turn in range(4) for one in tftp(*BOOT_OF_A_7942, begin=turn * 200)])
    assert [codes(boot)[0] for boot in boots] == [*["keeps_starting"] * 2, *["configured"] * 2]
    slowly = boot_history(MAC, [one for turn in range(4) for one in tftp(*BOOT_OF_A_7942, begin=turn * 2000)])
    assert {codes(boot)[0] for boot in slowly} == {"configured"}


BOOTS = (0.0, 200.0, 400.0, 600.0)


def loops(restarts: Sequence[float] = (), configs: Sequence[str] = ("a", "a", "a", "a")) -> list[int]:
    """Return which of four boots, 200 s apart, are said to be of a phone that keeps starting."""
    fetches = [
        each
        for begin, config in zip(BOOTS, configs, strict=True)
        for each in (fetch(begin, "CTL", ABSENT), fetch(begin + 1, "SEP", sha256=config * 64))
    ]
    boots = boot_history(MAC, fetches, restarts=[at(second) for second in restarts])
    return [number for number, boot in enumerate(reversed(boots)) if codes(boot)[0] == "keeps_starting"]


@pytest.mark.parametrize(
    ("restarts", "configs", "expected"),
    [
        ((), "aaaa", [2, 3]),
        # A switch, a rollback, a switch: each has its own config.
        ((), "abab", []),
        ((), "aaab", [2]),
        # The same config each time, as after resets: each boot was asked for.
        ((-20, 150, 390, 590), "aaaa", []),
        ((-20,), "aaaa", [3]),
        ((390,), "aaaa", [3]),
        # Recorded a moment after the phone has begun to boot.
        ((2, 202, 402, 602), "aaaa", []),
        # Asked long before: the phone has started by itself.
        ((-400,), "aaaa", [2, 3]),
    ],
)
def test_restarts_that_were_asked_for_are_no_loop(
    restarts: Sequence[float], configs: Sequence[str], expected: list[int]
) -> None:
    assert loops(restarts, configs) == expected


@pytest.mark.parametrize("name", ["SEP{}.cnf.xml.sgn", "SEP{}.cnf.xml.enc.sgn"])
def test_boot_that_takes_signed_config_has_no_foreign_trust_list(name: str) -> None:
    boot = one(tftp((0, "CTL", ABSENT), (1, name, SENT), (2, "mk-sip.jar.sgn", ABSENT)))
    assert codes(boot) == ["signed_configured"]
    assert not boot.needs_care


def test_boot_that_accepts_plain_config_has_no_foreign_trust_list() -> None:
    boot = one(tftp((0, "CTL", ABSENT), (1, "SGN", ABSENT), (2, "SEP", ABSENT), (3, "XMLDefault.cnf.xml", ABSENT)))
    assert codes(boot) == ["config_missing"]


@pytest.mark.parametrize("outcome", [STOPPED, FetchOutcome.CUT, FetchOutcome.ABORTED])
def test_boot_with_incomplete_signed_config_has_no_foreign_trust_list(outcome: FetchOutcome) -> None:
    assert codes(one(tftp((0, "CTL", ABSENT), (1, "SGN", outcome), (2, "SGN", ABSENT)))) == ["config_not_taken"]


@pytest.mark.parametrize("name", ["CIPC_Locale.loads", "syncinfo.xml", "mk-sip.jar.sgn", "List.xml.sgn"])
def test_absence_of_optional_file_is_harmless(name: str) -> None:
    boot = one(tftp((0, "CTL", ABSENT), (1, "SEP", SENT), (2, name, ABSENT)))
    assert codes(boot) == ["configured"]
    assert boot.requests[-1].care is Care.HARMLESS
    assert boot.requests[-1].purpose is not Purpose.UNKNOWN


def test_check_sync_of_running_phone_is_no_boot() -> None:
    [boot] = boot_history(MAC, [fetch(0, "syncinfo.xml", ABSENT)], address=IP)
    assert (boot.kind, codes(boot), request_codes(boot)) == (BootKind.REQUESTS, ["running"], ["no_synchronisation"])


def test_boot_ends_at_pause_or_next_first_request() -> None:
    again = tftp(*BOOT_OF_A_7942, begin=12)
    assert len(boot_history(MAC, [*tftp(*BOOT_OF_A_7942), *again])) == 2
    later = tftp((75, "Ringlist.xml", SENT))
    menu, boot = boot_history(MAC, [*tftp(*BOOT_OF_A_7942), *later])
    assert (menu.kind, codes(menu), menu.needs_care) == (BootKind.REQUESTS, ["running"], False)
    assert boot.kind is BootKind.BOOT


def test_long_transfer_does_not_end_a_boot() -> None:
    long = fetch(2, "SIP42.9-4-2.loads", duration=300)
    assert len(boot_history(MAC, [*tftp((0, "CTL", ABSENT), (1, "SEP", SENT)), long, fetch(310, "cnu42.sbn")])) == 1


def test_unnamed_request_belongs_to_phone_at_its_address() -> None:
    fetches = [
        fetch(0, "SEP", mac=OTHER),
        fetch(1, "dialplan.xml"),
        fetch(500, "term42.default.loads"),
        fetch(620, "CTL", ABSENT),
        fetch(621, "SEP"),
        fetch(625, "dialplan.xml"),
        fetch(626, "dialplan.xml", ip="192.0.2.9"),
    ]
    mine = [request.fetch.started_at for boot in boot_history(MAC, fetches) for request in boot.requests]
    assert sorted(mine) == [at(500), at(620), at(621), at(625)]
    theirs = [request.fetch.started_at for boot in boot_history(OTHER, fetches) for request in boot.requests]
    assert sorted(theirs) == [at(0), at(1)]


def test_fetch_over_ftp_is_no_boot() -> None:
    assert boot_history(MAC, [fetch(0, "SEP", protocol="ftp")]) == []


def test_unfetched_config_is_reported_as_silence() -> None:
    boots = boot_history(MAC, tftp(*BOOT_OF_A_7942), awaited_since=at(100))
    assert [boot.kind for boot in boots] == [BootKind.SILENCE, BootKind.BOOT]
    assert codes(boots[0]) == ["no_contact_since"]
    assert boots[0].findings[0].notice.parameters == {"awaited_since": at(100)}
    assert len(boot_history(MAC, tftp(*BOOT_OF_A_7942, begin=200), awaited_since=at(100))) == 1
    [never] = boot_history(MAC, [], awaited_since=at(100))
    assert codes(never) == ["no_contact_since"]


def test_boot_history_without_fetches_is_empty() -> None:
    assert boot_history(MAC, []) == []


@pytest.mark.parametrize("purpose", Purpose)
def test_request_for_each_purpose_has_a_code(purpose: Purpose) -> None:
    assert AskedCode[purpose.name]


@pytest.mark.parametrize("outcome", FetchOutcome)
def test_request_with_each_outcome_has_a_code(outcome: FetchOutcome) -> None:
    [request] = one(tftp((0, "SEP", outcome))).requests
    assert request.result.code in set(RequestCode)
