"""Receipts for tests: an entry of a real account, logged among others, with its proof."""

import json
from collections.abc import Mapping
from typing import Any

from shared.kernel.canonical import canonical
from shared.kernel.settings import SigningKey
from shared.ledger.entries import body_hash
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import ENTRY_CONTEXT
from shared.ledger.log.leaves import entry_leaf
from shared.ledger.log.notes import SeedSigner
from shared.ledger.log.proof_receipts import ProofReceipt
from tests.support.log_trees import SIGNER, MemoryLog

ENTRY_KEYS = KeyRing((SigningKey(kid="key-1", seed=bytes(range(1, 33))),))
BODY: Mapping[str, Any] = {
    "v": 1,
    "ledger": "prod-1",
    "uid": "zoe",
    "seq": 7,
    "prev": "ab" * 32,
    "kind": "charge",
    "op": "op-ü-1",
    "at": 1_795_900_000_000,
    "kid": "key-1",
    "postings": [{"from": "available", "to": "revenue:chat", "amount": 12_345, "lot": "lot-1"}],
    "posted": 987_655,
    "held": 0,
    "debt": 0,
    "tags": {"model": 'a "model" with \\ and \u2028'},
}  # fmt: skip
PLACE, SIZE = 300, 700


def receipt(
    body: Mapping[str, Any] | str = BODY,
    *,
    keys: KeyRing = ENTRY_KEYS,
    signer: SeedSigner = SIGNER,
    place: int = PLACE,
    size: int = SIZE,
) -> ProofReceipt:
    """A sound receipt of an entry with this body, at a place in a log of this size."""
    text = body if isinstance(body, str) else canonical(body).decode()
    hash_ = body_hash(text)
    signature = keys.sign(ENTRY_CONTEXT, hash_.encode())
    leaves = [b"another leaf %d" % number for number in range(size)]
    leaves[place] = entry_leaf(hash_, signature)
    log = MemoryLog(leaves)
    (key,) = keys.held
    return ProofReceipt(
        body=text,
        hash=hash_,
        signature=signature,
        kid=key.kid,
        public_key=key.public_key,
        log=str(signer.vkey),
        proof=log.proof(place, signer),
    )


def saved(proved: ProofReceipt | Mapping[str, Any]) -> str:
    """As `curl` saves the answer."""
    return json.dumps(proved.to_json() if isinstance(proved, ProofReceipt) else proved)
