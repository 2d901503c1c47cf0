"""Findings about a deployment, or a planned one, as things are at that moment."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from cisisk.mobility import emergency
from cisisk.mobility.phone_kind import kind_of
from cisisk.model import catalogue, sep_config
from cisisk.model.catalogue import ModelFacts
from cisisk.model.codes.config import FindingCode
from cisisk.model.deployment import Deployment
from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.sep_config import Finding, SepConfig
from cisisk.model.sep_config.model_rules import notices_for_model
from cisisk.provisioning.firmware import load_findings
from cisisk.provisioning.library import Library
from cisisk.provisioning.signed import has_signed
from cisisk.store import configs, phones
from cisisk.store.database import Database
from cisisk.store.transaction import Read

_MAX_INLINE_BYTES = 64 * 1024
"""A larger file takes milliseconds to parse, in which the event loop would stand still."""


_SIGNED = Finding(FindingCode.PHONE_TAKES_SIGNED_FILES.notice())


class Findings:
    """Finds what a deployment lacks: firmware that is not served, values for emergency calls, a signature."""

    def __init__(self, db: Database, library: Library) -> None:
        self._db = db
        self._library = library

    async def of(self, deployment: Deployment) -> tuple[Finding, ...]:
        """Return the findings about a deployment."""

        def work(tx: Read) -> tuple[bytes | None, tuple[Finding, ...], _Reader]:
            content = configs.content_of(tx, deployment.sha256)
            found = _of_phone(tx, deployment.profile_uuid, deployment.mac)
            return content, found, _reader(tx, deployment.mac)

        content, found, reader = await self._db.read(work)
        return found if content is None else found + await self._of_content(content, reader)

    async def of_plan(self, content: bytes, profile_uuid: str, mac: Mac) -> tuple[Finding, ...]:
        """Return the findings about a planned deployment: a profile's config for a phone."""
        found, reader = await self._db.read(lambda tx: (_of_phone(tx, profile_uuid, mac), _reader(tx, mac)))
        if has_signed(self._library, mac) and _SIGNED not in found:
            found += (_SIGNED,)
        return found + await self._of_content(content, reader)

    async def _of_content(self, content: bytes, reader: "_Reader") -> tuple[Finding, ...]:
        try:
            config = await _read(content)
        except Invalid:
            return ()
        found = tuple(Finding(notice) for notice in _notices(config, reader))
        # Most configs name no firmware.
        return found if config.load is None else found + await asyncio.to_thread(load_findings, self._library, config)


@dataclass(frozen=True, slots=True)
class _Reader:
    """What is known of the phone that reads a config.

    Attributes:
        facts: of its model; None if that is not known.
        asks_for_flat_config: it was seen to request ``SIP<MAC>.cnf``.
    """

    facts: ModelFacts | None
    asks_for_flat_config: bool


def _reader(tx: Read, mac: Mac) -> _Reader:
    phone = phones.find(tx, mac)
    kind = kind_of(tx, mac, phone, phone.address if phone else phones.last_seen(tx, mac), None)
    facts = catalogue.find(phone.model) if phone is not None and phone.model else None
    return _Reader(facts, kind.asks_for_flat_config)


def _notices(config: SepConfig, reader: _Reader) -> Iterator[Notice]:
    found = [notice for notice, _ in notices_for_model(config, config.speaks, reader.facts)] if reader.facts else []
    yield from found
    flat = FindingCode.READS_FLAT_CONFIG
    if reader.asks_for_flat_config and config.speaks == "SIP" and not config.is_flat and flat.notice() not in found:
        yield flat.notice()


def _of_phone(tx: Read, profile_uuid: str | None, mac: Mac) -> tuple[Finding, ...]:
    found = emergency.findings(tx, profile_uuid, mac)
    return (*found, _SIGNED) if configs.takes_signed(tx, mac) else found


async def _read(content: bytes) -> SepConfig:
    # It was accepted under earlier limits.
    if len(content) > _MAX_INLINE_BYTES:
        return await asyncio.to_thread(sep_config.read, content, max_bytes=len(content))
    return sep_config.read(content)
