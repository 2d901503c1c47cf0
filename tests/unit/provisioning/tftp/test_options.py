import pytest

from cisisk.provisioning.tftp.options import PLAIN, negotiate


@pytest.mark.parametrize(("asked", "agreed"), [("8", 8), ("512", 512), ("1428", 1428), ("1429", 1428), ("65464", 1428)])
def test_blksize_is_limited_to_an_ethernet_frame(asked: str, agreed: int) -> None:
    agreement = negotiate({"blksize": asked}, 70_000)
    assert agreement.accepted == {"blksize": agreed}
    assert agreement.blksize == agreed


@pytest.mark.parametrize("asked", ["abc", "", "0", "7", "-8", "+8", "8.0", " 8", "65465", "99999", "9" * 400, "٥١٢"])
def test_invalid_blksize_is_ignored(asked: str) -> None:
    agreement = negotiate({"blksize": asked}, 70_000)
    assert agreement.accepted == {}
    assert agreement.blksize == 512


def test_tsize_is_the_real_size() -> None:
    assert negotiate({"tsize": "0"}, 70_000).accepted == {"tsize": 70_000}


def test_tsize_of_an_empty_file_is_zero() -> None:
    assert negotiate({"tsize": "0"}, 0).accepted == {"tsize": 0}


@pytest.mark.parametrize("asked", ["1", "255"])
def test_timeout_is_echoed(asked: str) -> None:
    agreement = negotiate({"timeout": asked}, 1)
    assert agreement.accepted == {"timeout": int(asked)}
    assert agreement.timeout == int(asked)


@pytest.mark.parametrize("asked", ["0", "256", "soon"])
def test_invalid_timeout_is_ignored(asked: str) -> None:
    agreement = negotiate({"timeout": asked}, 1)
    assert agreement.accepted == {}
    assert agreement.timeout is None


def test_unknown_option_is_ignored() -> None:
    assert negotiate({"rollover": "1", "tsize": "0", "multicast": ""}, 5).accepted == {"tsize": 5}


def test_accepted_options_keep_the_order_of_the_request() -> None:
    assert list(negotiate({"tsize": "0", "blksize": "1024", "timeout": "3"}, 5).accepted) == [
        "tsize",
        "blksize",
        "timeout",
    ]


@pytest.mark.parametrize(("asked", "agreed"), [("1", 1), ("8", 8), ("64", 64), ("65", 64), ("65535", 64)])
def test_windowsize_is_limited_to_a_receivers_queue(asked: str, agreed: int) -> None:
    agreement = negotiate({"windowsize": asked}, 70_000)
    assert agreement.accepted == {"windowsize": agreed}
    assert agreement.windowsize == agreed


@pytest.mark.parametrize("asked", ["0", "65536", "-1", "many"])
def test_invalid_windowsize_is_ignored(asked: str) -> None:
    assert negotiate({"windowsize": asked}, 70_000) == PLAIN


def test_block_size_limit_comes_from_caller() -> None:
    assert negotiate({"blksize": "65464"}, 1, largest_blksize=8192).blksize == 8192
