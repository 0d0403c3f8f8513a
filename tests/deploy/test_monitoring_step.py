"""The step of a deploy that puts metrics, alert policies, channel and budget, against the stand-in for Google."""

from pathlib import Path
from typing import Any

import pytest

from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project
from emulator.cloud.steps import monitoring
from emulator.stand_ins.google import GoogleStandIn
from tests.support.deployments import SHOP, new_project

METRICS, POLICIES = 8, 19


@pytest.fixture
def project(google: GoogleStandIn, tmp_path: Path) -> Project:
    made = new_project(google, tmp_path)
    apis = ("logging", "monitoring", "billingbudgets", "cloudbilling", "cloudresourcemanager")
    google.state.projects[SHOP].enable(*(f"{name}.googleapis.com" for name in apis))
    return made


def carry_out(project: Project) -> list[str]:
    """Look and act to the end; the sentences of what was done."""
    said: list[str] = []
    while changes := monitoring.look(project):
        assert len(said) < 20
        for change in changes:
            change.do()
            said.append(change.says.partition(":")[0])
    return said


def table(google: GoogleStandIn, kind: str) -> list[Any]:
    return list(google.state.projects[SHOP].table(kind).values())


def writes(google: GoogleStandIn) -> list[str]:
    return [each.method for each in google.requests if each.http_method != "GET"]


def test_a_new_project_gets_all_of_it(google: GoogleStandIn, project: Project):
    project.settings.set("ALERT_EMAIL", "ops@example.com")
    project.settings.set("MONTHLY_BUDGET", "500")

    carry_out(project)

    (channel,) = table(google, "NotificationChannel")
    assert channel["labels"] == {"email_address": "ops@example.com"}
    assert len(table(google, "LogMetric")) == METRICS
    policies = table(google, "AlertPolicy")
    assert {tuple(each["notificationChannels"]) for each in policies} == {(channel["name"],)}
    assert len(policies) == POLICIES
    (budget,) = google.state.budgets.values()
    assert budget["amount"] == {"specifiedAmount": {"units": "500"}}
    assert budget["notificationsRule"] == {"monitoringNotificationChannels": [channel["name"]]}


def test_a_second_run_changes_nothing(google: GoogleStandIn, project: Project):
    project.settings.set("ALERT_EMAIL", "ops@example.com")
    project.settings.set("MONTHLY_BUDGET", "500")
    carry_out(project)
    before = len(writes(google))

    assert monitoring.look(project) == []
    assert len(writes(google)) == before


def test_without_an_address_policies_say_that_they_reach_nobody(google: GoogleStandIn, project: Project):
    said = carry_out(project)

    assert said == [
        f"put {METRICS} of {METRICS} log-based metrics",
        f"put {POLICIES} of {POLICIES} alert policies, which reach nobody without ALERT_EMAIL",
    ]
    assert table(google, "NotificationChannel") == []
    assert google.state.budgets == {}


def test_a_new_address_corrects_the_channel_and_no_policy(google: GoogleStandIn, project: Project):
    project.settings.set("ALERT_EMAIL", "ops@example.com")
    carry_out(project)
    project.settings.set("ALERT_EMAIL", "night@example.com")

    assert carry_out(project) == ["put the channel that mails night@example.com"]
    (channel,) = table(google, "NotificationChannel")
    assert channel["labels"] == {"email_address": "night@example.com"}


def test_hands_of_operators_are_respected_and_faults_corrected(google: GoogleStandIn, project: Project):
    project.settings.set("ALERT_EMAIL", "ops@example.com")
    carry_out(project)
    (ours,) = table(google, "NotificationChannel")
    added = (
        google.state.projects[SHOP]
        .table("NotificationChannel")
        .add(f"projects/{SHOP}/notificationChannels/7", {"type": "sms", "labels": {"number": "1"}})
    )
    own = {"displayName": "Mine", "combiner": "OR", "conditions": []}
    google.state.projects[SHOP].table("AlertPolicy").add(f"projects/{SHOP}/alertPolicies/1", own)
    for policy in table(google, "AlertPolicy")[:2]:
        policy["notificationChannels"] = [added["name"]]
    metric = table(google, "LogMetric")[0]
    metric["filter"] = 'severity="DEBUG"'

    carry_out(project)

    policies = table(google, "AlertPolicy")
    assert [each["notificationChannels"] for each in policies[:2]] == [[added["name"], ours["name"]]] * 2
    assert [each["displayName"] for each in policies if not each["conditions"]] == ["Mine"]
    assert metric["name"] in {each["name"] for each in table(google, "LogMetric") if "DEBUG" not in each["filter"]}
    assert monitoring.look(project) == []


@pytest.mark.parametrize("at", [METRICS + 2, METRICS + POLICIES + 2])
def test_a_run_that_breaks_off_at_any_write_is_completed(google: GoogleStandIn, project: Project, at: int):
    project.settings.set("ALERT_EMAIL", "ops@example.com")
    project.settings.set("MONTHLY_BUDGET", "500")
    create, count = project.google.create, iter(range(1, 100))

    def failing(url: str, *args: Any, **query: Any) -> Any:
        if next(count) == at:
            raise CloudProblem("the line is dead")
        return create(url, *args, **query)

    project.google.create = failing  # type: ignore[method-assign]
    with pytest.raises(CloudProblem, match="dead"):
        carry_out(project)
    project.google.create = create  # type: ignore[method-assign]

    carry_out(project)

    assert [len(table(google, kind)) for kind in ("NotificationChannel", "LogMetric", "AlertPolicy")] == [
        1,
        METRICS,
        POLICIES,
    ]
    assert len(google.state.budgets) == 1


def test_policies_wait_until_google_knows_their_metrics(google: GoogleStandIn, project: Project):
    metrics, policies = monitoring.look(project)
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            metrics.do()

    project.google.pause = pause
    policies.do()

    assert waits == [monitoring.METRIC_SECONDS] * 3
    assert len(table(google, "AlertPolicy")) == POLICIES


def test_policies_do_not_wait_for_ever(google: GoogleStandIn, project: Project):
    _, policies = monitoring.look(project)
    project.google.pause = lambda _: None

    with pytest.raises(CloudProblem, match="ten minutes"):
        policies.do()


@pytest.mark.parametrize("units", ["0", "1.5", "10000000000", "٣"])
def test_a_budget_that_is_no_amount_is_refused(project: Project, units: str):
    project.settings.set("MONTHLY_BUDGET", units)

    with pytest.raises(CloudProblem, match="MONTHLY_BUDGET must be"):
        monitoring.look(project)


def test_an_operator_without_rights_on_the_account_is_told_the_role(google: GoogleStandIn, project: Project):
    project.settings.set("MONTHLY_BUDGET", "500")
    google.fail(status=403, path="budgets", times=9)

    with pytest.raises(CloudProblem, match="Billing Account Costs Manager"):
        monitoring.look(project)
