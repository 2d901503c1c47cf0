"""What a client can do: log in, look, store, fetch and delete."""

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cisisk.model.clock import now
from cisisk.model.errors import CisiskError, Invalid, StorageFailed
from cisisk.provisioning.fetch import Fetch, FetchListener, FetchOutcome
from cisisk.provisioning.ftp.authorizer import Authorizer, FtpAuthenticator, FtpUser
from cisisk.provisioning.ftp.conversation import FtpControl
from cisisk.provisioning.ftp.data import ActiveConnection, DataConnection, PassivePort
from cisisk.provisioning.ftp.transfers import FtpDownload, FtpUpload
from cisisk.provisioning.ftp.view import EmptyFolders, LibraryView
from cisisk.provisioning.source import NotServed
from cisisk.provisioning.uploads import Uploads

log = logging.getLogger(__name__)

LOGIN_SECONDS = 30
"""For a login, TLS included: who has not logged in must not hold a connection for long."""
MAX_LOGINS = 3
"""Wrong ones over one connection."""
FAREWELL_SECONDS = 0.05
"""Between the end of an upload's TCP stream and its acceptance. When a client dies the system ends both of its
connections within a few milliseconds, and one that waits for an answer keeps the other open."""

_TRANSFERS = {"LIST", "NLST", "MLSD", "RETR", "STOR"}
_NOT_OFFERED = {
    "ACCT": "There are no accounts beside users",
    "APPE": "Files are stored whole: nothing can be appended",
    "MFMT": "A file's time is when it was stored",
    "RNFR": "Nothing can be renamed: store it under the new name and delete the old one",
    "RNTO": "Nothing can be renamed: store it under the new name and delete the old one",
    "SITE": "There are no SITE commands: files have neither modes nor owners",
    "STOU": "Phones ask for names that they know: choose one",
}
_COMMANDS = {
    name: description
    for name, description in FtpControl.proto_cmds.items()
    if name.partition(" ")[0] not in _NOT_OFFERED
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FtpContext:
    """What every session of one server works with.

    Attributes:
        workers: for what may wait: for the disk, or for the event loop.
        uploads: the way into the library, and to what is in it.
    """

    door: FtpAuthenticator
    uploads: Uploads
    on_fetch: FetchListener
    workers: Executor
    empty_folders: EmptyFolders = field(default_factory=EmptyFolders)


class Session(FtpControl):
    """One client. The server sets ``house`` and ``passive_ports`` on a subclass of its own."""

    house: FtpContext
    authorizer = Authorizer()
    active_dtp = ActiveConnection
    passive_dtp = PassivePort
    dtp_handler = DataConnection
    proto_cmds = _COMMANDS

    # pyftpdlib's, which declares none.
    authenticated: bool
    data_channel: DataConnection | None
    username: str
    _dtp_connector: ActiveConnection | None
    _in_dtp_queue: tuple[FtpUpload, str] | None
    _out_dtp_queue: tuple[Any, bool, FtpDownload | None, str] | None
    _restart_position: int

    def __init__(self, conn: object, server: object, ioloop: object = None) -> None:
        self._visitor: FtpUser | None = None
        self._announced: int | None = None
        self._arrival: FtpUpload | None = None
        self._is_judging = False
        super().__init__(conn, server, ioloop)
        # Bytes are sacred: ASCII transfers are agreed to and change nothing.
        self._current_type = "i"
        self._current_facts = self._available_facts = ["type", "perm", "size", "modify"]

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        """Decide whether a command can be carried out at all, and do so."""
        if cmd in _NOT_OFFERED:
            self.reply(502, _NOT_OFFERED[cmd])
        elif cmd not in self.proto_cmds:
            self.reply(500, "Not understood")
        elif self._visitor is None or self.proto_cmds[cmd]["perm"] is None:
            super().pre_process_command(line, cmd, arg)
        elif cmd in _TRANSFERS and (obstacle := self._obstacle()):
            self.reply(*obstacle)
        else:
            self.wait_for(
                self._visitor.is_still_admitted(), partial(self._admitted, partial(self._look, line, cmd, arg))
            )

    def _obstacle(self) -> tuple[int, str] | None:
        """Why no transfer can begin."""
        if self._in_dtp_queue is not None or self._out_dtp_queue is not None:
            return 450, "A transfer is waiting for its data connection"
        if self.data_channel is not None:
            return (450, "A transfer is under way") if self.data_channel.is_used else None
        if self._dtp_acceptor is None and self._dtp_connector is None:
            return 425, "Say first how to connect: EPSV, PASV, EPRT or PORT"
        return None

    def _look(self, line: str, cmd: str, arg: str) -> None:
        """Carry out a command; those that show the library see it as it is at this moment."""
        if self.proto_cmds[cmd]["perm"] in "elm" or cmd in {"RMD", "XRMD"}:
            entries = self.house.workers.submit(self.house.uploads.entries)
            self.wait_for(entries, partial(self._show, line, cmd, arg))
        else:
            super().pre_process_command(line, cmd, arg)

    def _show(self, line: str, cmd: str, arg: str, entries: Future[Any]) -> None:
        self.fs.show(entries.result())
        super().pre_process_command(line, cmd, arg)

    def _admitted(self, then: Callable[[], None], admitted: "Future[bool]") -> None:
        if admitted.result():
            then()
        else:
            self._give_up_arrival()
            self.reply(421, "Your account was changed: log in again")
            self.close_when_done()

    # Logging in.

    def on_connect(self) -> None:
        """A client is there."""
        self.call_later(LOGIN_SECONDS, self._require_login)

    def ftp_PASS(self, line: str) -> None:
        """The password."""
        if self.authenticated:
            self.reply(503, "You are logged in")
        elif not self.username:
            self.reply(503, "Send USER first")
        else:
            username, self.username = self.username, ""
            self.wait_for(self.house.door.admit(username, line, self.host), self._let_in)

    def _let_in(self, answer: "Future[FtpUser]") -> None:
        try:
            self._visitor = answer.result()
        except CisiskError as error:
            self._turn_away(error)
            return
        self.username = self._visitor.username
        self.authenticated = True
        self.fs = LibraryView(self.house.empty_folders, self)
        log.info("%s has logged in over FTP from %s", self.username, self.host)
        self.reply(230, "Welcome. What you store is served to the phones as soon as it is whole and accepted")

    def _turn_away(self, error: CisiskError) -> None:
        self.attempted_logins += 1
        log.info("a login over FTP from %s was refused", self.host)
        if self.attempted_logins < MAX_LOGINS:
            self.reply(530, str(error))
        else:
            self.reply(421, str(error))
            self.close_when_done()

    def _require_login(self) -> None:
        if not self.authenticated:
            self.handle_timeout()

    def flush_account(self) -> None:
        """Log out."""
        super().flush_account()
        self._visitor = None
        self._announced = None
        self._current_type = "i"

    # Uploads.

    def ftp_ALLO(self, line: str) -> None:
        """How many bytes will be stored next: fewer are then known to be broken."""
        size, _, _ = line.partition(" ")
        if not (size.isascii() and size.isdecimal() and len(size) < 16):
            self.reply(501, "Say how many bytes")
            return
        self._announced = int(size)
        self.reply(200, "An upload with fewer bytes will be refused")

    def ftp_STOR(self, path: str, mode: str = "w") -> None:  # noqa: ARG002 -- pyftpdlib's parameter
        """Store a file: it is served when it is whole and accepted, not before."""
        announced, self._announced = self._announced, None
        position, self._restart_position = self._restart_position, 0
        if position:
            self.reply(554, "An upload cannot be resumed: what was cut is thrown away. Begin at the start")
            return
        assert self._visitor is not None  # noqa: S101 -- for mypy: not without a login
        try:
            upload = self.house.uploads.begin(path[1:], self._visitor.actor)
        except CisiskError as error:
            self.reply(553 if isinstance(error, Invalid) else 452, str(error))
            return
        if announced is not None and announced > upload.limit:
            upload.discard()
            self.reply(552, f"{upload.path} may have at most {upload.limit} bytes")
            return
        self._arrival = FtpUpload(upload, self._visitor, announced)
        if self.data_channel is not None:
            self.reply(125, "Send it")
            self.data_channel.file_obj = self._arrival
            self.data_channel.enable_receiving(self._current_type, "STOR")
        else:
            self.reply(150, "Connect and send it")
            self._in_dtp_queue = (self._arrival, "STOR")

    def on_file_received(self, file: str) -> None:  # noqa: ARG002 -- pyftpdlib's parameter
        """An upload has ended. Unless that is certain, look for a moment whether the client is still there."""
        arrival = self._arrival
        if arrival is None:
            return
        self._is_judging = True
        self._awaited += 1
        delay = 0 if arrival.certain or self._quit_pending else FAREWELL_SECONDS
        self.call_later(delay, partial(self.go_on, partial(self._judge, arrival)))

    def on_incomplete_file_received(self, file: str) -> None:  # noqa: ARG002 -- pyftpdlib's parameter
        """An upload has broken."""
        self._give_up_arrival()

    def _judge(self, arrival: FtpUpload) -> None:
        self.wait_for(arrival.visitor.is_still_admitted(), partial(self._admitted, partial(self._publish, arrival)))

    def _publish(self, arrival: FtpUpload) -> None:
        finished = self.house.workers.submit(arrival.finish)
        # From here on it cannot be given up.
        self._arrival = None
        self.wait_for(finished, partial(self._published, arrival.name))

    def _published(self, name: str, finished: "Future[None]") -> None:
        try:
            finished.result()
        except CisiskError as error:
            self.reply(452 if isinstance(error, StorageFailed) else 550, str(error))
        else:
            self.house.empty_folders.fill(f"/{name}")
            self.reply(226, f"{name} is served from now on")
        self._is_judging = False
        self._on_dtp_close()

    def _on_dtp_close(self) -> None:
        if self._is_judging:
            # The answer is still to be given; the session goes on, or ends, after that.
            self.data_channel = None
        else:
            super()._on_dtp_close()

    def _on_dtp_connection(self) -> None:
        # Its socket is the data connection's from here on.
        self._dtp_connector = None
        super()._on_dtp_connection()

    def _give_up_arrival(self) -> None:
        if self._arrival is not None:
            self._arrival.discard()
            self._arrival = None

    # Downloads, and what else is done with files.

    def ftp_RETR(self, path: str) -> None:
        """Fetch a file."""
        position, self._restart_position = self._restart_position, 0
        name = path[1:]
        try:
            content = self.house.uploads.library.open(name)
        except (NotServed, OSError) as error:
            absent = isinstance(error, NotServed)
            self._report(name, FetchOutcome.ABSENT if absent else FetchOutcome.CUT)
            self.reply(550 if absent else 451, "File not found" if absent else "The file cannot be read")
            return
        download = FtpDownload(name, content, position, self.peer, self.local, self.house.on_fetch)
        if position > content.size:
            download.close()
            self.reply(554, f"The file has {content.size} bytes")
        else:
            self.push_dtp_data(download, isproducer=True, file=download, cmd="RETR")

    def ftp_DELE(self, path: str) -> None:
        """Delete a file."""
        assert self._visitor is not None  # noqa: S101 -- for mypy: not without a login
        removed = self.house.workers.submit(self.house.uploads.remove, path[1:], self._visitor.actor)
        self.wait_for(removed, partial(self._removed, path))

    def _removed(self, path: str, removed: "Future[None]") -> None:
        try:
            removed.result()
        except CisiskError as error:
            self.reply(550, str(error))
        else:
            # Its folder is there until somebody removes that as well, as everywhere.
            self.house.empty_folders.add(path.rpartition("/")[0])
            self.reply(250, "It is not served any more")

    def ftp_TYPE(self, line: str) -> None:
        """ASCII or binary, which is the same here."""
        if line.upper().replace(" ", "") in {"A", "AN", "I", "L8"}:
            self.reply(200, "Files are sent and stored byte for byte, in every type")
        else:
            self.reply(504, "Only A and I")

    def _report(self, name: str, outcome: FetchOutcome) -> None:
        self.house.on_fetch(
            Fetch(
                protocol="ftp",
                started_at=now(),
                peer=self.peer,
                local=self.local,
                name=name,
                outcome=outcome,
            )
        )

    # The connections.

    @property
    def is_busy(self) -> bool:
        """Whether something is under way that deserves to be brought to its end."""
        return not self._closed and (self._awaited > 0 or (self.data_channel is not None and self.data_channel.is_used))

    def drop_waiting(self) -> bool:
        """Give up a transfer that waits for its data connection; whether there was one."""
        incoming, outgoing = self._in_dtp_queue, self._out_dtp_queue
        self._in_dtp_queue = self._out_dtp_queue = None
        if outgoing is not None and outgoing[2] is not None:
            outgoing[2].close()
        if incoming is not None:
            self._give_up_arrival()
        return incoming is not None or outgoing is not None

    def _shutdown_connecting_dtp(self) -> None:
        super()._shutdown_connecting_dtp()
        self.drop_waiting()

    def _make_epasv(self, extmode: bool = False) -> None:  # noqa: FBT001, FBT002 -- pyftpdlib's parameter
        try:
            super()._make_epasv(extmode)
        except OSError:
            self.reply(425, "No port for data is free at the moment")

    def close(self) -> None:
        """The client is gone, or sent away."""
        super().close()
        self._give_up_arrival()
