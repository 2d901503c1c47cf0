"""Policies as they are stored: JSON, with the start time in the form of the API."""

import json
from dataclasses import asdict
from typing import Any

from cisisk.model.deployment import OnTimeout, Policy
from cisisk.model.start_time import StartTime


def to_json(policy: Policy) -> str:
    """The stored form of a policy."""
    return json.dumps({**asdict(policy), "when": str(policy.when)})


def from_json(text: str) -> Policy:
    """The policy in a stored form; what is missing there has its default."""
    values: dict[str, Any] = json.loads(text)
    if "on_timeout" in values:
        values["on_timeout"] = OnTimeout(values["on_timeout"])
    if "when" in values:
        values["when"] = StartTime.parse(values["when"])
    return Policy(**values)
