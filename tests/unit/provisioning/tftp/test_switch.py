"""The choice of the datagram path."""

import logging
import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

import pytest

from cisisk.model.errors import ConfigurationError
from cisisk.provisioning.tftp.fastpath import memory
from cisisk.provisioning.tftp.fastpath.switch import FAST, VARIABLE, choose_path
from cisisk.provisioning.tftp.path import PLAIN


@pytest.fixture(autouse=True)
def warnings_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)


@pytest.mark.parametrize("environ", [{}, {VARIABLE: ""}, {VARIABLE: "1"}])
def test_supported_system_gets_the_fast_path(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memory, "unsupported_reason", lambda: None)
    assert choose_path(environ) is FAST
    assert caplog.messages == []


def test_variable_0_selects_the_plain_path(caplog: pytest.LogCaptureFixture) -> None:
    assert choose_path({VARIABLE: "0"}) is PLAIN
    assert caplog.messages == ["TFTP uses plain sockets, slower in boot storms: reason='CISISK_TFTP_FASTPATH=0'"]


def test_unsupported_system_gets_the_plain_path(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memory, "unsupported_reason", lambda: "not Linux")
    assert choose_path({VARIABLE: "1"}) is PLAIN
    assert caplog.messages == ["TFTP uses plain sockets, slower in boot storms: reason='not Linux'"]


@pytest.mark.parametrize("value", ["off", "false", "2"])
def test_other_values_of_the_variable_are_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=VARIABLE):
        choose_path({VARIABLE: value})


def _no_function() -> NoReturn:
    raise AttributeError("pythonapi")


@pytest.mark.parametrize("address_function", [_no_function, lambda: lambda _content: id(memory)])
def test_python_without_addresses_of_bytes_is_unsupported(
    monkeypatch: pytest.MonkeyPatch, address_function: Callable[[], Callable[[bytes], int]], require_linux: None
) -> None:
    monkeypatch.setattr(memory, "_address_function", address_function)
    assert memory.unsupported_reason() == "this Python gives no address of bytes"


@pytest.fixture
def require_linux() -> None:
    if memory.unsupported_reason() is not None:
        pytest.skip("an earlier reason applies here")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("sys.platform = 'darwin'", "not Linux"),
        ("sys.byteorder = 'big'", "not a 64-bit little-endian machine"),
        ("memory.kernel = lambda: object()", "the C library lacks recvmmsg or sendmmsg"),
    ],
)
def test_unsupported_system_imports_the_server_without_error(change: str, reason: str) -> None:
    program = (
        "import sys, ctypes\n"
        "del ctypes.pythonapi\n"
        "from cisisk.provisioning.tftp import server\n"
        "from cisisk.provisioning.tftp.fastpath import memory, switch\n"
        f"{change}\n"
        "print(memory.unsupported_reason(), switch.choose_path({}).name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{reason} plain\n"
