"""Secrets and signatures of webhooks."""

import base64

import pytest

from cisisk.model.errors import Invalid
from cisisk.model.webhook import key_of, new_secret, signature


def test_signature_equals_reference_libraries() -> None:
    signed = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_new_secrets_differ_and_are_long_enough() -> None:
    assert len({new_secret() for _ in range(50)}) == 50
    assert new_secret().startswith("whsec_")
    assert len(key_of(new_secret())) == 32


def test_secret_without_prefix_is_accepted() -> None:
    secret = new_secret()
    assert key_of(secret.removeprefix("whsec_")) == key_of(secret)


@pytest.mark.parametrize(
    "secret",
    [
        *("", "whsec_", "whsec_sentinel!", "sentinel ümlaut", "whsec_" + base64.b64encode(bytes(23)).decode()),
        base64.b64encode(bytes(65)).decode(),
    ],
)
def test_invalid_key_is_rejected_and_not_quoted(secret: str) -> None:
    with pytest.raises(Invalid) as refused:
        key_of(secret)
    assert set(refused.value.fields) == {"secret"}
    assert "sentinel" not in str(refused.value)
