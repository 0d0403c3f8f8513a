"""A cold start pays for what it uses: the ledger's core loads no vendor."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.sagas.agents.toolbox import build_tools
from tests.support.ledgers import UID, World, grant

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
    "opentelemetry",
    "paypalrestsdk",
    "prometheus_client",
    "requests",
    "stripe",
    "web3",
)
LOADED = "import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"


@pytest.mark.parametrize(
    "module",
    [
        "shared.ledger.ledger",
        "shared.ledger.verify.exports",
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


VERIFIED = """
import sys
before = set(sys.modules)
from shared.ledger.verify.command.main import main
assert main([sys.argv[1]]) == 0
print()
print(*(set(sys.modules) - before))
"""
NEEDED = {"orjson", "cryptography", "_cffi_backend", "_openssl"}
"""Modules of the two packages that a verification of exports needs: `orjson`, and `cryptography` with its binding."""
SLOW = {"asyncio", "email", "http.client", "multiprocessing", "pydantic", "ssl", "unittest"}
"""Modules that take long to load, and that the check of a small export does not need."""


@pytest.fixture(scope="module")
def loaded_by_the_verifier(tmp_path_factory) -> set[str]:
    """Modules that the verification of an export has loaded."""
    world = World()
    world.ledger.execute(UID, grant("g", 100))
    export = tmp_path_factory.mktemp("verified") / "export.ndjson"
    export.write_text("".join(world.ledger.export(UID)))
    told = subprocess.run(
        [sys.executable, "-c", VERIFIED, str(export)],
        cwd=ROOT,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    return set(told.splitlines()[-1].split())


def test_the_verifier_loads_no_package_of_google_and_no_adapter(loaded_by_the_verifier):
    tops = {name.partition(".")[0] for name in loaded_by_the_verifier}

    assert tops - set(sys.stdlib_module_names) - {"shared"} == NEEDED
    assert [name for name in loaded_by_the_verifier if name.startswith(("shared.platform", "shared.bootstrap"))] == []


def test_the_verifier_loads_no_store_and_no_slow_module(loaded_by_the_verifier):
    assert loaded_by_the_verifier & (SLOW | {"shared.ledger.store", "shared.ledger.decide"}) == set()


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
