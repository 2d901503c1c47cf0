"""The commands of an FTP session: log in, list, store, fetch and delete."""

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
from cisisk.provisioning.ftp.control import FtpControl
from cisisk.provisioning.ftp.listing import LISTINGS, Listed, read_listing
from cisisk.provisioning.ftp.transfers import FtpDownload, FtpUpload
from cisisk.provisioning.ftp.view import EmptyFolders, LibraryView
from cisisk.provisioning.source import NotServed
from cisisk.provisioning.uploads import Uploads

log = logging.getLogger(__name__)

MAX_LOGINS = 3
"""Failed logins over one connection."""
CUT_OFF_SECONDS = 0.05
"""Time between the end of an upload's TCP stream and its acceptance. When a client is killed, its system closes both
connections within milliseconds. A client that waits for the reply keeps the control connection open."""

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
    """What every session of one server uses.

    Attributes:
        authenticator: checks passwords.
        uploads: stores, lists and deletes the files of the library.
        on_fetch: called once per ended download.
        workers: threads for work that may wait for the disk or for the event loop.
        empty_folders: those that clients have made.
    """

    authenticator: FtpAuthenticator
    uploads: Uploads
    on_fetch: FetchListener
    workers: Executor
    empty_folders: EmptyFolders = field(default_factory=EmptyFolders)


class Session(FtpControl):
    """One client. The server sets ``context``, ``limits`` and ``passive_ports`` on a subclass."""

    context: FtpContext
    authorizer = Authorizer()
    proto_cmds = _COMMANDS

    def __init__(self, conn: object, server: object, ioloop: object = None) -> None:
        self._user: FtpUser | None = None
        self._announced: int | None = None
        self._upload: FtpUpload | None = None
        super().__init__(conn, server, ioloop)

    def carry_out(self, line: str, command: str, argument: str) -> None:
        """Refuse a command, or carry it out. A logged-in user's account is checked again first."""
        if command in _NOT_OFFERED:
            self.reply(502, _NOT_OFFERED[command])
        elif command not in self.proto_cmds:
            self.reply(500, "Not understood")
        elif self._user is None or self.proto_cmds[command]["perm"] is None:
            super().carry_out(line, command, argument)
        elif command in _TRANSFERS and (obstacle := self._obstacle()):
            self.reply(*obstacle)
        else:
            self.wait_for(
                self._user.is_still_admitted(), partial(self._admitted, partial(self._look, line, command, argument))
            )

    def _obstacle(self) -> tuple[int, str] | None:
        """Return why no transfer can begin, or None."""
        if self.has_waiting_transfer:
            return 450, "A transfer is waiting for its data connection"
        if self.data_channel is not None:
            return (450, "A transfer is under way") if self.data_channel.is_used else None
        if not self.has_data_address:
            return 425, "Say first how to connect: EPSV, PASV, EPRT or PORT"
        return None

    def _look(self, line: str, command: str, argument: str) -> None:
        """Carry out a command. Commands that show the library read its entries first."""
        if self.proto_cmds[command]["perm"] in "elm" or command in {"RMD", "XRMD"}:
            entries = self.context.workers.submit(self.context.uploads.entries)
            self.wait_for(entries, partial(self._show, line, command, argument))
        else:
            super().carry_out(line, command, argument)

    def _show(self, line: str, command: str, argument: str, entries: Future[Any]) -> None:
        self.fs.show(entries.result())
        if command not in LISTINGS or not argument:
            super().carry_out(line, command, argument)
            return
        wanted = read_listing(argument)
        # A file may have such a name.
        if wanted.pattern is None or self.fs.exists(argument):
            path = argument if self.fs.exists(argument) else wanted.path or self.fs.cwd
            super().carry_out(f"{command} {path}", command, path)
        else:
            self._list_matches(command, wanted)

    def _list_matches(self, command: str, wanted: Listed) -> None:
        """List the names in a folder that match a pattern. That there are none is no error, as on other servers."""
        folder = self.fs.ftp2fs(wanted.path or self.fs.cwd)
        names = [name for name in self.fs.listdir(folder) if wanted.matches(name)] if self.fs.isdir(folder) else []
        lines = list(self.fs.format_list(folder, names))
        if command == "LIST":
            self.push_dtp_data(b"".join(lines), cmd=command)
        elif command == "NLST":
            # With the folder as the client wrote it, so that it can fetch them.
            prefix = wanted.path and f"{wanted.path.rstrip('/')}/"
            self.push_dtp_data("".join(f"{prefix}{name}\r\n" for name in names).encode(), cmd=command)
        else:
            listed = b"".join(lines).decode()
            self.reply(213, f"Status of {wanted.pattern!r}:\n{listed}End of status")

    def _admitted(self, then: Callable[[], None], admitted: "Future[bool]") -> None:
        if admitted.result():
            then()
        else:
            self._discard_upload()
            self.reply(421, "Your account was changed: log in again")
            self.close_when_done()

    # Logging in.

    def on_connect(self) -> None:
        """A client has connected."""
        self.call_later(self.limits.login_seconds, self._require_login)

    def ftp_PASS(self, line: str) -> None:
        """Log in with a password."""
        if self.authenticated:
            self.reply(503, "You are logged in")
        elif not self.username:
            self.reply(503, "Send USER first")
        else:
            username, self.username = self.username, ""
            self.wait_for(self.context.authenticator.admit(username, line, self.host), self._logged_in)

    def _logged_in(self, answer: "Future[FtpUser]") -> None:
        try:
            self._user = answer.result()
        except CisiskError as error:
            self._refuse_login(error)
            return
        self.username = self._user.username
        self.authenticated = True
        self.fs = LibraryView(self.context.empty_folders, self)
        log.info("FTP login: user=%s host=%s", self.username, self.host)
        self.reply(230, "Welcome. What you store is served to the phones as soon as it is whole and accepted")

    def _refuse_login(self, error: CisiskError) -> None:
        self.attempted_logins += 1
        log.info("FTP login refused: host=%s", self.host)
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
        self._user = None
        self._announced = None

    # Uploads.

    def ftp_ALLO(self, line: str) -> None:
        """Note how many bytes the next upload has: one with fewer bytes is then known to be incomplete."""
        size, _, _ = line.partition(" ")
        if not (size.isascii() and size.isdecimal() and len(size) < 16):
            self.reply(501, "Say how many bytes")
            return
        self._announced = int(size)
        self.reply(200, "An upload with fewer bytes will be refused")

    def ftp_STOR(self, path: str, mode: str = "w") -> None:  # noqa: ARG002 -- pyftpdlib's parameter
        """Store a file. It is served once it is complete and accepted."""
        announced, self._announced = self._announced, None
        if self.take_restart_position():
            self.reply(554, "An upload cannot be resumed: an incomplete upload is deleted. Begin at the start")
            return
        assert self._user is not None  # noqa: S101 -- for mypy: not without a login
        try:
            upload = self.context.uploads.begin(path[1:], self._user.actor)
        except CisiskError as error:
            self.reply(553 if isinstance(error, Invalid) else 452, str(error))
            return
        if announced is not None and announced > upload.limit:
            upload.discard()
            self.reply(552, f"{upload.path} may have at most {upload.limit} bytes")
            return
        self._upload = FtpUpload(upload, self._user, announced)
        self.receive_into(self._upload)

    def on_file_received(self, file: str) -> None:  # noqa: ARG002 -- pyftpdlib's parameter
        """An upload has ended. Unless that is certain, wait a moment for the end of the control connection."""
        upload = self._upload
        if upload is None:
            return
        self.holds_reply = True
        delay = 0 if upload.certain or self.is_quitting else CUT_OFF_SECONDS
        self.wait_seconds(delay, partial(self._check_account, upload))

    def on_incomplete_file_received(self, file: str) -> None:  # noqa: ARG002 -- pyftpdlib's parameter
        """An upload has failed."""
        self._discard_upload()

    def _check_account(self, upload: FtpUpload) -> None:
        self.wait_for(upload.user.is_still_admitted(), partial(self._admitted, partial(self._publish, upload)))

    def _publish(self, upload: FtpUpload) -> None:
        finished = self.context.workers.submit(upload.finish)
        # From here on it cannot be discarded.
        self._upload = None
        self.wait_for(finished, partial(self._published, upload.name))

    def _published(self, name: str, finished: "Future[None]") -> None:
        try:
            finished.result()
        except CisiskError as error:
            self.reply(452 if isinstance(error, StorageFailed) else 550, str(error))
        else:
            self.context.empty_folders.fill(f"/{name}")
            self.reply(226, f"{name} is served from now on")
        self.release_reply()

    def _discard_upload(self) -> None:
        if self._upload is not None:
            self._upload.discard()
            self._upload = None

    # Downloads and deletions.

    def ftp_RETR(self, path: str) -> None:
        """Fetch a file."""
        position, name = self.take_restart_position(), path[1:]
        try:
            content = self.context.uploads.library.open(name)
        except (NotServed, OSError) as error:
            absent = isinstance(error, NotServed)
            self._report(name, FetchOutcome.ABSENT if absent else FetchOutcome.CUT)
            self.reply(550 if absent else 451, "File not found" if absent else "The file cannot be read")
            return
        download = FtpDownload(name, content, position, self.peer, self.local, self.context.on_fetch)
        if position > content.size:
            download.close()
            self.reply(554, f"The file has {content.size} bytes")
        else:
            self.push_dtp_data(download, isproducer=True, file=download, cmd="RETR")

    def ftp_DELE(self, path: str) -> None:
        """Delete a file."""
        assert self._user is not None  # noqa: S101 -- for mypy: not without a login
        removed = self.context.workers.submit(self.context.uploads.remove, path[1:], self._user.actor)
        self.wait_for(removed, partial(self._removed, path))

    def _removed(self, path: str, removed: "Future[None]") -> None:
        try:
            removed.result()
        except CisiskError as error:
            self.reply(550, str(error))
        else:
            # As on a disk, the folder remains until it is removed too.
            self.context.empty_folders.add(path.rpartition("/")[0])
            self.reply(250, "It is not served any more")

    def ftp_TYPE(self, line: str) -> None:
        """Accept ASCII and binary: both transfer bytes unchanged."""
        if line.upper().replace(" ", "") in {"A", "AN", "I", "L8"}:
            self.reply(200, "Files are sent and stored byte for byte, in every type")
        else:
            self.reply(504, "Only A and I")

    def _report(self, name: str, outcome: FetchOutcome) -> None:
        self.context.on_fetch(
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
        """Whether a command or a transfer is under way."""
        transfers = self.data_channel is not None and self.data_channel.is_used
        return not self.is_closed and (self.is_waiting or transfers)

    def close(self) -> None:
        """Disconnect."""
        super().close()
        self._discard_upload()
