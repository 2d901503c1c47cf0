"""Phone profiles: checked before they are stored, with findings about their configs."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cisisk.model import sep_config
from cisisk.model.content_type import ContentType
from cisisk.model.errors import Invalid
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
            fields: the attributes of :class:`Profile`, with ``cnf_xml`` as text. ``content_type`` says which form the
                config must have, by default XML.

        Raises:
            Invalid: the config may not be served, or there is no such user.
        """
        attributes = await self._attributes(fields, ContentType.XML)
        return await self._judged(await self._db.write(profiles.create, actor, attributes))

    async def update(
        self, actor: Actor, uuid: str, fields: Mapping[str, Any], seen: Collection[str] | None = None
    ) -> JudgedProfile:
        """Change some fields, as in :meth:`create`. By default, a config keeps its form.

        Raises NotFound, Stale, Invalid.
        """
        present = ContentType.XML
        if not fields.keys().isdisjoint({"cnf_xml", "content_type"}):
            present = (await self._db.read(profiles.get, uuid)).content_type
        attributes = await self._attributes(fields, present)
        return await self._judged(await self._db.write(profiles.update, actor, uuid, attributes, seen))

    async def _attributes(self, fields: Mapping[str, Any], present: ContentType) -> dict[str, Any]:
        attributes = dict(fields)
        wanted = attributes.pop("content_type", None) or present
        if "cnf_xml" in attributes:
            content = sep_config.encode(attributes["cnf_xml"])
            sep_config.require_content_type(content, wanted)
            if len(content) > _MAX_INLINE_BYTES:
                await asyncio.to_thread(sep_config.read, content, max_bytes=self._max_bytes)
            else:
                sep_config.read(content, max_bytes=self._max_bytes)
            attributes["cnf_xml"] = content
        elif wanted is not present:
            reason = f"The stored config has the content type {present}. Send one of the other form as cnf_xml."
            raise Invalid.field("content_type", reason)
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
