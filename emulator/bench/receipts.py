"""Time to check a receipt from a log of 2^27 leaves, in Python and as the page does, beside its two bare signatures."""

import json
import os
import statistics
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from emulator.bench.tables import Row, milliseconds, print_table, timed
from emulator.tools import ROOT, node
from shared.kernel.canonical import canonical
from shared.kernel.settings import SigningKey
from shared.ledger.entries import body_hash
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import ENTRY_CONTEXT, from_base64
from shared.ledger.log.checkpoints import Checkpoint
from shared.ledger.log.leaves import entry_leaf
from shared.ledger.log.merkle import leaf_hash, root_of_inclusion
from shared.ledger.log.notes import SeedSigner, signed
from shared.ledger.log.proof_receipts import ProofReceipt
from shared.ledger.log.proof_text import ProofText
from shared.ledger.verify.receipt import check_receipt

SIZE, INDEX = 2**27, 2**26 + 12_345
LEVELS = 27
ROUNDS = 300
PAGE = ROOT / "functions" / "http" / "verifier" / "receipt.js"
NODE_SECONDS_MAX = 60
SCRIPT = """
require(process.argv[1]);
const text = require("node:fs").readFileSync(0, "utf8"), { entry, key } = JSON.parse(text);
const bytes = (encoded) => Buffer.from(encoded, "base64"), message = Buffer.from(`ics-entry-v1:${entry.hash}`);
const bare = () => receiptCheck.isSigned(bytes(key.public_key), message, bytes(entry.signature));
const whole = () => receiptCheck.check(text);
const median = async (work) => {
  const times = [];
  for (let round = 0; round < %d; round += 1) {
    const since = performance.now();
    await work();
    times.push(performance.now() - since);
  }
  return times.sort((a, b) => a - b)[%d] / 1000;
};
(async () => {
  if (!(await whole()).isSound || !(await bare())) throw new Error("the receipt is not sound");
  const twice = async () => { await bare(); await bare(); };
  console.log(JSON.stringify([await median(whole), await median(twice)]));
})();
"""


def main() -> None:
    """Measure, and print the table."""
    print_table(rows())


def rows() -> Iterator[Row]:
    """Yield the time of Python and of the page's code, each beside two bare checks of a signature."""
    receipt = large_receipt()
    text = json.dumps(receipt.to_json())
    assert check_receipt(text).is_sound, "the receipt is sound"
    key = Ed25519PublicKey.from_public_bytes(from_base64(receipt.public_key))
    message, signature = ENTRY_CONTEXT + receipt.hash.encode(), from_base64(receipt.signature)
    yield _row("Python", _median(lambda: check_receipt(text)), 2 * _median(lambda: key.verify(signature, message)))
    yield _row("the page's code in Node", *_in_node(text))


def large_receipt() -> ProofReceipt:
    """Return a sound receipt of an entry in a log of SIZE leaves. Any hashes beside the path give some root."""
    keys, signer = KeyRing((SigningKey(kid="bench", seed=bytes(32)),)), SeedSigner("bench.example/log", bytes([1] * 32))
    body = canonical(_body()).decode()
    hash_ = body_hash(body)
    signature = keys.sign(ENTRY_CONTEXT, hash_.encode())
    hashes = [os.urandom(32) for _ in range(LEVELS)]
    root = root_of_inclusion(leaf_hash(entry_leaf(hash_, signature)), INDEX, SIZE, hashes)
    note = signed(str(Checkpoint(origin=signer.vkey.name, size=SIZE, root=root)), signer)
    return ProofReceipt(
        body=body,
        hash=hash_,
        signature=signature,
        kid="bench",
        public_key=keys.held[0].public_key,
        log=str(signer.vkey),
        proof=str(ProofText(index=INDEX, hashes=tuple(hashes), note=str(note))),
    )


def _body() -> dict[str, Any]:
    envelope = {"v": 1, "ledger": "bench", "uid": "bench", "seq": 1, "prev": "00" * 32, "kind": "grant", "op": "bench"}
    moved = [{"from": "promo:welcome", "to": "available", "amount": 1_000_000, "lot": "lot_1"}]
    return {**envelope, "at": 0, "kid": "bench", "postings": moved, "posted": 1_000_000, "held": 0, "debt": 0}


def _median(work: Callable[[], object]) -> float:
    return statistics.median(timed(work) for _ in range(ROUNDS))


def _in_node(text: str) -> tuple[float, float]:
    """Return the median seconds of a check and of two bare signatures, with Node's WebCrypto."""
    script = SCRIPT % (ROUNDS, ROUNDS // 2)
    command = [node(), "--eval", script, str(Path(PAGE).resolve())]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=NODE_SECONDS_MAX)
    ours, bare = json.loads(done.stdout)
    return float(ours), float(bare)


def _row(where: str, ours: float, floor: float) -> Row:
    told = f"{milliseconds(floor)}, two bare signatures"
    return f"a receipt at 2^27 leaves, {where}", milliseconds(ours), told, f"{ours / floor:.1f}×"
