"""The stock x402 clients of PyPI and npm, wholly unchanged, buy and call in one go on a node with Base's chain id."""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from x402 import x402ClientSync
from x402.http.clients import x402_requests
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.exact.register import register_exact_evm_client

from emulator import tools
from shared.kernel.ids import Uid
from tests.support.x402_base import DOLLAR, BaseTown, ServedApi, base_town, served_api

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
SCRIPT = tools.ROOT / "tests" / "contract" / "x402_fetch.mjs"
SCRIPT_SECONDS_MAX = 60


@pytest.fixture(scope="module")
def town() -> Iterator[BaseTown]:
    with base_town() as made:
        yield made


@pytest.fixture(scope="module")
def api(town: BaseTown) -> Iterator[ServedApi]:
    with served_api(town) as made:
        yield made


@pytest.fixture
def payer(town: BaseTown) -> Any:
    made = Account.create()
    town.give(made.address, 5)
    return made


def payments(api: ServedApi, uid: str) -> list[tuple[str, str]]:
    found = api.services.payments.store.history(Uid(uid), limit=50, after=None).items
    return [(str(each.data["status"]), str(each.data["credits"])) for each in found]


def test_the_stock_python_client_buys_and_calls_in_one_go(town: BaseTown, api: ServedApi, payer: Any):
    uid, key = api.key()
    client = x402ClientSync()
    register_exact_evm_client(client, EthAccountSigner(payer))
    session = x402_requests(client)
    headers = {"Authorization": f"Bearer {key}"}

    answers = [session.post(f"{api.url}/openai/chat/completions", json=BODY, headers=headers) for _ in range(4)]

    assert [each.status_code for each in answers] == [200] * 4, answers[0].text
    told = json.loads(base64.b64decode(answers[0].headers["PAYMENT-RESPONSE"]))
    receipt = town.node.rpc("eth_getTransactionReceipt", told["transaction"])
    assert (told["success"], told["payer"], receipt["status"]) == (True, payer.address.lower(), "0x1")
    assert ["PAYMENT-RESPONSE" in each.headers for each in answers] == [True, False, False, False]
    assert payments(api, uid) == [("settled", "100")]
    assert town.coins(payer.address) == 4 * DOLLAR


@pytest.mark.parametrize("by", ["fetch", "sdk"])
def test_the_stock_javascript_client_buys_and_calls_in_one_go(
    town: BaseTown, api: ServedApi, payer: Any, tmp_path: Path, by: str
):
    uid, key = api.key()
    secret = "0x" + payer.key.hex().removeprefix("0x")
    asked = {"base": f"{api.url}/openai", "key": key, "secret": secret, "body": BODY, "turns": 3, "by": by}
    (tmp_path / "node_modules").symlink_to(tools.ROOT / "emulator" / "node_modules")
    script = shutil.copy(SCRIPT, tmp_path)

    command = [tools.node(), str(script), json.dumps(asked)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=SCRIPT_SECONDS_MAX, check=False)

    assert ran.returncode == 0, ran.stderr
    answers = json.loads(ran.stdout)
    assert [each["status"] for each in answers] == [200] * 3, answers
    assert [each["paid"] is not None and each["paid"]["success"] for each in answers] == [True, False, False]
    assert payments(api, uid) == [("settled", "100")]
    assert town.coins(payer.address) == 4 * DOLLAR
