"""Phone profiles: checked before they are stored, with findings about their configs."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cisisk.model import sep_config
from cisisk.model.profile import Profile
from cisisk.model.sep_config import Finding
from cisisk.model.user import Actor
from cisisk.provisioning.firmware import load_findings
from cisisk.provisioning.library import Library
from cisisk.store import profiles
from cisisk.store.database import Database

_MAX_INLINE_BYTES = 64 * 1024
"""A larger file takes milliseconds to check, in which the event loop would stand still."""


@dataclass(frozen=True, slots=True)
class JudgedProfile:
    """A profile, and the findings about its config."""

    profile: Profile
    findings: tuple[Finding, ...]


class Profiles:
    """The profiles in ``db``, with configs of at most ``max_config_bytes``; ``library`` may hold their firmware."""

    def __init__(self, db: Database, library: Library, max_config_bytes: int) -> None:
        self._db = db
        self._library = library
        self._max_bytes = max_config_bytes

    async def get(self, uuid: str) -> JudgedProfile:
        """Return one profile. Raises NotFound."""
        return await self._judged(await self._db.read(profiles.get, uuid))

    async def create(self, actor: Actor, fields: Mapping[str, Any]) -> JudgedProfile:
        """Add a profile.

        Args:
            fields: the attributes of :class:`Profile`, with ``cnf_xml`` as text.

        Raises:
            Invalid: the config may not be served, or there is no such user.
        """
        return await self._judged(await self._db.write(profiles.create, actor, await self._attributes(fields)))

    async def update(
        self, actor: Actor, uuid: str, fields: Mapping[str, Any], seen: Collection[str] | None = None
    ) -> JudgedProfile:
        """Change some fields, as in :meth:`create`. Raises NotFound, Stale, Invalid."""
        return await self._judged(
            await self._db.write(profiles.update, actor, uuid, await self._attributes(fields), seen)
        )

    async def _attributes(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        attributes = dict(fields)
        if "cnf_xml" in attributes:
            content = sep_config.encode(attributes["cnf_xml"])
            if len(content) > _MAX_INLINE_BYTES:
                await asyncio.to_thread(sep_config.read, content, max_bytes=self._max_bytes)
            else:
                sep_config.read(content, max_bytes=self._max_bytes)
            attributes["cnf_xml"] = content
        return attributes

    async def _judged(self, profile: Profile) -> JudgedProfile:
        return JudgedProfile(profile, await asyncio.to_thread(self._findings, profile))

    def _findings(self, profile: Profile) -> tuple[Finding, ...]:
        config, findings = sep_config.judge(
            profile.cnf_xml,
            compatible_models=profile.compatible_models,
            software_type=profile.software_type,
            placeholders=profile.placeholders,
            # It was accepted under an earlier limit.
            max_bytes=len(profile.cnf_xml),
        )
        return load_findings(self._library, config) + findings
