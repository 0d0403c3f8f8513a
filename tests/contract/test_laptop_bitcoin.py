"""Bitcoin of a laptop: a node that mines by itself and ends with the run, or a sentence that says what is missing."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from emulator.chains.bitcoin import LEFT_OUT, Miner, bitcoin_services
from emulator.chains.bitcoin_node import NO_NODE, SETTING
from emulator.ports import free_ports
from emulator.tools import ROOT
from shared.platform.bitcoin.chain import EsploraChain
from tests.support.regtest import REGTEST, address_of

WAIT_SECONDS_MAX = 30
STARTED_AND_LEFT = """
from emulator.chains.bitcoin_node import BitcoinNode
with BitcoinNode() as node:
    print(node.home, flush=True)
    input()
"""


def test_laptop_goes_on_without_a_node(monkeypatch):
    monkeypatch.setenv(SETTING, "/no/bitcoind")

    with contextlib.ExitStack() as stack:
        found = bitcoin_services(stack, {}, 0)

    assert (found.settings, found.addresses, found.problem) == ({}, {}, f"{NO_NODE} {LEFT_OUT}")


def test_laptop_goes_on_without_a_node_that_does_not_start(monkeypatch, tmp_path):
    broken = tmp_path / "bitcoind"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv(SETTING, str(broken))

    with contextlib.ExitStack() as stack:
        found = bitcoin_services(stack, {}, 0)

    assert (found.settings, found.addresses) == ({}, {})
    assert found.problem.startswith("The Bitcoin node does not answer")


def test_networks_of_the_person_are_not_joined_by_a_test_network():
    with contextlib.ExitStack() as stack:
        found = bitcoin_services(stack, {"CRYPTO_NETWORKS": "base,polygon"}, 0)

    assert (found.settings, found.addresses, found.problem) == ({}, {}, "")


def test_server_that_is_set_is_used_and_no_node_started():
    settings = {"BITCOIN_SIGNET_API_URLS": "https://signet.example/api,https://other.example/api"}

    with contextlib.ExitStack() as stack:
        found = bitcoin_services(stack, settings, 0)

    assert (found.settings, found.addresses) == ({}, {"bitcoin": "https://signet.example/api"})


def test_node_s_network_joins_the_networks_of_the_laptop(bitcoin_node):
    with contextlib.ExitStack() as stack:
        port = free_ports(["bitcoin"])["bitcoin"]
        found = bitcoin_services(stack, {"CRYPTO_NETWORKS": "local-base,local-polygon"}, port)
        url = found.addresses["bitcoin"]
        tip = requests.get(f"{url}/blocks/tip/height", timeout=10).text

    assert found.settings["CRYPTO_NETWORKS"] == "local-base,local-polygon,bitcoin-regtest"
    assert found.settings["BITCOIN_REGTEST_API_URLS"] == url == f"http://127.0.0.1:{port}"
    assert EsploraChain(REGTEST, url).network == "bitcoin-regtest"
    assert int(tip) >= 100


def test_miner_buries_a_payment_by_itself(bitcoin_node):
    height = bitcoin_node.rpc("getblockcount")
    name = bitcoin_node.pay(address_of(7_000), 5_000)

    with Miner(bitcoin_node, block_seconds=0.02):
        _await(lambda: bitcoin_node.rpc("getblockcount") >= height + 7)

    assert bitcoin_node.rpc("getrawtransaction", name, 1)["confirmations"] >= 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_node_ends_with_the_process_that_started_it(bitcoin_node, number):
    command = [sys.executable, "-c", STARTED_AND_LEFT]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        home = Path(owner.stdout.readline().strip())
        started = _nodes(home)
        owner.send_signal(number)

    _await(lambda: not _nodes(home) and not home.exists())
    assert started


def _nodes(home: Path) -> list[str]:
    """Return the processes whose command names the node's folder."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdecimal() and str(home).encode() in (folder / "cmdline").read_bytes():
                found.append(folder.name)
    return found


def _await(is_done) -> None:
    pause, deadline = threading.Event(), time.monotonic() + WAIT_SECONDS_MAX
    while not is_done():
        assert time.monotonic() < deadline, "it takes too long"
        pause.wait(0.02)
