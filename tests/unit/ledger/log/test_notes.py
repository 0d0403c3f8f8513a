"""Signed notes and verifier keys: published examples, strict parsing, and one changed bit anywhere."""

import pytest

from shared.ledger.keys import to_base64
from shared.ledger.log.checkpoints import Checkpoint, parse_checkpoint
from shared.ledger.log.notes import (
    COSIGNATURE,
    ED25519,
    ForgedNote,
    MalformedNote,
    SeedSigner,
    SignedNote,
    VerifierKey,
    cosignature,
    parse_note,
    parse_signatures,
    parse_vkey,
    signed,
)
from tests.support.vectors import VECTORS

EXAMPLE_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
TESSERA_VKEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
TESSERA_NOTE = (
    "example.com/log/testdata\n15\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n\n"
    "— example.com/log/testdata "
    "M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=\n"
)
TEXT = "example.org/log\n7\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
SEED = bytes(range(32))
LOG = SeedSigner("example.org/log", SEED)
WITNESS = SeedSigner("witness.example", bytes(32), kind=COSIGNATURE)


@pytest.mark.parametrize(("vkey", "note"), [(EXAMPLE_VKEY, EXAMPLE_NOTE), (TESSERA_VKEY, TESSERA_NOTE)])
def test_a_published_note_is_accepted_by_its_published_key(vkey, note):
    key, parsed = parse_vkey(vkey), parse_note(note.encode())

    assert list(parsed.signatures_by([key])) == [key]
    assert (str(key), str(parsed)) == (vkey, note)


@pytest.mark.skipif(not (VECTORS / "tessera").is_dir(), reason="the published vectors are not on this machine")
def test_every_checkpoint_of_tesseras_test_log_is_accepted():
    key = parse_vkey(TESSERA_VKEY)
    folder = VECTORS / "tessera/testdata/log"
    notes = [parse_note((folder / f"checkpoint.{size}").read_bytes()) for size in range(16)]

    assert [parse_checkpoint(note.text).size for note in notes] == list(range(16))
    assert [list(note.signatures_by([key])) for note in notes] == [[key]] * 16


def test_a_note_with_any_changed_bit_is_not_accepted():
    key, raw = parse_vkey(TESSERA_VKEY), TESSERA_NOTE.encode()

    for place in range(len(raw) * 8):
        edited = bytearray(raw)
        edited[place // 8] ^= 1 << place % 8
        assert not is_accepted(bytes(edited), key), place


def test_a_vkey_with_any_changed_bit_is_refused():
    for place in range(len(TESSERA_VKEY) * 8):
        edited = bytearray(TESSERA_VKEY.encode())
        edited[place // 8] ^= 1 << place % 8
        with pytest.raises(MalformedNote):
            parse_vkey(edited.decode("utf-8", "surrogateescape"))


def test_a_vkey_is_parted_at_the_first_two_plus_signs_only():
    keys = [SeedSigner("log", number.to_bytes(32)).vkey for number in range(1, 40)]
    with_plus = [key for key in keys if "+" in str(key).split("+", 2)[2]]

    assert with_plus
    assert [parse_vkey(str(key)) for key in keys] == keys


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\u2028b", "a\nb", "a\x00b", "\ud800"])
def test_a_name_that_would_break_a_line_is_refused(name):
    with pytest.raises(MalformedNote, match="no name of a key"):
        SeedSigner(name, SEED)


@pytest.mark.parametrize("kind", [0, 2, 3, 5, 6, 255])
def test_a_key_of_another_type_is_refused_by_number(kind):
    with pytest.raises(MalformedNote, match=f"Type {kind} "):
        VerifierKey(name="log", kind=kind, public_key=LOG.vkey.public_key)


UNSOUND = {
    "of order 1": (1).to_bytes(32, "little"),
    "of order 2": (2**255 - 20).to_bytes(32, "little"),
    "of order 4": bytes(32),
    "of order 8": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    "not canonical": (2**255 - 19).to_bytes(32, "little"),
    "not canonical, with a sign": bytes([255]) * 32,
    "off the curve": (2).to_bytes(32, "little"),
    "short": bytes(31),
    "empty": b"",
}


@pytest.mark.parametrize("raw", UNSOUND.values(), ids=UNSOUND)
def test_a_key_of_low_order_or_not_canonical_is_refused(raw):
    with pytest.raises(MalformedNote, match="The key of log is refused: "):
        VerifierKey(name="log", kind=ED25519, public_key=raw)


MALFORMED = {
    "empty": "",
    "no signature": "text\n\n",
    "no empty line": "text\n— log AAAAAAA=\n",
    "a line of another kind": "text\n\n— log AAAAAAA=\nmore\n",
    "no dash": "text\n\n- log AAAAAAA=\n",
    "two spaces": "text\n\n—  log AAAAAAA=\n",
    "no name": "text\n\n—  AAAAAAA=\n",
    "a key id alone": "text\n\n— log AAAAAA==\n",
    "no padding": "text\n\n— log AAAAAAA\n",
    "loose padding bits": "text\n\n— log AAAAAAB=\n",
    "a carriage return": "text\r\n\n— log AAAAAAA=\n",
    "a tab": "te\txt\n\n— log AAAAAAA=\n",
    "no last newline": "text\n\n— log AAAAAAA=",
    "half a surrogate": "te\ud800xt\n\n— log AAAAAAA=\n",
    "too many signatures": "text\n\n" + "— log AAAAAAA=\n" * 101,
    "too long": "x" * 1_000_001 + "\n\n— log AAAAAAA=\n",
}


@pytest.mark.parametrize("note", MALFORMED.values(), ids=MALFORMED)
def test_a_note_in_another_form_is_refused(note):
    with pytest.raises(MalformedNote):
        parse_note(note)


def test_bytes_that_are_no_utf8_are_refused():
    with pytest.raises(MalformedNote, match="UTF-8"):
        parse_note(b"te\xffxt\n\n\xe2\x80\x94 log AAAAAAA=\n")


def test_the_last_empty_line_parts_text_and_signatures():
    note = parse_note("one\n\ntwo\n\n— log AAAAAAA=\n")

    assert note.text == "one\n\ntwo\n"


def test_a_note_that_was_signed_is_accepted_when_parsed_again():
    note = parse_note(str(signed(TEXT, LOG)))

    assert list(note.signatures_by([LOG.vkey])) == [LOG.vkey]


def test_a_signature_by_an_unknown_key_is_ignored():
    note = signed(TEXT, LOG)
    same_name = SeedSigner(LOG.vkey.name, bytes(32)).vkey
    other_kind = VerifierKey(name=LOG.vkey.name, kind=COSIGNATURE, public_key=LOG.vkey.public_key)

    assert note.signatures_by([same_name, other_kind]) == {}


def test_a_forged_signature_of_a_known_key_refuses_the_note():
    good = signed(TEXT, LOG)
    forged = SignedNote(TEXT.replace("7", "8"), good.signatures)

    with pytest.raises(ForgedNote, match=r"example\.org/log"):
        forged.signatures_by([LOG.vkey])


def test_a_cosignature_is_bound_to_its_time_and_text():
    note = signed(TEXT, LOG).with_signatures([cosignature(TEXT, WITNESS, 1_700_000_000)])
    found = parse_note(str(note)).signatures_by([LOG.vkey, WITNESS.vkey])
    raw = bytearray(found[WITNESS.vkey].signature)
    raw[7] ^= 1

    assert found[WITNESS.vkey].cosigned_at == 1_700_000_000
    assert WITNESS.vkey.is_signed(TEXT, found[WITNESS.vkey].signature)
    assert not WITNESS.vkey.is_signed(TEXT, bytes(raw))
    assert not WITNESS.vkey.is_signed(f"{TEXT}more\n", found[WITNESS.vkey].signature)


@pytest.mark.parametrize("signature", [b"", bytes(8), bytes(63), bytes(65), bytes(71), bytes([255] * 72)])
@pytest.mark.parametrize("key", [LOG.vkey, WITNESS.vkey])
def test_a_signature_of_another_length_or_time_does_not_fit(key, signature):
    assert not key.is_signed(TEXT, signature)


def test_a_later_cosignature_of_one_witness_replaces_the_earlier():
    first, second = cosignature(TEXT, WITNESS, 1), cosignature(TEXT, WITNESS, 2)

    note = signed(TEXT, LOG).with_signatures([first]).with_signatures([second])

    assert [each.name for each in note.signatures] == ["example.org/log", "witness.example"]
    assert note.signatures[1] == second


def test_signature_lines_alone_are_parsed_as_a_witness_sends_them():
    line = cosignature(TEXT, WITNESS, 1)

    assert parse_signatures(str(line).encode()) == (line,)
    assert parse_signatures(b"") == ()


CHECKPOINTS = {
    "two lines": "log\n1\n",
    "an empty origin": "\n1\n{root}\n",
    "an empty extension": "log\n1\n{root}\n\nmore\n",
    "no last newline": "log\n1\n{root}",
    "a leading zero": "log\n01\n{root}\n",
    "a sign": "log\n+1\n{root}\n",
    "no number": "log\none\n{root}\n",
    "other digits": "log\n١\n{root}\n",
    "too large": "log\n9223372036854775808\n{root}\n",
    "a short root": "log\n1\nAAAA\n",
    "a loose root": "log\n1\n" + "A" * 42 + "B=\n",
    "a root in another alphabet": "log\n1\n" + "_" * 43 + "=\n",
}


@pytest.mark.parametrize("text", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_a_checkpoint_in_another_form_is_refused(text):
    with pytest.raises(MalformedNote):
        parse_checkpoint(text.format(root=to_base64(bytes(32))))


@pytest.mark.parametrize("extensions", [(), ("one", "two")])
def test_a_checkpoint_is_parsed_to_the_text_written(extensions):
    checkpoint = Checkpoint(origin="example.org/log 1", size=2**40, root=bytes(32), extensions=extensions)

    assert parse_checkpoint(str(checkpoint)) == checkpoint


def is_accepted(raw: bytes, key: VerifierKey) -> bool:
    try:
        return key in parse_note(raw).signatures_by([key])
    except (MalformedNote, ForgedNote):
        return False


def test_types_of_keys_give_one_key_two_ids():
    assert VerifierKey(name="log", kind=ED25519, public_key=LOG.vkey.public_key).key_id != (
        VerifierKey(name="log", kind=COSIGNATURE, public_key=LOG.vkey.public_key).key_id
    )
