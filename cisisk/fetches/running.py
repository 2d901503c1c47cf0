"""Finds out which config each phone runs, by what it fetches.

Source: docs/phone-protocol/boot.md#request-order
"""

from collections.abc import Collection, Iterable, Mapping

from cisisk.model.clock import Timestamp
from cisisk.model.mac import Mac
from cisisk.provisioning.fetch import Fetch, FetchOutcome
from cisisk.provisioning.names import normalise
from cisisk.provisioning.purpose import Purpose, purpose
from cisisk.store import running
from cisisk.store.database import Database
from cisisk.store.running import Taken

_PAST_CONFIG = frozenset(
    {
        *(Purpose.DICTIONARY, Purpose.TONES, Purpose.RINGTONE, Purpose.DIAL_PLAN, Purpose.SOFT_KEYS),
        *(Purpose.FEATURES, Purpose.DIAL_RULES, Purpose.BACKGROUND, Purpose.HEADSET),
    }
)
"""Files that a phone asks for once it has read its config. Firmware is not among them: it is followed by a restart."""
MAX_PHONES = 20_000
"""Phones that are remembered: more than any site has."""


class RunningConfigs:
    """Follows the boots of phones. Its methods must not run concurrently."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._latest: dict[Mac, str] = {}
        self._booting: dict[str, tuple[Mac, Timestamp]] = {}

    async def store(self, fetches: Iterable[Fetch], own: Iterable[tuple[Mac, Fetch]]) -> None:
        """Store what fetches show.

        Args:
            fetches: all of them, in their order.
            own: those that phones made of their own files.

        Raises:
            StorageFailed: the database refused.
        """
        taken = {mac: fetch for mac, fetch in own if _is_config(mac, fetch)}
        news = {mac: fetch for mac, fetch in taken.items() if self._latest.get(mac) != fetch.sha256}
        if news:
            configs = [Taken(mac=mac, sha256=str(each.sha256), at=each.started_at) for mac, each in news.items()]
            booting = await self._db.write(running.taken, configs)
            self._remember(news, booting)
        if self._booting:
            await self._store_progress(fetches)

    def _remember(self, news: Mapping[Mac, Fetch], booting: Collection[Mac]) -> None:
        if len(self._latest) + len(news) > MAX_PHONES:
            # What is forgotten is stored again, or found by the time since.
            self._latest.clear()
            self._booting.clear()
        for mac, fetch in news.items():
            self._latest[mac] = str(fetch.sha256)
            if mac in booting:
                self._booting[fetch.peer[0]] = mac, fetch.started_at

    async def _store_progress(self, fetches: Iterable[Fetch]) -> None:
        went_on = {}
        for fetch in fetches:
            mac, since = self._booting.get(fetch.peer[0], (None, ""))
            if mac is not None and fetch.started_at > since and purpose(fetch.name) in _PAST_CONFIG:
                went_on[fetch.peer[0]] = mac
        if went_on:
            await self._db.write(running.went_on, list(went_on.values()))
            for ip in went_on:
                del self._booting[ip]


def _is_config(mac: Mac, fetch: Fetch) -> bool:
    """Return whether a phone took its config whole."""
    return (
        fetch.outcome is FetchOutcome.COMPLETED
        and fetch.sha256 is not None
        and normalise(fetch.name) in {name.casefold() for name in mac.config_names}
    )
