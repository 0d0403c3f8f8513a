"""Blocks of a real node, and of any shape made here: checked in full, and searched for any number of addresses."""

import json
import random
import time
from typing import Any

import pytest

from shared.platform.bitcoin.addresses import DIGITS, UnknownAddress, WatchedAddresses, script_of
from shared.platform.bitcoin.blocks import Header, read_block, read_header, received, require_proof
from shared.platform.bitcoin.rules import RULES, rules_of
from shared.platform.bitcoin.transactions import BrokenBytes, double_hash, name_of, read_transaction
from tests.support.regtest import RECORDED as FILE
from tests.support.regtest import RULES as REGTEST
from tests.support.regtest import PythonRegtest, address_of, made_coinbase, made_header, made_transaction, size_of

RECORDED: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
"""Blocks of a regtest node: a bumped payment and a second one, the same two in another block, and a block for us."""
MAIN = RULES["000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"]
FULL_BLOCK_SECONDS_MAX = 1.0


def recorded(name: str) -> tuple[bytes, str]:
    return bytes.fromhex(RECORDED[name]["raw"]), RECORDED[name]["hash"]


@pytest.mark.parametrize("name", ["paid", "moved", "mined"])
def test_recorded_block_is_believed(name):
    raw, block = recorded(name)

    assert read_block(raw, block, REGTEST).header.hash == block


@pytest.mark.parametrize("name", ["paid", "moved"])
def test_recorded_block_pays_both_segwit_versions(name):
    raw, block = recorded(name)
    v0, v1 = RECORDED["paid"]["v0"], RECORDED["paid"]["v1"]

    found = received(read_block(raw, block, REGTEST), WatchedAddresses({v0, v1}, REGTEST).of_script)

    assert found == {v0: 1_000_000, v1: 2_000_000}


def test_recorded_block_holds_the_bumped_transaction_alone():
    raw, block = recorded("paid")

    names = {name_of(one.id) for one in read_block(raw, block, REGTEST).transactions}

    assert RECORDED["paid"]["bumped"] in names
    assert RECORDED["paid"]["replaced"] not in names


def test_coinbase_output_is_not_received_with_its_own_block():
    raw, block = recorded("mined")

    found = received(read_block(raw, block, REGTEST), WatchedAddresses({RECORDED["mined"]["v0"]}, REGTEST).of_script)

    assert found == {}


def test_block_is_refused_after_any_changed_byte_that_the_hash_covers():
    raw, block = recorded("paid")
    transactions = read_block(raw, block, REGTEST).transactions
    covered = [at for at in range(len(raw)) if _is_covered(raw, at, transactions)]

    believed = [at for at in covered if _is_believed(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :], block)]

    assert len(covered) > 250
    assert believed == []


@pytest.mark.parametrize("cut", [0, 1, 79, 80, 81, 200, -1])
def test_block_that_is_cut_off_is_refused(cut):
    raw, block = recorded("paid")

    with pytest.raises(BrokenBytes):
        read_block(raw[:cut], block, REGTEST)


def test_block_with_bytes_behind_its_end_is_refused():
    raw, block = recorded("paid")

    with pytest.raises(BrokenBytes):
        read_block(raw + b"\0", block, REGTEST)


def test_block_with_repeated_transactions_is_refused_though_the_root_agrees():
    chain = PythonRegtest()
    chain.pay((address_of(1), 5))
    chain.pay((address_of(2), 7))
    block = chain.mine()
    raw = chain.raw_block(block)
    last = raw[-len(made_transaction([("0" * 64, 0)], [(address_of(2), 7)]).raw) :]
    doubled = raw[:80] + bytes([4]) + raw[81:] + last

    with pytest.raises(BrokenBytes, match="repeats"):
        read_block(doubled, block, REGTEST)


def test_block_of_little_work_is_refused_on_the_main_network():
    raw, block = recorded("paid")

    with pytest.raises(BrokenBytes, match="work"):
        read_header(raw[:80], block, MAIN)


def test_first_block_is_believed_on_its_network():
    raw = bytes.fromhex(RECORDED["genesis"])

    found = read_block(raw, name_of(double_hash(raw[:80])), rules_of(name_of(double_hash(raw[:80]))))

    assert found.header.parent == "0" * 64


def test_proof_for_a_transaction_of_64_bytes_is_refused():
    bare = b"\x02\0\0\0\x01" + bytes(36) + b"\0" + b"\xff" * 4 + b"\x01" + bytes(8) + b"\x04" + bytes(4) + bytes(4)
    transaction = read_transaction(bare)
    header = Header(hash="", parent="", merkle_root=transaction.id, time_seconds=0)

    with pytest.raises(BrokenBytes, match="64 bytes"):
        require_proof(transaction, 0, [], header)


def test_full_block_is_searched_within_a_second_for_100000_addresses():
    chance = random.Random(7)
    paid = [address_of(chance.getrandbits(160)) for _ in range(4_000)]
    transactions = (
        made_coinbase(1, 1, []),
        *(
            made_transaction(
                [(f"{chance.getrandbits(256):064x}", 0), (f"{chance.getrandbits(256):064x}", 1)],
                [(address, 1_000), (address_of(chance.getrandbits(255), 1), 5)],
            )
            for address in paid
        ),
    )
    header = made_header("0" * 64, transactions, 1_700_000_000)
    raw = header + size_of(len(transactions)) + b"".join(one.raw for one in transactions)
    block = name_of(double_hash(header))
    ours = {f"bcrt1q{''.join(chance.choices(DIGITS, k=38))}" for _ in range(100_000)} | set(paid[:3])

    seconds, found = [], []
    for _ in range(3):
        began = time.process_time()
        found.append(received(read_block(raw, block, REGTEST), WatchedAddresses(ours, REGTEST).of_script))
        seconds.append(time.process_time() - began)

    assert found == [dict.fromkeys(paid[:3], 1_000)] * 3
    assert min(seconds) < FULL_BLOCK_SECONDS_MAX


@pytest.mark.parametrize("version", [0, 1])
def test_address_is_found_by_the_script_of_its_outputs(version):
    addresses = [address_of(number, version) for number in range(1, 50)]
    watched = WatchedAddresses(addresses, REGTEST)

    assert [watched.of_script(script_of(address, REGTEST)) for address in addresses] == addresses


@pytest.mark.parametrize(
    "script",
    ["", "0014", "00" * 22, "0015" + "00" * 20, "5114" + "11" * 20, "5220" + "11" * 32, "76a914" + "11" * 20 + "88ac"],
)
def test_script_of_another_kind_pays_no_watched_address(script):
    assert WatchedAddresses([address_of(1), address_of(1, 1)], REGTEST).of_script(bytes.fromhex(script)) is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",  # main network
        "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq",  # checksum
        "2N3oefVeg6stiTb5Kh3ozCSkaqmx91FDbsm",
        "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
    ],
)
def test_address_of_another_kind_or_network_has_no_script(address):
    with pytest.raises(UnknownAddress):
        script_of(address, REGTEST)


def _is_covered(raw: bytes, at: int, transactions: Any) -> bool:
    """Return True for the bytes of the header and of outputs. Witnesses have a root of their own."""
    if at < 81:
        return True
    return any(_holds(raw, at, value.to_bytes(8, "little")) for one in transactions for value, _ in one.outputs) or any(
        _holds(raw, at, script) for one in transactions for _, script in one.outputs
    )


def _holds(raw: bytes, at: int, part: bytes) -> bool:
    begin = raw.find(part)
    return begin >= 0 and begin <= at < begin + len(part)


def _is_believed(raw: bytes, block: str) -> bool:
    try:
        read_block(raw, block, REGTEST)
    except BrokenBytes:
        return False
    return True
