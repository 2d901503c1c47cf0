"""Authentication of FTP users, and the rights that all of them have."""

from concurrent.futures import Future
from typing import Any, Protocol

from cisisk.model.user import Actor

RIGHTS = "elrdmw"
"""In pyftpdlib's letters: change folder, list, retrieve, delete, make folders, store. There are no others."""


class FtpUser(Protocol):
    """A user who has logged in."""

    @property
    def username(self) -> str:
        """The name as it is stored, not as it was typed."""

    @property
    def actor(self) -> Actor:
        """The user, for the audit log."""

    def is_still_admitted(self) -> "Future[bool]":
        """Whether the same login would still succeed: account, password and level are unchanged."""


class FtpAuthenticator(Protocol):
    """Checks passwords. Called from the FTP thread; the results come from another thread."""

    # Any: Future is invariant, so that a Future of a class is not a Future of the protocol that it implements.
    def admit(self, username: str, password: str, host: str) -> "Future[Any]":
        """Check a password that was sent from the IP address ``host``.

        The future's result is a FtpUser. Its exception is Unauthenticated, TooManyAttempts or Forbidden.
        """


class Authorizer:
    """Answers pyftpdlib's questions about a user. The FtpAuthenticator has checked the password before."""

    def has_perm(self, _username: str, perm: str, _path: str | None = None) -> bool:
        """Whether ``perm`` is one of the rights that all users have."""
        return perm in RIGHTS

    def get_perms(self, _username: str) -> str:
        """Return the rights, for the facts of MLSD."""
        return RIGHTS

    def get_msg_quit(self, _username: str) -> str:
        """Return the reply to QUIT."""
        return "Goodbye."

    def impersonate_user(self, _username: str, _password: str) -> None:
        """Do nothing: FTP users are not users of the system."""

    def terminate_impersonation(self, _username: str) -> None:
        """Do nothing."""
