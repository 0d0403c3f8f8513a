"""A cold start pays for what it uses: the ledger's core loads no vendor."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENDORS = (
    "cloudevents",
    "firebase_admin",
    "flask",
    "google",
    "grpc",
    "marshmallow",
    "openai",
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
        "shared.sagas.chat_turn",
        "shared.bootstrap",
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
