"""The doctor reads a project that `make deploy` and the Firebase CLI itself have brought up."""

import pytest

from emulator.cloud.checks.check import Finding, examine
from emulator.cloud.checks.table import CHECKS
from emulator.cloud.readings.gather import gather
from emulator.cloud.readings.reading import http_of
from tests.deploy.deployed import Deployment

FOR_A_PERSON = {
    "administrator_missing",
    "alerts_unheard",
    "app_check_off",
    "budget_missing",
    "database_elsewhere",
    "domain_not_authorised",
    "domain_of_a_laptop",
    "addresses_enumerable",
    "model_provider_unreachable",
    "payment_modes_differ",
    "payments_cost_nothing",
    "sender_unverified",
    "stripe_account_incomplete",
    "webhook_unreachable",
}
"""Findings that a person must remove, or that come from the stand-ins: nothing that the deployment makes."""


@pytest.fixture(scope="module")
def findings(deployment: Deployment) -> list[Finding]:
    ours = deployment.ours
    http = http_of({**deployment.google.environment, **ours.environment})
    return examine(gather(ours.google, http, root=ours.root), CHECKS)


def test_deployment_is_sound_but_for_what_a_person_must_do(findings: list[Finding]):
    left = [each for each in findings if each.severity != "hint" and each.name not in FOR_A_PERSON]

    assert left == []


def test_doctor_names_what_only_a_person_can_do(findings: list[Finding]):
    assert {each.name for each in findings} >= {"administrator_missing", "app_check_off", "alerts_unheard"}
