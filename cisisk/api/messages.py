"""What the API says of restarts in the words of its contract."""

from cisisk.model.deployment import Deployment
from cisisk.model.messages import render
from cisisk.model.restart import RestartOutcome, why_not_restarted
from cisisk.model.restart_notice import restart_notice
from cisisk.model.switch_job import JobRow

RESTART_OK = "ok"
"""``restart`` of a deployment whose restart was accepted; any other text is the reason why there was none."""


def restart_text(deployment: Deployment) -> str:
    """``restart`` of a deployment, as the deployment stands now."""
    if deployment.restart_outcome is RestartOutcome.ACCEPTED:
        return RESTART_OK
    return render(restart_notice(deployment))


def row_restart(row: JobRow) -> str | None:
    """``restart`` of a row of a job, as it was when it was tried; None before that."""
    if row.restart_outcome is None:
        return None
    if row.restart_outcome is RestartOutcome.ACCEPTED:
        return RESTART_OK
    return render(why_not_restarted(row.restart_outcome, row.restart_detail))
