"""Webhooks: who is told over HTTP of what happens to deployments. Signed as Standard Webhooks 1.0.0 says."""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from enum import StrEnum

from cisisk.model.clock import Timestamp
from cisisk.model.deployment import Step, StepName
from cisisk.model.errors import Invalid
from cisisk.model.notice import Notice

_PREFIX = "whsec_"
_KEY_BYTES = 32
_SHORTEST, _LONGEST = 24, 64
"""Bytes of a key (Standard Webhooks, "Signature scheme")."""


class DeliveryState(StrEnum):
    """What became of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Somebody who is told.

    Attributes:
        secret: ``whsec_`` and the key of its signatures in Base64.
        steps: those that it is told; empty for those that end a deployment.
        considered: the number of the last step that was looked at.
        revision: counts the changes.
    """

    uuid: str
    url: str
    secret: str = field(repr=False)
    description: str | None
    steps: tuple[StepName, ...]
    is_active: bool
    considered: int
    created_at: Timestamp
    updated_at: Timestamp
    revision: int

    def wants(self, step: Step) -> bool:
        """Whether it is told of this step."""
        return step.step in self.steps if self.steps else step.ended


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """One message to one webhook.

    Attributes:
        uuid: by which the receiver recognises it when it comes again.
        deployment, step: what it is about; None for a test.
        due_at: when it is tried next; None once that is over.
        tries: how often it was tried, the last time at ``tried_at``.
        status: of the last answer; None when there was none.
        detail: what came of the last try.
        reason: why the delivery was given up, where the last try does not say it.
    """

    uuid: str
    deployment: str | None
    step: StepName | None
    state: DeliveryState
    created_at: Timestamp
    due_at: Timestamp | None
    tries: int
    tried_at: Timestamp | None
    status: int | None
    detail: Notice | None
    reason: Notice | None


def new_secret() -> str:
    """One that nobody knows."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The key that a secret stands for, with ``whsec_`` or without. Raises Invalid, which does not quote it."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise Invalid.field("secret", f"Not whsec_ and {_SHORTEST} to {_LONGEST} random bytes in Base64")
    return key


def signature(secret: str, message: str, seconds: int, body: bytes) -> str:
    """The header ``webhook-signature`` of the ``message`` with this id and body that is sent at that Unix time."""
    signed = f"{message}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()
