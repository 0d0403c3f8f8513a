"""Objectives of the service: promtool accepts the rules and their tests, and the rules name metrics that exist."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.bootstrap import in_memory
from shared.kernel.measured import METERS

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docs/operating/slo.rules.yaml"
OBJECTIVES = {"spending_calls", "latency_added", "webhook_to_credited", "relay_lag", "job_freshness"}
WINDOWS = {"5m", "30m", "1h", "6h", "3d"}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", str(RULES)),
        ("test", "rules", "tests/operating/slo.test.yaml"),
        ("test", "rules", "tests/operating/slo.days.test.yaml"),
    ],
)
def test_promtool_accepts_the_rules_and_their_tests(command):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: see tests/debian.txt")

    done = subprocess.run(["promtool", *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_objective_has_a_budget_and_all_windows():
    budgets = {rule["labels"]["slo"] for rule in rules() if rule.get("record") == "credits:slo_budget:ratio"}
    by_time = {rule["labels"]["slo"] for rule in rules() if rule.get("record") == "credits:slo_bad:now"}
    ratios = [rule["labels"] for rule in rules() if rule.get("record") == "credits:slo_errors:ratio"]

    told = {(each.get("slo"), each["window"]) for each in ratios}
    assert budgets == OBJECTIVES
    assert told == {(slo, window) for slo in {None, *OBJECTIVES - by_time} for window in WINDOWS}


def test_the_rules_name_metrics_that_are_served():
    services = in_memory()
    served = {meter.name for meter in METERS} | {meter.name for meter in services.stored_gauges.meters()}

    named = set(re.findall(r"(?<![:\w])credits_\w+", " ".join(rule["expr"] for rule in rules())))

    assert {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in named} <= served
