"""Proof texts: written as C2SP says, and read strictly."""

import pytest

from shared.ledger.keys import to_base64
from shared.ledger.log.proof_text import MalformedProof, ProofText, parse_proof
from tests.support.log_trees import MemoryLog

LOG = MemoryLog(f"leaf {number}".encode() for number in range(300))
TEXT = LOG.proof(77)
HASH = to_base64(bytes(32))


def test_a_proof_is_the_same_after_reading_and_writing():
    proof = parse_proof(TEXT)

    assert str(proof) == TEXT
    assert (proof.index, len(proof.hashes), proof.note, proof.extra) == (77, 9, LOG.checkpoint(), None)


def test_extra_data_and_an_empty_path_are_read():
    proof = ProofText(index=0, hashes=(), note=LOG.checkpoint(), extra=b"more")

    assert parse_proof(str(proof)) == proof


@pytest.mark.parametrize(
    ("found", "put"),
    [
        ("@v1", "@v2"),
        ("@v1\n", "@v1\r\n"),
        ("index 77", "index 077"),
        ("index 77", "index +77"),
        ("index 77", "index -7"),
        ("index 77", "index ７７"),
        ("index 77", "index 77 "),
        ("index 77", "index  77"),
        ("index 77", "Index 77"),
        ("index 77", "index 99999999999999999999"),
        ("index 77\n", ""),
        ("index 77\n", "index 77\nindex 77\n"),
        ("index 77\n", "extra \u00e9\nindex 77\n"),
        ("index 77\n", "index 77\nextra AAAA\n"),
        ("index 77\n", "extra AAAA\nextra AAAA\nindex 77\n"),
        ("index 77\n", f"index 77\n{HASH[:-2]}B=\n"),
        ("index 77\n", f"index 77\n {HASH}\n"),
        ("index 77\n", "index 77\nAAAA\n"),
        ("index 77\n", "index 77\n" + f"{HASH}\n" * 64),
        ("\n\n", "\n"),
    ],
)
def test_a_text_in_another_form_is_refused(found, put):
    assert found in TEXT

    with pytest.raises(MalformedProof):
        parse_proof(TEXT.replace(found, put, 1) if found != "\n\n" else TEXT.replace(found, put))


@pytest.mark.parametrize(
    "text", ["", "\n\n", "c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v1\nindex 7\n\n", "x" * 10**7]
)
def test_no_proof_is_refused_as_such(text):
    with pytest.raises(MalformedProof):
        parse_proof(text)
