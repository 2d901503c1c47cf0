"""Findings about a deployment, or a planned one, as things are at that moment."""

import asyncio

from cisisk.mobility import emergency
from cisisk.model import catalogue, sep_config
from cisisk.model.deployment import Deployment
from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac
from cisisk.model.sep_config import Finding, SepConfig
from cisisk.model.sep_config.model_rules import notices_for_model
from cisisk.provisioning.firmware import load_findings
from cisisk.provisioning.library import Library
from cisisk.store import configs, phones
from cisisk.store.database import Database
from cisisk.store.transaction import Read

_MAX_INLINE_BYTES = 64 * 1024
"""A larger file takes milliseconds to parse, in which the event loop would stand still."""


class Findings:
    """Finds what a deployment lacks: firmware that is not served, and values for emergency calls."""

    def __init__(self, db: Database, library: Library) -> None:
        self._db = db
        self._library = library

    async def of(self, deployment: Deployment) -> tuple[Finding, ...]:
        """Return the findings about a deployment."""

        def work(tx: Read) -> tuple[bytes | None, tuple[Finding, ...], str | None]:
            content = configs.content_of(tx, deployment.sha256)
            found = emergency.findings(tx, deployment.profile_uuid, deployment.mac)
            return content, found, _model(tx, deployment.mac)

        content, found, model = await self._db.read(work)
        return found if content is None else found + await self._of_content(content, model)

    async def of_plan(self, content: bytes, profile_uuid: str, mac: Mac) -> tuple[Finding, ...]:
        """Return the findings about a planned deployment: a profile's config for a phone."""
        found, model = await self._db.read(
            lambda tx: (emergency.findings(tx, profile_uuid, mac), _model(tx, mac)),
        )
        return found + await self._of_content(content, model)

    async def _of_content(self, content: bytes, model: str | None) -> tuple[Finding, ...]:
        try:
            config = await _read(content)
        except Invalid:
            return ()
        facts = catalogue.find(model) if model else None
        notices = notices_for_model(config, config.speaks, facts) if facts else ()
        found = tuple(Finding(notice) for notice, _ in notices)
        # Most configs name no firmware.
        return found if config.load is None else found + await asyncio.to_thread(load_findings, self._library, config)


def _model(tx: Read, mac: Mac) -> str | None:
    phone = phones.find(tx, mac)
    return phone.model if phone else None


async def _read(content: bytes) -> SepConfig:
    # It was accepted under earlier limits.
    if len(content) > _MAX_INLINE_BYTES:
        return await asyncio.to_thread(sep_config.read, content, max_bytes=len(content))
    return sep_config.read(content)
