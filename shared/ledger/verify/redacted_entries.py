"""Check of a redacted entry in an export: the checkpoint's tree has the entry, and behind it the snapshot."""

from collections.abc import Callable

from shared.ledger.keys import from_base64
from shared.ledger.log.checkpoints import Checkpoint, parse_checkpoint
from shared.ledger.log.leaves import InvalidLeaf, entry_leaf, typed_leaf
from shared.ledger.log.merkle import InvalidProof, leaf_hash, root_of_inclusion
from shared.ledger.log.notes import MalformedNote, parse_note
from shared.ledger.redactions import RULE, leaf_body
from shared.ledger.verify.grammar import EntryLine, HeaderLine
from shared.ledger.verify.log_lines import LeafPlace

Report = Callable[[int, str, str], None]
"""Function that reports a finding: seq, rule and detail."""


def told_checkpoint(header: HeaderLine) -> Checkpoint | None:
    """Return the checkpoint of a header, None if the header has none that can be read."""
    if header.checkpoint is None:
        return None
    try:
        return parse_checkpoint(parse_note(header.checkpoint).text)
    except MalformedNote:
        return None


def check_places(line: EntryLine, checkpoint: Checkpoint | None, report: Report) -> None:
    """Report a redacted entry of which the checkpoint's log does not have the entry, or the snapshot behind it."""
    assert line.redaction is not None, "the body is gone"
    assert line.places is not None, "the body is gone"
    if checkpoint is None:
        report(line.seq, RULE, "the export has no checkpoint of a log that names the snapshot")
        return
    entry, snapshot = line.places
    try:
        leaves = (
            (entry_leaf(line.hash, line.signature), entry, "entry"),
            (typed_leaf("snapshot", leaf_body(line.body, line.redaction.seal)), snapshot, "snapshot"),
        )
    except InvalidLeaf as error:
        report(line.seq, RULE, str(error))
        return
    for data, place, name in leaves:
        if not _has(checkpoint, data, place):
            report(line.seq, RULE, f"the log does not have the {name} at this place")
    if snapshot.index <= entry.index:
        report(line.seq, RULE, "the log has the snapshot before the entry")


def _has(checkpoint: Checkpoint, data: bytes, place: LeafPlace) -> bool:
    hashes = [from_base64(each) for each in place.hashes]
    try:
        return root_of_inclusion(leaf_hash(data), place.index, checkpoint.size, hashes) == checkpoint.root
    except InvalidProof:
        return False
