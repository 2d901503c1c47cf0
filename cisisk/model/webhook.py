"""Webhooks: HTTP receivers of deployment steps, with the signatures of Standard Webhooks 1.0.0."""

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
    """The state of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A receiver of deployment steps.

    Attributes:
        secret: ``whsec_`` and the key of the signatures in Base64.
        steps: the steps that it receives; empty for those that end a deployment.
        considered: the number of the last step that was checked.
        revision: the number of changes.
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
        """Return whether the webhook receives this step."""
        return step.step in self.steps if self.steps else step.ended


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """One message to one webhook.

    Attributes:
        uuid: identifies the message, also when it is sent again.
        deployment, step: the subject; None for a test.
        due_at: the time of the next attempt; None if there is none.
        tries: the number of attempts, the last one at ``tried_at``.
        status: of the last answer; None without an answer.
        detail: the result of the last attempt.
        reason: why the delivery was given up, if the last attempt does not show it.
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
    """Return a new random secret."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """Return the key of a secret, with or without ``whsec_``. Raises Invalid, which does not quote the secret."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise Invalid.field("secret", f"Send whsec_ and {_SHORTEST} to {_LONGEST} random bytes in Base64")
    return key


def signature(secret: str, message: str, seconds: int, body: bytes) -> str:
    """Return the header ``webhook-signature`` for a message id, the Unix time of sending, and a body."""
    signed = f"{message}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()
