"""The lists of phones, as real versions of Asterisk send them."""

import pytest

from cisisk.pbx import listings
from cisisk.pbx.listings import PeerListStyle, PjsipContact, SccpDevice, SipPeer, SipPeerDetail
from cisisk.pbx.wire import AmiMessage
from tests.transcripts import received

_CONTACTS = "PJSIPShowRegistrationInboundContactStatuses"


@pytest.mark.parametrize(
    ("transcript", "contact"),
    [
        (
            "16.28.0-pjsip-answers",
            PjsipContact(
                endpoint="201",
                aor="201",
                user="201",
                addresses=frozenset({"127.0.2.1"}),
                port=5060,
                call_id="38fa2141-82d7a12221b2769c@127.0.2.1",
                expires_at=1796071938,
                is_live=True,
            ),
        ),
        (
            "22.10.1-pjsip-listings",
            PjsipContact(
                endpoint="201",
                aor="201",
                user="201",
                addresses=frozenset({"127.0.2.9"}),
                port=5070,
                call_id="dddd-4@127.0.2.9",
                expires_at=1796068330,
                is_live=True,
            ),
        ),
    ],
)
@pytest.mark.parametrize(("action", "fields"), [(_CONTACTS, {}), ("PJSIPShowEndpoint", {"Endpoint": "201"})])
def test_contact_of_each_version_is_read_whole(
    transcript: str, contact: PjsipContact, action: str, fields: dict[str, str]
) -> None:
    assert list(listings.contacts(received(transcript, action, **fields))) == [contact]


_STOCK_PEER = SipPeer(name="201", address="127.0.2.1", port="5060", style=PeerListStyle.STOCK, is_live=True)
_PATCHED_PEER = SipPeer(
    name="201",
    address="127.0.2.1",
    port="",
    device_name="SEP001122330001",
    expires_in=3608,
    style=PeerListStyle.USECALLMANAGER,
    is_live=True,
)


@pytest.mark.parametrize(
    ("transcript", "peer"),
    [
        ("16.28.0-stock-chan_sip-answers", _STOCK_PEER),
        ("16.28.0-usecallmanager-answers", _STOCK_PEER),
        ("16.28.0-usecallmanager-command-answers", _STOCK_PEER),
        ("20.18.0-usecallmanager-answers", _STOCK_PEER),
        ("22.8.1-usecallmanager-answers", _PATCHED_PEER),
    ],
)
def test_only_registered_peers_of_each_version_are_read(transcript: str, peer: SipPeer) -> None:
    assert list(listings.peers(received(transcript, "SIPpeers"))) == [peer]


def test_unreachable_peer_is_not_live() -> None:
    peers = {peer.name: peer for peer in listings.peers(received("22.8.1-usecallmanager-raw", "SIPpeers"))}
    assert {name: (peer.is_live, peer.device_name, peer.expires_in) for name, peer in peers.items()} == {
        "201": (False, "SEP001122330001", 3525),
        "202": (True, "", 60),
    }


@pytest.mark.parametrize(
    ("transcript", "device_name", "expires_in"),
    [
        ("16.28.0-stock-chan_sip-answers", "", 1800),
        ("16.28.0-usecallmanager-answers", "", 3608),
        ("20.18.0-usecallmanager-answers", "", 3608),
        ("22.8.1-usecallmanager-answers", "SEP001122330001", 3608),
    ],
)
def test_detail_of_peer_of_each_version_is_read(transcript: str, device_name: str, expires_in: int) -> None:
    reply = received(transcript, "SIPshowpeer", Peer="201")[0]
    assert listings.peer_detail(reply) == SipPeerDetail(
        user="201", address="127.0.2.1", port="5060", device_name=device_name, expires_in=expires_in
    )


def test_devices_of_chan_sccp_are_read() -> None:
    assert list(listings.devices(received("16.28.0-chan-sccp-answers", "SCCPListDevices"))) == [
        SccpDevice(
            name="SEP001122330098",
            address=None,
            is_registered=False,
            since="Thu Jan  1 00:00:00 1970",
            in_call=False,
        ),
        SccpDevice(
            name="SEP001122330099",
            address="127.0.2.99",
            is_registered=True,
            since="Mon Nov 30 20:25:35 2026",
            in_call=True,
        ),
    ]


@pytest.mark.parametrize("port", ["", "-1", "65536", "99999", "x", "٣"])
def test_contact_without_usable_port_has_none(port: str) -> None:
    message = AmiMessage({"event": "ContactStatusDetail", "uri": f"sip:201@127.0.2.1:{port}"})
    assert next(listings.contacts([message])).port is None


@pytest.mark.parametrize("name", ["", "SEP00112233000", "SEP001122330001x", "BAT001122330001", "SEP00112233000G"])
def test_device_name_that_is_no_phone_is_dropped(name: str) -> None:
    message = AmiMessage({"event": "SIPPeer", "name": "201", "address": "127.0.2.1", "devicename": name})
    assert next(listings.peers([message])).device_name == ""
