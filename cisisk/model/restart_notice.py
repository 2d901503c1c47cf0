"""What is said of the restart of a deployment, as the deployment stands now."""

from cisisk.model.codes.restart import RestartNotice, Sequel
from cisisk.model.deployment import Deployment, DeploymentState
from cisisk.model.notice import Notice
from cisisk.model.restart import RestartOutcome, Worth, accepted_notice, why_not_restarted
from cisisk.model.start_time import StartTime


def restart_notice(deployment: Deployment) -> Notice:
    """Return the result of the restart, or why there was none. A promise is left out once something else happened."""
    outcome, sequel = deployment.restart_outcome, _sequel(deployment)
    if deployment.deferred_until is not None:
        return _deferred(deployment.deferred_until)
    if outcome is None:
        return RestartNotice.NOT_TRIED_BECAUSE.notice(sequel=sequel) if sequel else RestartNotice.NOT_TRIED.notice()
    if outcome is RestartOutcome.ACCEPTED:
        worth = {each.method: each.worth for each in deployment.tried_methods}
        return accepted_notice(
            deployment.restart_method, deployment.action, worth.get(deployment.restart_method or "", Worth.ANSWERED)
        )
    return why_not_restarted(outcome, deployment.restart_detail, sequel)


def _deferred(until: StartTime) -> Notice:
    if until.at is None:
        return RestartNotice.DEFERRED_UNTIL_IDLE.notice()
    return RestartNotice.DEFERRED.notice(at=until.at)


def _sequel(deployment: Deployment) -> Notice | None:
    """Return what happened to the config instead; None while the phone is still to take it."""
    match deployment.state:
        case DeploymentState.CANCELLED:
            return Sequel.CANCELLED.notice()
        case DeploymentState.FAILED if deployment.failure is not None:
            return Sequel.FAILED.notice(failure=deployment.failure)
        case DeploymentState.ROLLED_BACK:
            return Sequel.ROLLED_BACK.notice()
    if deployment.fetched_at is not None:
        return Sequel.FETCHED.notice()
    if deployment.state is DeploymentState.SUPERSEDED or deployment.superseded_at is not None:
        return Sequel.REPLACED.notice()
    return None
