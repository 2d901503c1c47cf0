"""Whether the installed pyftpdlib still has the internals that this package overrides and uses.

When one of these tests fails after an update, compare pyftpdlib's change with the module that the class belongs to, run
tests/protocol/ftp, and then correct the table here.
"""

import inspect
import socket
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import pytest
from pyftpdlib import handlers, ioloop
from pyftpdlib.handlers.ftp import dispatchers
from pyftpdlib.handlers.ftps import ssl
from pyftpdlib.servers import FTPServer

from cisisk.provisioning.ftp import control, data, loop, session, tls, view

OURS = (
    control.FtpControl,
    session.Session,
    data.DataConnection,
    data.ActiveConnection,
    data.PassivePort,
    loop.Loop,
    loop.Listener,
    tls.TlsDataConnection,
    tls.TlsSession,
    view.LibraryView,
)
OVERRIDDEN = {
    "FTPHandler": {
        "__init__": "conn, server, ioloop=",
        "_make_epasv": "extmode=",
        "_on_dtp_close": "",
        "_on_dtp_connection": "",
        "_shutdown_connecting_dtp": "",
        "close": "",
        "collect_incoming_data": "data",
        "flush_account": "",
        "found_terminator": "",
        "ftp_ALLO": "line",
        "ftp_DELE": "path",
        "ftp_PASS": "line",
        "ftp_RETR": "file",
        "ftp_STOR": "file, mode=",
        "ftp_TYPE": "line",
        "log": "msg, logfun=",
        "log_cmd": "cmd, arg, respcode, respstr",
        "log_exception": "instance",
        "log_transfer": "cmd, filename, receive, completed, elapsed, bytes",
        "logline": "msg, logfun=",
        "on_connect": "",
        "on_file_received": "file",
        "on_incomplete_file_received": "file",
        "run_as_current_user": "function, args, kwargs",
    },
    "AsyncChat": {"close_when_done": "", "recv": "buffer_size"},
    "DTPHandler": {"close": "", "handle_close": "", "handle_error": "", "handle_timeout": "", "readable": ""},
    "ActiveDTP": {"close": ""},
    "PassiveDTP": {"__init__": "cmd_channel, extmode=", "handle_accepted": "sock, addr", "handle_timeout": ""},
    "_BasePollEpoll": {"__init__": ""},
    "Epoll": {"close": ""},
    "FTPServer": {"__init__": "address_or_socket, handler, ioloop=, backlog=", "handle_error": ""},
    "SSLConnectionMixin": {"close": "", "recv": "buffer_size"},
    "TLS_FTPHandler": {"ftp_AUTH": "line", "ftp_PROT": "line", "process_command": "cmd, args, kwargs"},
    "AbstractedFS": {
        "__init__": "root, cmd_channel",
        "chdir": "path",
        "fs2ftp": "fspath",
        "ftp2fs": "ftppath",
        "get_group_by_gid": "gid",
        "get_user_by_uid": "uid",
        "getmtime": "path",
        "getsize": "path",
        "isdir": "path",
        "isfile": "path",
        "listdir": "path",
        "lstat": "path",
        "mkdir": "path",
        "realpath": "path",
        "rmdir": "path",
        "stat": "path",
        "validpath": "path",
    },
}
"""Methods of pyftpdlib that our classes override, with their parameters."""
CALLED: dict[type, dict[str, str]] = {
    handlers.FTPHandler: {
        "call_later": "seconds, target, args, kwargs",
        "handle_error": "",
        "handle_timeout": "",
        "pre_process_command": "line, cmd, arg",
        "push": "data",
        "push_dtp_data": "data, isproducer=, file=, cmd=",
        "respond": "resp, logfun=",
    },
    handlers.DTPHandler: {
        "enable_receiving": "type, cmd",
        "get_transmitted_bytes": "",
        "modify_ioloop_events": "events, logdebug=",
    },
    ioloop.Acceptor: {"__init__": "sock=, ioloop=", "create_socket": "family=, type=", "set_reuse_addr": ""},
    ioloop.IOLoop: {"poll": "timeout", "register": "fd, instance, events"},
    dispatchers.PassiveDTP: {"bind": "addr", "listen": "num"},
    FTPServer: {"add_channel": "map=, events=", "del_channel": "map="},
}
"""Methods of pyftpdlib that our classes call but do not override."""


def parameters(function: Callable[..., Any]) -> str:
    found = list(inspect.signature(function).parameters.values())[1:]
    return ", ".join(each.name + ("=" if each.default is not each.empty else "") for each in found)


def overridden() -> dict[str, dict[str, str]]:
    """Return every method of pyftpdlib that one of our classes overrides."""
    found: dict[str, dict[str, str]] = {}
    for ours in OURS:
        for name, member in vars(ours).items():
            theirs = next((base for base in ours.__mro__[1:] if name in vars(base) and _is_theirs(base)), None)
            if theirs is not None and isinstance(member, FunctionType):
                found.setdefault(theirs.__name__, {})[name] = parameters(vars(theirs)[name])
    return found


def _is_theirs(base: type) -> bool:
    return not base.__module__.startswith("cisisk") and base is not object


def test_overridden_methods_have_the_expected_parameters() -> None:
    assert overridden() == OVERRIDDEN


@pytest.mark.parametrize("base", CALLED, ids=lambda base: base.__name__)
def test_called_methods_have_the_expected_parameters(base: type) -> None:
    assert {name: parameters(getattr(base, name)) for name in CALLED[base]} == CALLED[base]


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    """One end of a TCP connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        accepted, _ = listener.accept()
        with accepted:
            yield client


@pytest.fixture
def event_loop_of_pyftpdlib() -> Iterator[ioloop.IOLoop]:
    made = ioloop.IOLoop()
    yield made
    made.close()


def test_control_connection_has_the_attributes_in_use(
    connection: socket.socket, event_loop_of_pyftpdlib: ioloop.IOLoop
) -> None:
    handler = handlers.FTPHandler(connection, None, ioloop=event_loop_of_pyftpdlib)
    expected = {
        "_available_facts",
        "_closed",
        "_current_facts",
        "_current_type",
        "_dtp_acceptor",
        "_dtp_connector",
        "_idler",
        "_in_buffer",
        "_in_buffer_len",
        "_in_dtp_queue",
        "_out_dtp_queue",
        "_quit_pending",
        "_restart_position",
        "ac_in_buffer",
        "attempted_logins",
        "authenticated",
        "data_channel",
        "fs",
        "ioloop",
        "producer_fifo",
        "remote_ip",
        "remote_port",
        "username",
    }
    assert expected <= set(vars(handler))
    assert handler._idler.cancelled is False


def test_data_connection_has_the_attributes_in_use(
    connection: socket.socket, event_loop_of_pyftpdlib: ioloop.IOLoop
) -> None:
    handler = handlers.FTPHandler(connection.dup(), None, ioloop=event_loop_of_pyftpdlib)
    transfer = handlers.DTPHandler(connection, handler)
    expected = {"_closed", "_initialized", "_lastdata", "_resp", "cmd_channel", "file_obj", "receive"}
    assert expected | {"tot_bytes_sent", "transfer_finished"} <= set(vars(transfer))


def test_tls_connections_have_the_attributes_in_use() -> None:
    source = inspect.getsource(ssl)
    for name in ("_error", "_ssl_accepting", "_ssl_established", "_ssl_want_read", "_ssl_want_write"):
        assert f"self.{name} = " in source


def test_commands_in_use_are_known() -> None:
    names = {name.partition(" ")[0] for name in handlers.TLS_FTPHandler.proto_cmds}
    assert {*session._TRANSFERS, "AUTH", "PBSZ", "PROT", "REST"} <= names


def test_loop_has_the_attributes_in_use(event_loop_of_pyftpdlib: ioloop.IOLoop) -> None:
    assert {"sched", "socket_map"} <= set(vars(event_loop_of_pyftpdlib))
    assert event_loop_of_pyftpdlib.sched.poll() is None
    assert event_loop_of_pyftpdlib.READ == loop.Loop.READ
