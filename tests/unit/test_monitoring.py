"""Metrics, policies, channel and budget: each alert of ours reaches a person, and every filter finds real lines."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Request

from emulator.cloud import monitoring
from functions import schedules
from shared.bootstrap import in_memory
from shared.kernel.alert_kinds import ALERT_KINDS, GOOD_NEWS, LOGGED_ONLY
from shared.kernel.events import log
from shared.platform.pubsub.alerts import PublishedAlerts
from tests.api.world import World
from tests.support.cloud_logging import Entry, entry_of, is_matching

ROOT = Path(__file__).parents[2]
LOG_METRIC = re.compile(r'metric\.type="logging\.googleapis\.com/user/(\w+)"')
PAGE = re.compile(r"docs/operating/([\w-]+)\.md")
METRICS = {each.name: each.body for each in monitoring.files("p") if each.kind == "metric"}
POLICIES = [each.body for each in monitoring.files("p") if each.kind == "policy"]
POLICY_FIELDS = {
    "displayName",
    "documentation",
    "userLabels",
    "conditions",
    "combiner",
    "enabled",
    "notificationChannels",
    "alertStrategy",
    "severity",
}
METRIC_FIELDS = {
    "name",
    "description",
    "filter",
    "metricDescriptor",
    "labelExtractors",
    "valueExtractor",
    "bucketOptions",
}
CONDITION_FIELDS = {
    "conditionThreshold": {
        "filter",
        "aggregations",
        "denominatorFilter",
        "denominatorAggregations",
        "comparison",
        "thresholdValue",
        "duration",
        "trigger",
    },
    "conditionAbsent": {"filter", "aggregations", "duration", "trigger"},
}


def calls_of_alert() -> list[tuple[str, set[str | None]]]:
    """The event and the fields of each `alert("…", …)` call of all sources; None stands for fields by `**`."""
    sources = [file.read_text() for folder in ("shared", "functions") for file in (ROOT / folder).rglob("*.py")]
    calls = [each for text in sources for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Call)]
    return [
        (str(each.args[0].value), {keyword.arg for keyword in each.keywords})
        for each in calls
        if isinstance(each.func, ast.Attribute)
        and each.func.attr == "alert"
        and each.args
        and isinstance(each.args[0], ast.Constant)
    ]


def test_the_register_of_alerts_is_that_of_the_code():
    assert alerts_of_the_code() == sorted(ALERT_KINDS.keys() | GOOD_NEWS.keys() | LOGGED_ONLY)
    assert set(GOOD_NEWS.values()) <= {name for name, kind in ALERT_KINDS.items() if kind.ends == "alone"}


def test_each_call_of_an_alert_says_its_subject():
    calls = calls_of_alert()

    assert len(calls) > 30
    for event, fields in calls:
        subject = ALERT_KINDS[GOOD_NEWS.get(event, event)].subject
        assert not subject or None in fields or fields & set(subject), event


def test_what_ends_itself_is_resolved_by_the_code():
    sources = [file.read_text() for folder in ("shared", "functions") for file in (ROOT / folder).rglob("*.py")]
    resolved = {name for text in sources for name in re.findall(r"\bresolve\(\s*\"(\w+)\"", text)}

    assert resolved | set(GOOD_NEWS.values()) == {name for name, kind in ALERT_KINDS.items() if kind.ends == "alone"}


def alerts_of_the_code() -> list[str]:
    """The names in `alert("…")`, `Reminder("…")` and `log("…", "CRITICAL")` of all sources."""
    sources = [file.read_text() for folder in ("shared", "functions") for file in (ROOT / folder).rglob("*.py")]
    patterns = (r"\balert\(\s*\"(\w+)\"", r"\bReminder\(\"(\w+)\"", r"\blog\(\s*\"(\w+)\",\s*\"CRITICAL\"")
    return sorted({name for text in sources for pattern in patterns for name in re.findall(pattern, text)})


class Nowhere:
    def publish(self, messages):
        pass


def logged(capsys) -> list[Entry]:
    return [entry_of(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


def extracted(expression: str, entry: Entry) -> Any:
    name = re.fullmatch(r"EXTRACT\(jsonPayload\.(\w+)\)", expression)
    assert name is not None, expression
    return entry["jsonPayload"][name[1]]


def series_of(metric: str, entry: Entry) -> dict[str, Any]:
    """The time series that Cloud Monitoring keeps of an entry which the metric counts."""
    labels = {
        name: extracted(expression, entry) for name, expression in METRICS[metric].get("labelExtractors", {}).items()
    }
    told = {"type": f"logging.googleapis.com/user/{metric}", "labels": labels}
    return {"metric": told, "resource": {"type": entry["resource"]["type"]}}


def conditions_of(policy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each.get("conditionThreshold") or each["conditionAbsent"] for each in policy["conditions"]]


def policies_for(metric: str, entry: Entry) -> list[str]:
    """The policies with a condition that counts this entry."""
    series = series_of(metric, entry)
    return [
        policy["displayName"]
        for policy in POLICIES
        if any(is_matching(each["filter"], series) for each in conditions_of(policy))
    ]


@pytest.mark.parametrize("event", alerts_of_the_code())
def test_every_alert_opens_an_incident_of_one_policy(event: str, capsys):
    PublishedAlerts(Nowhere()).alert(event, uid="ann", count=1)

    (line,) = logged(capsys)
    assert [name for name, metric in METRICS.items() if is_matching(metric["filter"], line)] == ["operator_alerts"]
    assert len(policies_for("operator_alerts", line)) == 1


def test_policies_name_no_alert_that_is_never_raised():
    named = {
        name
        for policy in POLICIES
        for condition in conditions_of(policy)
        if "operator_alerts" in condition["filter"]
        for name in re.findall(r'"(\w+)"', condition["filter"].partition("one_of")[2])
    }

    assert named == set(alerts_of_the_code())


def test_a_silent_schedule_is_told_by_the_line_of_its_runs(monkeypatch, capsys):
    services = in_memory()
    monkeypatch.setattr(schedules, "services", lambda: services)

    schedules.every_minute(Request({}))

    line = next(each for each in logged(capsys) if is_matching(METRICS["schedule_runs"]["filter"], each))
    assert policies_for("schedule_runs", line) == ["A schedule is silent"]


def test_the_seconds_to_a_first_token_are_measured_of_streams_alone(capsys):
    world = World()
    ann = world.person(credits_=5)
    made = ann.post("/chat/conversations", {}).json["id"]
    for is_streamed in (True, False):
        wanted = {"content": "Hello", "stream": is_streamed}
        ann.post(f"/chat/conversations/{made}/messages", wanted, buffered=True)

    metric = METRICS["first_token_seconds"]
    found = [each for each in logged(capsys) if is_matching(metric["filter"], each)]
    assert [isinstance(extracted(metric["valueExtractor"], each), float) for each in found] == [True]
    assert policies_for("first_token_seconds", found[0]) == ["First tokens come late"]


@pytest.mark.parametrize(
    ("metric", "event", "fields"),
    [
        ("upstream_failures", "upstream_failed", {"kind": "APITimeoutError", "model": "gpt-4o-mini"}),
        ("upstream_failures", "upstream_refused", {"status": 500, "model": "gpt-4o-mini"}),
        ("payment_provider_failures", "stripe_failed", {"call": "checkout"}),
        ("payment_provider_failures", "paypal_failed", {"call": "order"}),
    ],
)
def test_failures_of_providers_are_counted(metric: str, event: str, fields: Mapping[str, Any], capsys):
    log(event, "WARNING", **fields)

    (line,) = logged(capsys)
    assert [name for name, each in METRICS.items() if is_matching(each["filter"], line)] == [metric]
    assert len(policies_for(metric, line)) == 1
    assert f'log("{event}", "WARNING"' in "".join(file.read_text() for file in (ROOT / "shared").rglob("*.py"))


def test_failures_count_as_errors_and_their_answers_do_too(capsys):
    log("event_failed", "ERROR", code="unavailable")
    log("request_done", "WARNING")

    found = [is_matching(METRICS["errors"]["filter"], each) for each in logged(capsys)]
    assert found == [True, False]


def test_a_failed_call_of_cloud_scheduler_counts_for_its_policy():
    line = {
        "resource": {"type": "cloud_scheduler_job", "labels": {"job_id": "firebase-schedule-every_minute-us-central1"}},
        "severity": "ERROR",
        "jsonPayload": {"@type": "type.googleapis.com/google.cloud.scheduler.logging.AttemptFinished"},
    }

    assert [name for name, each in METRICS.items() if is_matching(each["filter"], line)] == ["schedule_failures"]
    assert policies_for("schedule_failures", line) == ["A schedule is silent"]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy["displayName"])
def test_a_policy_has_the_published_shape_and_links_its_page(policy: Mapping[str, Any]):
    assert policy.keys() <= POLICY_FIELDS
    assert policy["severity"] in {"CRITICAL", "ERROR", "WARNING"}
    (page,) = PAGE.findall(policy["documentation"]["content"])
    assert (ROOT / f"docs/operating/{page}.md").is_file()
    assert len(policy["documentation"]["content"]) < 8_192
    assert 1 <= len(policy["conditions"]) <= 6
    for condition in policy["conditions"]:
        (kind,) = condition.keys() - {"displayName"}
        assert condition[kind].keys() <= CONDITION_FIELDS[kind]
        assert len(condition[kind]["filter"]) <= 2_048
        assert int(condition[kind]["duration"].removesuffix("s")) % 60 == 0
        assert set(LOG_METRIC.findall(condition[kind]["filter"])) <= METRICS.keys()
        for aggregation in condition[kind]["aggregations"]:
            period = int(aggregation["alignmentPeriod"].removesuffix("s"))
            assert period >= 60


def test_every_metric_has_the_published_shape_and_a_policy():
    used = {
        name for policy in POLICIES for each in conditions_of(policy) for name in LOG_METRIC.findall(each["filter"])
    }

    assert used == METRICS.keys()
    for metric in METRICS.values():
        assert metric.keys() <= METRIC_FIELDS
        keys = {each["key"] for each in metric["metricDescriptor"].get("labels", ())}
        assert keys == metric.get("labelExtractors", {}).keys()
        assert ("valueExtractor" in metric) == (metric["metricDescriptor"]["valueType"] == "DISTRIBUTION")


def test_metrics_come_before_the_policies_that_need_them():
    kinds = [each.kind for each in monitoring.files("p")]

    assert kinds == sorted(kinds)
    assert {each.collection for each in monitoring.files("p")} == {
        "https://logging.googleapis.com/v2/projects/p/metrics",
        "https://monitoring.googleapis.com/v3/projects/p/alertPolicies",
    }


def test_incidents_and_budget_are_told_to_the_channel():
    channel = monitoring.channel("p", 'o"x: y@example.com')
    budget = monitoring.budget("p", "123", "billingAccounts/0-1", 500, ["projects/p/notificationChannels/1"])

    assert channel.body["labels"] == {"email_address": 'o"x: y@example.com'}
    assert budget.collection == "https://billingbudgets.googleapis.com/v1/billingAccounts/0-1/budgets"
    assert (budget.name, budget.body["budgetFilter"]["projects"]) == ("Credit system (p)", ["projects/123"])
    assert budget.body["amount"] == {"specifiedAmount": {"units": "500"}}
    assert budget.body["notificationsRule"] == {"monitoringNotificationChannels": ["projects/p/notificationChannels/1"]}
    told = monitoring.files("p", ["c"])[-1].body["notificationChannels"]
    assert told == ["c"]


def test_a_thing_at_google_is_kept_if_it_says_the_same():
    policy = next(each for each in monitoring.files("p", ["c"]) if each.kind == "policy")
    answered = {**policy.body, "name": "projects/p/alertPolicies/1", "creationRecord": {"mutateTime": "2026"}}
    answered["conditions"] = [
        {
            **each,
            "name": "…/conditions/1",
            "conditionThreshold": {
                name: value for name, value in each["conditionThreshold"].items() if name != "thresholdValue"
            },
        }
        for each in answered["conditions"]
    ]

    assert policy.is_kept_by(answered)
    assert not policy.is_kept_by({**answered, "severity": "WARNING"})
    assert not policy.is_kept_by({**answered, "notificationChannels": []})
    assert not policy.is_kept_by({**answered, "conditions": []})


def test_the_table_of_alerts_names_the_procedure_of_each_policy():
    rows = re.findall(r"^\| (`.+?) \|.* \| (.+?) \|$", (ROOT / "docs/operating/alerts.md").read_text(), re.MULTILINE)
    told = {name: link for names, link in rows for name in re.findall(r"`(\w+)`", names)}

    for policy in POLICIES:
        (page,) = PAGE.findall(policy["documentation"]["content"])
        link = "this page" if page == "alerts" else f"[{page.replace('-', ' ')}]({page}.md)"
        for condition in conditions_of(policy):
            if "operator_alerts" in condition["filter"]:
                events = re.findall(r'"(\w+)"', condition["filter"].partition("one_of")[2])
                assert {name: told.get(name) for name in events} == dict.fromkeys(events, link)


def test_the_seconds_of_notices_are_measured(capsys):
    log("notice_done", notice="stripe:evt_1", seconds=2.5)

    metric = METRICS["notice_seconds"]
    (line,) = logged(capsys)
    assert is_matching(metric["filter"], line)
    assert extracted(metric["valueExtractor"], line) == 2.5
    assert policies_for("notice_seconds", line) == ["Payments are credited late"]
    assert 'log("notice_done"' in (ROOT / "shared/sagas/payments/notices.py").read_text()
