"""The chains of a laptop: quotes for every asset, blocks that come by themselves, and nothing left at the end."""

import contextlib
from collections.abc import Iterator

import pytest

from emulator.chains.laptop import NETWORKS, PORTS, LaptopChains, laptop_chains
from emulator.ports import free_ports, is_taken
from shared.bootstrap import Services, production
from shared.bootstrap.cloud import cloud
from shared.bootstrap.memory import memory
from shared.kernel.clock import SystemClock
from shared.kernel.settings import parse_settings
from shared.payments.fiat import Fiat
from tests.support.processes import wait_for

SETTINGS = {"GCLOUD_PROJECT": "demo-laptop", "LEDGER_SIGNING_KEY": "t:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}


@pytest.fixture(scope="module")
def chains() -> Iterator[LaptopChains]:
    with contextlib.ExitStack() as stack:
        yield laptop_chains(stack, {}, free_ports(PORTS))


@pytest.fixture
def services(chains: LaptopChains) -> Services:
    settings = parse_settings({**SETTINGS, "FUNCTIONS_EMULATOR": "true", **chains.settings})
    in_memory, real = memory(settings, SystemClock()), cloud(settings, SystemClock())
    adapters = {"documents": in_memory.documents(), "chains": real.chains(), "price_sources": real.price_sources()}
    return production(settings, **adapters)


def test_every_asset_of_the_laptop_has_a_price(services: Services):
    for network in services.crypto.networks.values():
        for asset in network.assets:
            quoted = services.crypto.quotes.quote(network.name, asset, Fiat(999, "USD"))
            assert quoted.due > 0


def test_blocks_come_by_themselves(services: Services, chains: LaptopChains):
    running = [services.ports.chains()[network.name] for network in NETWORKS]
    first = [chain.block("latest").height for chain in running]

    def have_grown() -> bool:
        return all(chain.block("latest").height > height for chain, height in zip(running, first, strict=True))

    wait_for(have_grown, seconds=30, what="new blocks")
    assert chains.are_running()


def test_a_person_with_networks_of_their_own_gets_no_others():
    with contextlib.ExitStack() as stack:
        found = laptop_chains(stack, {"CRYPTO_NETWORKS": "base-sepolia"}, free_ports(PORTS))

    assert (found.settings, found.addresses, found.nodes) == ({}, {}, [])


def test_the_chains_end_with_what_started_them():
    ports = free_ports(PORTS)
    with contextlib.ExitStack() as stack:
        chains = laptop_chains(stack, {}, ports)
        assert chains.are_running()

    assert not chains.are_running()
    assert not any(is_taken(port) for port in ports.values())
