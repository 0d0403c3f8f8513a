"""The page that checks receipts, saved as a file and opened in a browser without a network."""

import dataclasses
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.http.verify_page import verify_page
from shared.ledger.keys import to_base64
from shared.ledger.log.notes import COSIGNATURE, SeedSigner, cosignature, parse_note
from shared.ledger.log.policy import parse_policy
from shared.ledger.log.proof_receipts import NoReceipt
from shared.ledger.log.proof_text import parse_proof
from shared.ledger.verify.receipt import Demands, check_receipt
from tests.support.log_trees import ORIGIN, SIGNER
from tests.support.node import run_script
from tests.support.proof_receipts import BODY, receipt, saved
from tests.support.vectors import VECTORS

SCRIPT = Path(__file__).parent / "judges" / "receipt_page.mjs"
SECONDS_MAX = 120
ED25519: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "ed25519_vectors.json").read_text())
CCTV = VECTORS / "ed25519/ed25519/ed25519vectors.json"
EDITS = int(os.environ.get("EDITS", "300"))
SOUND = receipt()
TRUSTED = f"log {SIGNER.vkey}\nquorum none\n"
OTHER = SeedSigner(ORIGIN, bytes([9] * 32))
WITNESS = SeedSigner("witness.example", bytes(32), kind=COSIGNATURE)
WITNESSED = f"log {SIGNER.vkey}\nwitness w {WITNESS.vkey}\ngroup g 1 w\nquorum g\n"


def cosigned() -> str:
    proof = parse_proof(SOUND.proof)
    note = parse_note(proof.note)
    note = note.with_signatures([cosignature(note.text, WITNESS, 1_795_900_000)])
    return saved(dataclasses.replace(SOUND, proof=str(dataclasses.replace(proof, note=str(note)))))


def texts() -> Iterator[tuple[str, str]]:
    """Receipts with policies: sound ones, ones with a wrong part, and random edits."""
    yield saved(SOUND), ""
    yield from ((text, policy) for text in (saved(SOUND), cosigned()) for policy in (TRUSTED, WITNESSED))
    yield saved(SOUND), f"log {OTHER.vkey}\nquorum none\n"
    for place, size in [(0, 1), (1, 2), (255, 256), (256, 257), (3, 699)]:
        yield saved(receipt(place=place, size=size)), TRUSTED
    wrong: list[dict[str, Any]] = [
        {"v": 2},
        {"seq": 0},
        {"seq": True},
        {"postings": {}},
        {"at": -1},
        {"more": ["x", {"y": 2**53 - 1}]},
    ]
    yield from ((saved(receipt({**BODY, **changes})), "") for changes in wrong)
    low = {name: to_base64(raw) for name, raw in _low_order().items()}
    yield from ((saved(dataclasses.replace(SOUND, public_key=key)), "") for key in low.values())
    parts: list[dict[str, Any]] = [{"version": 2}, {"more": 1}, {"log": 1}, {"entry": []}]
    yield from ((saved({**SOUND.to_json(), **part}), "") for part in parts)
    yield saved(SOUND).replace('"kid":', '"kid": "x", "kid":', 1), ""
    yield from ((text, "") for text in ("", "[]", "{}", "7", "{"))
    yield from ((text, "") for text in _random_edits())


def _low_order() -> dict[str, bytes]:
    prime = 2**255 - 19
    heights = {"zero": 0, "one": 1, "minus one": prime - 1, "no canonical one": prime + 1, "beyond": 2**255 - 1}
    return {name: height.to_bytes(32, "little") for name, height in heights.items()}


def _random_edits() -> Iterator[str]:
    text = json.dumps(SOUND.to_json(), ensure_ascii=False, separators=(",", ":"))
    random_ = random.Random(17)
    for _ in range(EDITS):
        place = random_.randrange(len(text))
        yield text[:place] + random_.choice('0aA+/="\\{},: \nü—') + text[place + 1 :]


def signatures() -> list[list[str]]:
    """Wycheproof's and CCTV's keys, messages and signatures, in hex."""
    wycheproof = [row[:3] for row in ED25519["wycheproof"]["rows"]]
    if not CCTV.is_file():
        return wycheproof + ED25519["cctv"]["rows"]
    found = json.loads(CCTV.read_text())
    return wycheproof + [[each["key"], each["msg"].encode().hex(), each["sig"]] for each in found]


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "check-a-receipt.html"
    file.write_text(verify_page()[0])
    broken = saved(dataclasses.replace(SOUND, body=SOUND.body.replace("12345", "12346")))
    shown = {
        "good": {"text": cosigned(), "policy": WITNESSED},
        "half": {"text": saved(SOUND), "policy": ""},
        "bad": {"text": broken, "policy": ""},
        "bad policy": {"text": saved(SOUND), "policy": f"log {OTHER.vkey}\nquorum none"},
        "none": {"text": '{"type": "header"}', "policy": ""},
    }
    given = {
        "chromium": browser,
        "page": str(file),
        "receipts": [{"text": text, "policy": policy} for text, policy in texts()],
        "signatures": signatures(),
        "shown": shown,
        "screenshots": os.environ.get("SCREENSHOTS"),
    }
    return run_script(SCRIPT, given, timeout_seconds=SECONDS_MAX)


def test_the_page_and_the_command_judge_every_receipt_alike(page):
    expected: list[bool | None] = []
    for text, policy in texts():
        try:
            demands = Demands(policy=parse_policy(policy) if policy else None)
            expected.append(bool(check_receipt(text, demands).findings))
        except NoReceipt:
            expected.append(None)

    found = [None if rules is None else bool(rules) for rules in page["verdicts"]]

    differing = [
        (text, one, other) for (text, _), one, other in zip(texts(), found, expected, strict=True) if one != other
    ]
    assert [(one, other) for _, one, other in differing] == [], differing[:1]
    assert (expected.count(False) >= 9, expected.count(True) >= 200) == (True, True)


def test_the_page_and_the_command_verify_every_published_signature_alike(page):
    valid = [row[3] for row in ED25519["wycheproof"]["rows"]]

    assert page["signed"] == [_is_verified(*map(bytes.fromhex, row)) for row in signatures()]
    assert page["signed"][: len(valid)] == valid


def test_the_page_asks_no_server_and_has_no_error(page):
    assert [url.split(":")[0] for url in page["requests"] if not url.startswith("data:")] == ["file"]
    assert page["errors"] == []


def test_the_page_says_what_it_found_and_what_it_does_not_show(page):
    shown = page["shown"]

    assert {name: each["headline"] for name, each in shown.items()} == {
        "good": "This receipt is genuine",
        "half": "This receipt is consistent in itself",
        "bad": "This receipt is broken",
        "bad policy": "This receipt is broken",
        "none": "This is no receipt",
    }
    assert "w saw the same log" in shown["good"]["sentence"]
    assert shown["bad"]["sentence"] == "The hash is not that of the entry's body."
    assert "None of the keys that you trust has signed" in shown["bad policy"]["sentence"]
    assert "0.012345 credits from available to revenue:chat" in shown["good"]["facts"]
    assert "leaf 300 of 700" in shown["good"]["facts"]
    assert "no later entry takes this one back" in shown["good"]["limits"]
    assert (shown["bad"]["limits"], shown["none"]["facts"]) == ("", "")


def test_a_receipt_is_taken_from_a_file_and_by_dropping_it(page):
    assert page["isHidden"]
    assert (page["fromFile"], page["fromDrop"]) == ("This receipt is consistent in itself",) * 2


def test_the_page_fits_a_desk_and_a_phone_and_names_its_controls(page):
    assert [each["overflow"] for each in page["shown"].values()] == [0] * 5
    assert (page["phone"], page["unnamed"]) == (0, [])


def test_the_page_checks_a_receipt_within_a_blink(page):
    assert page["milliseconds"] < 100


def _is_verified(key: bytes, message: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True
