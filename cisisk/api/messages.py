"""The ``restart`` field of the API contract."""

from cisisk.model.deployment import Deployment
from cisisk.model.messages import render
from cisisk.model.restart import RestartOutcome, why_not_restarted
from cisisk.model.restart_notice import restart_notice
from cisisk.model.switch_job import JobRow

RESTART_OK = "ok"
"""Value after an accepted restart; any other text is the reason why there was none."""


def restart_text(deployment: Deployment) -> str:
    """Return ``restart`` for the current state of a deployment."""
    if deployment.restart_outcome is RestartOutcome.ACCEPTED:
        return RESTART_OK
    return render(restart_notice(deployment))


def row_restart(row: JobRow) -> str | None:
    """Return ``restart`` of a job row at its attempt, or None before it."""
    if row.restart_outcome is None:
        return None
    if row.restart_outcome is RestartOutcome.ACCEPTED:
        return RESTART_OK
    return render(why_not_restarted(row.restart_outcome, row.restart_detail))
