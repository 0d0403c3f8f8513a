"""A cold start pays for what it uses: the ledger's core loads no vendor."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.sagas.agents.toolbox import build_tools

ROOT = Path(__file__).resolve().parents[2]
VENDORS = (
    "Crypto",
    "cloudevents",
    "coincurve",
    "embit",
    "eth_account",
    "firebase_admin",
    "flask",
    "google",
    "grpc",
    "marshmallow",
    "openai",
    "paypalrestsdk",
    "requests",
    "stripe",
    "web3",
)
LOADED = "import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"


@pytest.mark.parametrize(
    "module",
    [
        "shared.ledger.ledger",
        "shared.ledger.verify",
        "shared.ledger.relay",
        "shared.sagas.chat.turn",
        "shared.bootstrap",
        "shared.payments.inbox",
        "shared.platform.stripe.webhooks",
        "shared.platform.paypal.webhooks",
    ],
)
def test_the_core_loads_no_vendor(module):
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=module)],
        cwd=ROOT,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()

    assert {name.partition(".")[0] for name in loaded} & set(VENDORS) == set()


STORED = """
import sys
from shared.bootstrap import in_memory

services = in_memory({"STRIPE_WEBHOOK_SECRET": "s", "PAYPAL_WEBHOOK_ID": "w", "STRIPE_SECRET_KEY": "sk_test_1"})
import functions.payment_webhooks
services.payments.webhooks["stripe"], services.payments.webhooks["paypal"], services.payments.inbox
print(*sys.modules)
"""


def test_a_webhook_loads_no_provider_s_sdk():
    loaded = subprocess.run(
        [sys.executable, "-c", STORED],
        cwd=ROOT,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()

    assert {name.partition(".")[0] for name in loaded} & {"stripe", "paypalrestsdk", "requests"} == set()


LIMITED = """
import sys
import {module}
print(sys.getrecursionlimit())
"""


@pytest.mark.parametrize("module", ["shared.platform.evm.chain", "shared.platform.addresses.by_embit"])
def test_adapter_of_a_chain_keeps_the_recursion_limit(module):
    limits = [
        subprocess.run(
            [sys.executable, "-c", LIMITED.format(module=each)],
            cwd=ROOT,
            env={"PATH": ""},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for each in (module, "json")
    ]

    assert limits[0] == limits[1]


def test_the_list_of_tools_loads_no_tool():
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=build_tools.__module__)],
        cwd=ROOT,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()

    contract = {"shared.sagas.agents.tools", "shared.sagas.agents.tools.parts", "shared.sagas.agents.tools.tool"}
    assert {name for name in loaded if name.startswith("shared.sagas.agents.tools")} == contract


def test_the_table_of_functions_loads_the_table_of_providers_alone():
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED.format(module="main")],
        cwd=ROOT,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()

    ours = {name for name in loaded if name.startswith(("shared", "functions"))}
    assert ours == {"shared", "shared.payments", "shared.payments.providers"}


CRYPTO_VENDORS = {"web3", "eth_account", "coincurve", "embit", "segno", "x402", "Crypto"}


def test_the_api_starts_without_the_libraries_of_crypto_payments():
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED.format(module="functions.http.table")],
        cwd=ROOT,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()

    assert {name.partition(".")[0] for name in loaded} & CRYPTO_VENDORS == set()


def test_the_adapter_of_evm_chains_leaves_the_recursion_limit_alone():
    told = subprocess.run(
        [sys.executable, "-c", "import sys; import shared.platform.evm.chain; print(sys.getrecursionlimit())"],
        cwd=ROOT,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout

    assert int(told) == 1_000
