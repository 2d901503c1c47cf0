"""Who may come in, and what everybody who is in may do."""

from concurrent.futures import Future
from typing import Any, Protocol

from cisisk.model.user import Actor

RIGHTS = "elrdmw"
"""In pyftpdlib's letters: change folder, list, retrieve, delete, make folders, store. Nothing else is offered."""


class FtpUser(Protocol):
    """Somebody who was let in."""

    @property
    def username(self) -> str:
        """The name as it is kept, not as it was typed."""

    @property
    def actor(self) -> Actor:
        """For the audit log."""

    def is_still_admitted(self) -> "Future[bool]":
        """Whether the same password would still open the door: nothing was changed, taken away or deactivated."""


class FtpAuthenticator(Protocol):
    """Knows the users. Called from the FTP thread; the answers come from another one."""

    # Any: a Future of one class is none of another, not even of a protocol that the class follows.
    def admit(self, username: str, password: str, host: str) -> "Future[Any]":
        """Check a password that was given from the IP address ``host``.

        The result is a FtpUser; for those who may not come in an Unauthenticated, a TooManyAttempts or a Forbidden.
        """


class Authorizer:
    """pyftpdlib's questions about a user. The door has answered the important one before any of these is asked."""

    def has_perm(self, _username: str, perm: str, _path: str | None = None) -> bool:
        """Whether the right with the letter ``perm`` is among those of all visitors."""
        return perm in RIGHTS

    def get_perms(self, _username: str) -> str:
        """The rights, for the facts of MLSD."""
        return RIGHTS

    def get_msg_quit(self, _username: str) -> str:
        """What is said at the end."""
        return "Goodbye."

    def impersonate_user(self, _username: str, _password: str) -> None:
        """There are no system users behind these."""

    def terminate_impersonation(self, _username: str) -> None:
        """As above."""
