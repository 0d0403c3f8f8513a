"""Check of a redacted entry in an export: the checkpoint's tree has the entry, and behind it the snapshot."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

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


@dataclass(frozen=True, slots=True, kw_only=True)
class NamingLog:
    """Log that names snapshots: the checkpoint, and for each retired key the index of the leaf that retired the key."""

    checkpoint: Checkpoint
    retired: Mapping[str, int]


def naming_log(header: HeaderLine) -> NamingLog | None:
    """Return the log of a header, None if the header has no checkpoint that can be read."""
    if header.checkpoint is None:
        return None
    try:
        checkpoint = parse_checkpoint(parse_note(header.checkpoint).text)
    except MalformedNote:
        return None
    return NamingLog(checkpoint=checkpoint, retired=dict(_retirements(header)))


def _retirements(header: HeaderLine) -> Iterator[tuple[str, int]]:
    """Yield each retired key with the index of its leaf. Entries that cannot be read are findings of the header."""
    for leaf in () if header.log is None else header.log.keys:
        try:
            body: Any = orjson.loads(leaf.body)
            if body["kind"] == "retired":
                yield str(body["kid"]), leaf.index
        except (KeyError, TypeError, ValueError):
            continue


def check_places(line: EntryLine, log: NamingLog | None, report: Report) -> None:
    """Report a redacted entry of which the log does not have the entry, or the snapshot behind the entry.

    The log has the snapshot before the leaf that retired the key of the seal.
    """
    assert line.redaction is not None, "the body is gone"
    assert line.places is not None, "the body is gone"
    if log is None:
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
        if not _has(log.checkpoint, data, place):
            report(line.seq, RULE, f"the log does not have the {name} at this place")
    if snapshot.index <= entry.index:
        report(line.seq, RULE, "the log has the snapshot before the entry")
    kid = line.redaction.seal.partition(":")[0]
    if snapshot.index > log.retired.get(kid, snapshot.index):
        report(line.seq, RULE, f"the log has the snapshot behind the end of key {kid}")


def _has(checkpoint: Checkpoint, data: bytes, place: LeafPlace) -> bool:
    hashes = [from_base64(each) for each in place.hashes]
    try:
        return root_of_inclusion(leaf_hash(data), place.index, checkpoint.size, hashes) == checkpoint.root
    except InvalidProof:
        return False
