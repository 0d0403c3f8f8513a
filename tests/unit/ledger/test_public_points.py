"""Public keys: one encoding and no part of low order, as published vectors of Ed25519 tell them apart."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.ledger.keys import PublicKey, Verifier, to_base64
from shared.ledger.public_points import ORDER, P, public_key_problem

VECTORS = Path(__file__).parents[4] / "shared" / "cases" / "vectors" / "ed25519"
LOW_ORDER = {
    "neutral": (1).to_bytes(32, "little"),
    "order two": (P - 1).to_bytes(32, "little"),
    "order four": bytes(32),
    "order four, other sign": bytes(31) + b"\x80",
    "order eight": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    "order eight, other sign": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
    "order eight, other": bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
}
NOT_CANONICAL = {
    "zero as p": P.to_bytes(32, "little"),
    "one as p + 1": (P + 1).to_bytes(32, "little"),
    "highest": bytes([255] * 32),
    "zero with a sign": (1 | 1 << 255).to_bytes(32, "little"),
}


def test_a_key_of_an_honest_seed_is_good():
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seeds = [bytes([number] * 32) for number in range(20)]
    keys = [Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw() for seed in seeds]

    assert {public_key_problem(key) for key in keys} == {None}


@pytest.mark.parametrize("raw", LOW_ORDER.values(), ids=LOW_ORDER)
def test_a_key_of_low_order_is_refused(raw):
    assert public_key_problem(raw) == "the key has a low order"


@pytest.mark.parametrize("raw", NOT_CANONICAL.values(), ids=NOT_CANONICAL)
def test_a_second_encoding_of_a_key_is_refused(raw):
    assert public_key_problem(raw) in {"the key is not canonical", "the key is no point of the curve"}


@pytest.mark.parametrize("raw", [b"", bytes(31), bytes(33), (2).to_bytes(32, "little")])
def test_bytes_that_are_no_point_are_refused(raw):
    assert public_key_problem(raw) is not None


def test_a_verifier_takes_no_key_of_low_order():
    with pytest.raises(ValueError, match="low order"):
        Verifier([PublicKey(kid="k", public_key=to_base64(LOW_ORDER["neutral"]))])


def test_the_order_is_a_prime_near_two_to_252():
    assert pow(2, ORDER - 1, ORDER) == 1
    assert ORDER.bit_length() == 253


def _vectors(name: str) -> Any:
    path = VECTORS / name
    if not path.exists():
        pytest.skip("the published vectors are not on this machine")
    return json.loads(path.read_text())


def test_published_keys_are_good_only_without_a_flag():
    flags = {"low_order_A", "non_canonical_A", "low_order_component_A"}
    told = {each["key"]: not flags & set(each["flags"] or ()) for each in _vectors("ed25519/ed25519vectors.json")}

    assert {key: public_key_problem(bytes.fromhex(key)) is None for key in told} == told


def test_wycheproofs_signatures_are_told_apart():
    wrong = []
    for group in _vectors("wycheproof_ed25519_test.json")["testGroups"]:
        key = PublicKey(kid="k", public_key=to_base64(bytes.fromhex(group["publicKey"]["pk"])))
        verifier = Verifier([key])
        for case in group["tests"]:
            signature = to_base64(bytes.fromhex(case["sig"]))
            is_signed = verifier.is_signed(b"", bytes.fromhex(case["msg"]), kid="k", signature=signature)
            wrong += [case["tcId"]] * (is_signed != (case["result"] == "valid"))

    assert wrong == []
