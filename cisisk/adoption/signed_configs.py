"""Sets aside the signed configs of other programs, which phones would take instead of a new config."""

import asyncio
import logging
from contextlib import suppress

from cisisk.model.mac import Mac
from cisisk.provisioning.library import WRITE_ATTEMPTS, ChangedMeanwhile, Library, Snapshot, Unreadable
from cisisk.provisioning.signed import stale_signed
from cisisk.store import configs
from cisisk.store.database import Database

log = logging.getLogger(__name__)


class SignedConfigs:
    """The signed configs in the served directory. Cisisk makes none."""

    def __init__(self, db: Database, library: Library) -> None:
        self._db = db
        self._library = library

    async def set_aside(self, mac: Mac, config: bytes | None) -> bool:
        """Remove the phone's signed configs that do not hold ``config``; each is kept as a version.

        The caller holds the phone's lock. Returns whether there were any.

        Raises:
            StorageFailed: the disk or the database refused. A signed config may still be served.
        """
        were_any = False
        # Behind each file may be another one whose name differs in case, or one that another program writes meanwhile.
        for _ in range(WRITE_ATTEMPTS):
            stale = await asyncio.to_thread(stale_signed, self._library, mac, config)
            if not stale:
                break
            were_any = True
            contents = {each.path: None if isinstance(each, Unreadable) else each.content for each in stale}
            await self._db.write(configs.signed_set_aside, mac, contents)
            for each in stale:
                await asyncio.to_thread(self._remove, each)
                log.warning("signed config set aside: file=%s", each.path)
        return were_any

    def _remove(self, stale: Snapshot | Unreadable) -> None:
        if isinstance(stale, Unreadable):
            self._library.set_aside(stale.path)
            return
        with suppress(ChangedMeanwhile):
            self._library.remove(stale.path, stale)
