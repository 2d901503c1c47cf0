"""Follows the served directory: what other programs change in it, and whether it can be read."""

import asyncio
import errno
import logging
from collections.abc import Sequence

from cisisk.adoption.configs import ConfigAdoption
from cisisk.model.codes.served_directory import ServedDirectoryProblem
from cisisk.model.errors import StorageFailed
from cisisk.model.notice import Notice
from cisisk.provisioning.library import Library

log = logging.getLogger(__name__)

ANSWER_SECONDS = 30.0
"""A read of the directory that takes longer is a file server that is away. A local one takes less than a second."""


class ServedDirectory:
    """Reads the served directory again and again. Each problem is logged when it begins, and when it has ended.

    Args:
        interval: seconds between two reads.
        answer_seconds: after which a read that has not ended is a problem.

    Attributes:
        problem: what is wrong with the directory, a :class:`ServedDirectoryProblem`; None if nothing is.
    """

    def __init__(
        self, library: Library, adoption: ConfigAdoption, interval: float, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._library = library
        self._adoption = adoption
        self._interval = interval
        self._answer_seconds = answer_seconds
        self._not_recorded = ""
        self.problem: Notice | None = None

    async def run(self) -> None:
        """Follow the directory until cancelled."""
        while True:
            looking = asyncio.create_task(self.look())
            try:
                await asyncio.wait([looking], timeout=self._answer_seconds)
                if not looking.done():
                    self._note(ServedDirectoryProblem.NOT_ANSWERING.notice(seconds=self._answer_seconds), ())
                await looking
            finally:
                looking.cancel()
            await asyncio.sleep(self._interval)

    async def look(self) -> None:
        """Read the directory again, and record what other programs have changed."""
        try:
            await asyncio.to_thread(self._library.refresh)
            unreadable = self._library.unreadable
            problem = ServedDirectoryProblem.FILES_UNREADABLE.notice(files=len(unreadable)) if unreadable else None
            await self._record_changes()
        except OSError as error:
            unreadable, problem = (), _problem_of(error)
        self._note(problem, unreadable)

    async def _record_changes(self) -> None:
        """Record what other programs have changed. Raises OSError: the directory cannot be read."""
        try:
            await self._adoption.look()
        except StorageFailed as error:
            if self._not_recorded != str(error):
                log.warning("changes of the served directory not recorded: error=(%s)", error.notice)
            self._not_recorded = str(error)
        else:
            self._not_recorded = ""

    def _note(self, problem: Notice | None, unreadable: Sequence[str]) -> None:
        before, self.problem = self.problem, problem
        if problem == before:
            return
        if problem is None:
            log.warning("served directory can be read again")
        elif unreadable:
            log.warning("served files not readable: files=%d example=%r", len(unreadable), unreadable[0])
        else:
            log.warning("served directory not readable: problem=(%s)", problem)


def _problem_of(error: OSError) -> Notice:
    if error.errno == errno.ENOENT:
        return ServedDirectoryProblem.GONE.notice()
    return ServedDirectoryProblem.FAILED.notice(error=error.strerror or str(error))
