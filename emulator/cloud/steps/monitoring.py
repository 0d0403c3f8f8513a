"""Monitoring: log-based metrics, alert policies with the operators' channel, and a budget, as the files say.

Operators' own additions stay: other policies, and further channels of the policies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from emulator.cloud.monitoring import MonitoringFile, budget, channel, files
from emulator.cloud.problems import CloudProblem, GoogleRefused
from emulator.cloud.project import Change, Project

EMAIL, BUDGET = "ALERT_EMAIL", "MONTHLY_BUDGET"
ITEMS = {"metric": "metrics", "policy": "alertPolicies", "channel": "notificationChannels", "budget": "budgets"}
BILLING = "https://cloudbilling.googleapis.com/v1/projects"
PROJECTS = "https://cloudresourcemanager.googleapis.com/v1/projects"
BUDGET_MAX = 10**9
METRIC_ATTEMPTS_MAX = 40
METRIC_SECONDS = 15.0
"""Google knows a new metric after up to ten minutes. Until then a policy on the metric is refused."""
Found = Mapping[str, Any]


def look(project: Project) -> Sequence[Change]:
    """Return the changes of channel, metrics, policies and budget. Raises CloudProblem for a wrong setting."""
    units = _units(project)
    metrics = [each for each in files(project.id) if each.kind == "metric"]
    changes = [*_channel_changes(project), *_changes(project, metrics, "log-based metrics")]
    known = _channels(project)
    policies = [each for each in files(project.id, known) if each.kind == "policy"]
    says = "alert policies" if project.settings.get(EMAIL) else f"alert policies, which reach nobody without {EMAIL}"
    changes += _changes(project, policies, says)
    return changes if units is None else [*changes, *_budget_changes(project, units)]


def _channel_changes(project: Project) -> Sequence[Change]:
    address = project.settings.get(EMAIL)
    if not address:
        return []
    wanted = channel(project.id, address)
    return _changes(project, [wanted], f"the channel that mails {address}")


def _changes(project: Project, wanted: Sequence[MonitoringFile], says: str) -> Sequence[Change]:
    """Return one change that creates missing things and corrects wrong ones; none if all things are as wanted."""
    found = _found(project, wanted[0])
    missing = [each.name for each in wanted if each.name not in found]
    wrong = [each.name for each in wanted if each.name in found and not _is_kept(each, found[each.name])]
    if not missing and not wrong:
        return []
    counted = f"{len(missing) + len(wrong)} of {len(wanted)} " if len(wanted) > 1 else ""
    names = ", ".join([*missing, *wrong])
    return [Change(says=f"put {counted}{says}: {names}", do=partial(_put_all, project, wanted))]


def _put_all(project: Project, wanted: Sequence[MonitoringFile]) -> None:
    """Create missing things, and correct wrong ones. Channels that were made in this run are known only now."""
    found = _found(project, wanted[0])
    if wanted[0].kind == "policy":
        wanted = [each for each in files(project.id, _channels(project)) if each.kind == "policy"]
    for each in wanted:
        have = found.get(each.name)
        if have is None:
            _until_metrics_are_known(project, partial(project.google.create, each.collection, each.body))
        elif not _is_kept(each, have):
            _until_metrics_are_known(project, partial(_correct, project, each, have))


def _correct(project: Project, wanted: MonitoringFile, have: Found) -> None:
    if wanted.kind == "metric":
        project.google.put(f"{wanted.collection}/{wanted.name}", wanted.body)
        return
    body = _with_others(wanted, have).body
    host = wanted.collection.partition("/projects/")[0].partition("/billingAccounts/")[0]
    project.google.patch(f"{host}/{have['name']}", body, updateMask=",".join(body))


def _until_metrics_are_known(project: Project, act: partial[Any]) -> None:
    """Act, and try again while Google does not know a metric yet. Raises CloudProblem after ten minutes."""
    for _ in range(METRIC_ATTEMPTS_MAX):
        try:
            act()
        except GoogleRefused as error:
            if not error.is_missing or "metric" not in error.message:
                raise
            project.google.pause(METRIC_SECONDS)
        else:
            return
    raise CloudProblem("Google does not know the new log-based metrics yet: wait ten minutes.")


def _found(project: Project, like: MonitoringFile) -> Mapping[str, Found]:
    """Return the things in the collection of this one, by name."""
    things = project.google.items(like.collection, ITEMS[like.kind], pageSize=100)
    return {str(each.get(like.key, "")): each for each in things}


def _is_kept(wanted: MonitoringFile, have: Found) -> bool:
    return _with_others(wanted, have).is_kept_by(have)


def _with_others(wanted: MonitoringFile, have: Found) -> MonitoringFile:
    """Return the wanted policy with the channels that somebody has added to the present one."""
    if wanted.kind != "policy":
        return wanted
    ours, present = wanted.body["notificationChannels"], have.get("notificationChannels") or []
    together = [*present, *(each for each in ours if each not in present)]
    return replace(wanted, body={**wanted.body, "notificationChannels": together})


def _channels(project: Project) -> Sequence[str]:
    """Return the names of the operators' channel: none without an address, or while the channel is not made."""
    address = project.settings.get(EMAIL)
    if not address:
        return []
    wanted = channel(project.id, address)
    found = _found(project, wanted).get(wanted.name)
    return [] if found is None else [str(found["name"])]


def _units(project: Project) -> int | None:
    """Return the monthly budget; None if none is set. Raises CloudProblem for anything but a whole amount."""
    text = project.settings.get(BUDGET)
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= BUDGET_MAX:
        raise CloudProblem(f"{BUDGET} must be a whole amount in the currency of the billing account, such as 500.")
    return int(text)


def _budget_changes(project: Project, units: int) -> Sequence[Change]:
    account = str(project.google.get(f"{BILLING}/{project.id}/billingInfo").get("billingAccountName", ""))
    number = str(project.google.get(f"{PROJECTS}/{project.id}").get("projectNumber", ""))
    wanted = budget(project.id, number, account, units, _channels(project))
    try:
        return _changes(project, [wanted], f"a budget of {units} a month")
    except GoogleRefused as error:
        if error.status == 403 and not error.is_api_off:  # noqa: PLR2004  # the status itself
            raise CloudProblem(
                f"You may not see the budgets of {account}: ask for the role Billing Account Costs Manager there, "
                f"or remove {BUDGET} from {project.settings.path.name}."
            ) from error
        raise
