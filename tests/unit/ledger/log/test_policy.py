"""Trust policies: groups and quorums, strict lines, and verdicts over signed and cosigned checkpoints."""

import pytest

from shared.ledger.log.notes import COSIGNATURE, SeedSigner, SignedNote, VerifierKey, cosignature, signed
from shared.ledger.log.policy import MalformedPolicy, parse_policy

TEXT = "example.org/log\n7\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
LOG = SeedSigner("example.org/log", bytes(range(32)))
OTHER_LOG = SeedSigner("example.org/other", bytes(32))
WITNESSES = {
    name: SeedSigner(f"{name}.example", bytes([number]) * 32, kind=COSIGNATURE)
    for number, name in enumerate(["X1", "X2", "X3", "Y1", "Y2"], 1)
}
LINES = "".join(f"witness {name} {witness.vkey}\n" for name, witness in WITNESSES.items())
LEVELS = f"""
# two operators
log {LOG.vkey} https://log.example/
{LINES}
group X-witnesses 2 X1 X2 X3
\tgroup Y-witnesses any Y1\t Y2\x20
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def cosigned(*names: str) -> SignedNote:
    return signed(TEXT, LOG).with_signatures(cosignature(TEXT, WITNESSES[name], 1) for name in names)


@pytest.mark.parametrize(
    ("names", "is_accepted"),
    [
        ((), False),
        (("X1", "Y1"), False),
        (("X1", "X2"), False),
        (("X1", "X2", "X3"), False),
        (("Y1", "Y2"), False),
        (("X1", "X3", "Y2"), True),
        (("X1", "X2", "X3", "Y1", "Y2"), True),
    ],
)
def test_a_quorum_over_two_levels_is_reached_by_enough_cosignatures(names, is_accepted):
    verdict = parse_policy(LEVELS).verdict(cosigned(*names))

    assert (verdict.is_accepted, verdict.log, verdict.witnesses) == (is_accepted, LOG.vkey, names)


def test_a_missing_quorum_is_told_with_its_name():
    problem = parse_policy(LEVELS).verdict(cosigned("X1")).problem

    assert problem == "The cosignatures (X1) do not reach the quorum X-and-Y."


def test_quorum_none_asks_for_the_logs_signature_alone():
    policy = parse_policy(f"log {LOG.vkey}\nquorum none\n")

    assert policy.verdict(signed(TEXT, LOG)).is_accepted
    assert policy.verdict(signed(TEXT, LOG)).checkpoint is not None


def test_a_quorum_of_one_witness_asks_for_that_witness():
    policy = parse_policy(f"log {LOG.vkey}\n{LINES}quorum X2")

    assert policy.verdict(cosigned("X2")).is_accepted
    assert not policy.verdict(cosigned("X1", "X3", "Y1", "Y2")).is_accepted


@pytest.mark.parametrize("logs", ["", f"log {OTHER_LOG.vkey}\n"])
def test_a_checkpoint_of_no_listed_log_is_refused(logs):
    verdict = parse_policy(f"{logs}quorum none\n").verdict(signed(TEXT, LOG))

    assert (verdict.is_accepted, verdict.log) == (False, None)


def test_a_log_that_signs_under_another_origin_is_refused():
    policy = parse_policy(f"log {OTHER_LOG.vkey}\nquorum none\n")

    assert not policy.verdict(signed(TEXT, OTHER_LOG)).is_accepted


def test_a_note_that_is_no_checkpoint_is_refused():
    note = signed("example.org/log\nnot a size\n", LOG)

    assert not parse_policy(f"log {LOG.vkey}\nquorum none\n").verdict(note).is_accepted


def test_one_forged_cosignature_refuses_the_checkpoint():
    note = cosigned("X1", "X2", "Y1")
    forged = cosignature(f"{TEXT}more\n", WITNESSES["X3"], 1)

    assert not parse_policy(LEVELS).verdict(note.with_signatures([forged])).is_accepted


def test_a_policy_of_many_logs_witnesses_and_groups_is_read():
    witnesses = [SeedSigner(f"w{n}", n.to_bytes(32), kind=COSIGNATURE).vkey for n in range(1, 65)]
    logs = [SeedSigner(f"l{n}", n.to_bytes(32)).vkey for n in range(1, 65)]
    lines = [f"log {log}" for log in logs] + [f"witness w{n} {key}" for n, key in enumerate(witnesses)]
    lines += [f"group g{n} all w{n}" for n in range(64)] + ["quorum g63"]

    policy = parse_policy("\n".join(lines))

    assert (len(policy.logs), len(policy.witnesses), len(policy.groups)) == (64, 64, 64)


def test_names_are_octets_and_urls_are_kept():
    policy = parse_policy(b"witness \xff %s https://w.example/x\nquorum \xff\n" % str(WITNESSES["X1"].vkey).encode())

    assert policy.witnesses[0].url == "https://w.example/x"
    assert policy.verdict(cosigned()).problem is not None


W1, W2 = (str(WITNESSES[name].vkey) for name in ("X1", "X2"))
RENAMED = VerifierKey(name="renamed", kind=COSIGNATURE, public_key=WITNESSES["X1"].vkey.public_key)
MALFORMED = {
    "another keyword": ("logs x\nquorum none\n", 1),
    "a keyword in capitals": (f"Log {LOG.vkey}\nquorum none\n", 1),
    "a log without a key": ("log\nquorum none\n", 1),
    "a log with too much": (f"log {LOG.vkey} a b\nquorum none\n", 1),
    "a log with a broken key": (f"log {str(LOG.vkey)[:-4]}AAAA\nquorum none\n", 1),
    "the same log twice": (f"log {LOG.vkey}\n\nlog {LOG.vkey} url\nquorum none\n", 3),
    "a witness without a name": (f"witness {W1}\nquorum none\n", 1),
    "a witness with a key that signs the bare text": (f"witness a {LOG.vkey}\nquorum none\n", 1),
    "the same witness under two names": (f"witness a {W1}\nwitness b {RENAMED}\nquorum none\n", 2),
    "two witnesses of one name": (f"witness a {W1}\nwitness a {W2}\nquorum none\n", 2),
    "a witness named none": (f"witness none {W1}\nquorum none\n", 1),
    "a group named as a witness": (f"witness a {W1}\ngroup a any a\nquorum none\n", 2),
    "a group of nobody": (f"witness a {W1}\ngroup g any\nquorum none\n", 2),
    "a group of itself": (f"witness a {W1}\ngroup g any g\nquorum none\n", 2),
    "a group of a later name": (f"witness a {W1}\ngroup g any b\nwitness b {W2}\nquorum none\n", 2),
    "a group of none": ("group g any none\nquorum none\n", 1),
    "a member twice in a group": (f"witness a {W1}\ngroup g 2 a a\nquorum g\n", 2),
    "a member of two groups": (f"witness a {W1}\ngroup g any a\ngroup h any a\nquorum g\n", 3),
    "a threshold of zero": (f"witness a {W1}\ngroup g 0 a\nquorum g\n", 2),
    "a threshold above the members": (f"witness a {W1}\ngroup g 2 a\nquorum g\n", 2),
    "a threshold with a zero before it": (f"witness a {W1}\ngroup g 01 a\nquorum g\n", 2),
    "a threshold in other digits": (f"witness a {W1}\ngroup g ١ a\nquorum g\n", 2),
    "a quorum of a later name": (f"quorum a\nwitness a {W1}\n", 1),
    "two quorums": ("quorum none\nquorum none\n", 2),
    "a quorum of two": (f"witness a {W1}\nquorum a a\n", 2),
    "a carriage return": (f"log {LOG.vkey}\r\nquorum none\r\n", 1),
    "a form feed": (f"log {LOG.vkey}\fx\nquorum none\n", 1),
    "a byte order mark": (f"\ufefflog {LOG.vkey}\nquorum none\n", 1),
    "a no-break space": (f"log\u00a0{LOG.vkey}\nquorum none\n", 1),
    "no quorum": (f"log {LOG.vkey}\n", None),
    "empty": ("", None),
    "too long": ("#" * 1_000_001, None),
}


@pytest.mark.parametrize(("text", "line"), MALFORMED.values(), ids=MALFORMED)
def test_a_policy_in_another_form_is_refused_by_line(text, line):
    with pytest.raises(MalformedPolicy) as refusal:
        parse_policy(text)

    assert refusal.value.line == line
