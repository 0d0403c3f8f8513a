"""A receipt of bought credits, from the served functions to the command that checks it without them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.payment_providers import PaymentProviders
from emulator.seed import seed_packages
from emulator.stand_ins.stripe import StripeStandIn
from emulator.suite import Suite
from emulator.tools import ROOT
from shared.bootstrap import Services, production
from shared.kernel.settings import parse_settings
from tests.support.emulators import TEST_SEED
from tests.support.processes import wait_for
from tests.support.served import SECONDS_MAX, Person

COMMAND = [sys.executable, "-m", "shared.ledger.verify"]


@pytest.fixture
def services(suite: Suite, suite_payments: PaymentProviders) -> Services:
    """The backend as an operator's commands build it, beside the served functions."""
    keys = {"LEDGER_SIGNING_KEY": f"test-1:{TEST_SEED}", "LEDGER_LOG_KEY": TEST_SEED}
    return production(parse_settings({**suite.environment(), **suite_payments.settings, **keys}))


def bought(suite: Suite, payments: PaymentProviders, services: Services) -> tuple[Person, int]:
    """Return somebody who has paid for a package, and the number of the entry that granted it."""
    stripe, ann = payments.stand_ins["stripe_webhook"], Person(suite)
    assert isinstance(stripe, StripeStandIn)
    seed_packages(suite.project)
    page = f"{suite.endpoints.api}/v1/docs/playground"
    body = {"package_id": "plus", "provider": "stripe", "success_url": page, "cancel_url": page}
    begun = ann.call("POST", "/v1/payments/traditional", json=body)
    assert begun.status_code == 201, begun.text
    before = services.credits.ledger.balance(ann.uid).seq
    stripe.pay(session=services.payments.store.get(begun.json()["payment_id"]).refs["session"])
    wait_for(
        lambda: services.credits.ledger.balance(ann.uid).seq > before, seconds=SECONDS_MAX, what="the credits are there"
    )
    return ann, before + 1


def receipt_of(suite: Suite, person: Person, seq: int) -> str:
    """Fire the minute's jobs until the log has the entry, and return the answer as it is saved."""
    answers = []

    def is_logged() -> bool:
        assert suite.fire_schedule("every_minute") == 200
        answers.append(person.call("GET", f"/v1/credits/entries/{seq}/proof"))
        assert answers[-1].status_code == 200 or answers[-1].json()["code"] == "not_logged_yet", answers[-1].text
        return answers[-1].status_code == 200

    wait_for(is_logged, seconds=SECONDS_MAX, what="the entry is in the signed log")
    return answers[-1].text


def verify(*arguments: object) -> tuple[int, str]:
    """Run the command where no address of a backend is known, and return its exit code and report."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.endswith("_EMULATOR_HOST")},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )
    return done.returncode, done.stdout + done.stderr


def test_receipt_of_bought_credits_is_sound_offline_and_an_edited_one_broken(
    suite: Suite, suite_payments: PaymentProviders, services: Services, tmp_path: Path
):
    ann, seq = bought(suite, suite_payments, services)

    saved = receipt_of(suite, ann, seq)

    policy, receipt, edited = (tmp_path / name for name in ("policy", "receipt.json", "edited.json"))
    policy.write_text("".join(f"log {key}\n" for key in services.log.keys) + "quorum none\n")
    receipt.write_text(saved)
    assert r"\"kind\":\"grant\"" in saved
    edited.write_text(saved.replace(r"\"kind\":\"grant\"", r"\"kind\":\"gift\""))
    demands = ("--policy", policy, "--require-policy", "--uid", ann.uid, "--ledger", suite.project)
    code, told = verify(receipt, *demands)
    assert (code, f"entry {seq}" in told.lower()) == (0, True), told
    assert verify(edited, *demands)[0] == 1
