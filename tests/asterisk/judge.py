"""What a deployment claims, held against the phone itself."""

from typing import Any

from cisisk.simulator.phone import SimulatedPhone


def false_claims(deployment: Any, phone: SimulatedPhone) -> list[str]:
    """Return what a deployment that has just ended claims wrongly, by the state of the simulated phone.

    A right phone runs the config of the deployment and is registered with it.
    """
    took_it = phone.config_sha256 == deployment["sha256"]
    claims = {
        "fetched": deployment["fetched_at"] is not None and not took_it,
        "confirmed": deployment["state"] == "confirmed" and not (took_it and phone.is_registered),
        "rolled back a right phone": deployment["state"] == "rolled_back" and took_it and phone.is_registered,
    }
    return [claim for claim, is_false in claims.items() if is_false]


def brief(deployment: Any) -> str:
    """Return what a failing test shows of a deployment."""
    steps = [f"{step['at']} {step['step']}: {step['code']} {step['parameters']}" for step in deployment["steps"]]
    facts = ("state", "restart", "restart_method", "timed_out_on", "registered_as", "failure", "ended_at")
    return "\n".join([", ".join(f"{name}={deployment.get(name)}" for name in facts), *steps])
