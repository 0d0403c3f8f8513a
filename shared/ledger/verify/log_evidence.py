"""Check of the leaves in an export's header: the registry of keys and a closed day, as the signed log has them.

Rules of findings: `checkpoint`, `inclusion`, `registry`, `day`. Who vouches for the checkpoint's signature is not
decided here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.kernel.canonical import Json
from shared.kernel.clock import DAY, Millis, parse_rfc3339
from shared.ledger.errors import RegistryBroken, UnknownKey
from shared.ledger.key_registry import KeyEntry, KeyRegistry, registry_of
from shared.ledger.keys import DAY_CONTEXT, EARLY_KEY, PublicKey, Verifier, from_base64
from shared.ledger.log.checkpoints import Checkpoint, parse_checkpoint
from shared.ledger.log.days import DayStatement, statement_in
from shared.ledger.log.leaves import InvalidLeaf, LeafKind, typed_leaf
from shared.ledger.log.merkle import InvalidProof, leaf_hash, root_of_inclusion
from shared.ledger.log.notes import MalformedNote, parse_note
from shared.ledger.verify.grammar import HeaderLine, LoggedDay, LoggedKeyEntry, LoggedLeaves

CHECKPOINT, INCLUSION, REGISTRY, DAY_RULE = "checkpoint", "inclusion", "registry", "day"
Report = Callable[[str, str], None]
"""Function that reports a finding about the header: the rule and the detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvidence:
    """Leaves of the header that the checkpoint's tree has.

    `registry` is the registry of keys up to the last entry in the header. `day` is None without a closed day.
    """

    checkpoint: Checkpoint
    registry: KeyRegistry
    day: DayStatement | None = None

    def names(self, key: PublicKey) -> bool:
        """Return True if the registry in the log has this key with the same times.

        A retired key has its end in the log too if the log has only announced that end.
        """
        logged = self.registry.find(key.kid)
        if logged is None or (logged.public_key, logged.since) != (key.public_key, key.since):
            return False
        return key.until == logged.until or key.until == self.registry.end_of(key.kid)


def log_evidence(header: HeaderLine, report: Report) -> LogEvidence | None:
    """Return the evidence in the header if all of it is true. None, with findings, if some is false; None if none."""
    if header.log is None or header.checkpoint is None:
        return None
    try:
        checkpoint = parse_checkpoint(parse_note(header.checkpoint).text)
    except MalformedNote as error:
        report(CHECKPOINT, str(error))
        return None
    if not _are_included(header.log, checkpoint, report):
        return None
    registry = _registry(header, header.log.keys, report)
    day = None if header.log.day is None else _statement(header.ledger, header.log.day, report)
    if registry is None or (day is None) != (header.log.day is None):
        return None
    if day is not None and registry.seq < day.keys:
        report(REGISTRY, f"entry {registry.seq + 1} of the registry of keys is missing: {day.day} counts {day.keys}")
        return None
    return LogEvidence(checkpoint=checkpoint, registry=registry, day=day)


def check_day_seal(evidence: LogEvidence, day: LoggedDay, verifier: Verifier, report: Report) -> None:
    """Report a statement without the seal of a key of the ledger that was in force at the end of the day, or later."""
    assert evidence.day is not None, "the statement was read"
    kid, _, signature = day.seal.partition(":")
    try:
        is_sealed = verifier.is_signed(DAY_CONTEXT, day.statement.encode(), kid=kid, signature=signature)
        rule = verifier.time_rule(kid, end_of_day(evidence.day.day)) if is_sealed else DAY_RULE
    except UnknownKey as error:
        report("unknown_key", error.detail)
        return
    if rule not in {None, EARLY_KEY}:
        report(DAY_RULE, f"key {kid} did not seal the closed day {evidence.day.day} while the key was in force")


def told_day(header: HeaderLine) -> DayStatement | None:
    """Return the closed day of a header that was checked before; None if the header has none that can be used."""
    day = None if header.log is None else header.log.day
    return None if day is None else _statement(header.ledger, day, _reported_before)


def _reported_before(rule: str, detail: str) -> None:
    """Leave out a finding that the check of the header has reported."""
    del rule, detail


def end_of_day(day: str) -> Millis:
    """Return the first moment behind a date (UTC), in ms. Raises ValueError for another text."""
    return Millis(parse_rfc3339(f"{day}T00:00:00.000Z") + DAY)


def _are_included(log: LoggedLeaves, checkpoint: Checkpoint, report: Report) -> bool:
    """Return True if the checkpoint's tree has each leaf at its place. Report the first that the tree has not."""
    days = () if log.day is None else (log.day,)
    for leaf in (*log.keys, *days):
        problem = _problem(leaf, checkpoint)
        if problem is not None:
            report(INCLUSION, problem)
            return False
    return True


def _problem(leaf: LoggedKeyEntry | LoggedDay, checkpoint: Checkpoint) -> str | None:
    try:
        data = _leaf_data(leaf)
        hashes = [from_base64(each) for each in leaf.hashes]
        root = root_of_inclusion(leaf_hash(data), leaf.index, checkpoint.size, hashes)
    except (InvalidLeaf, InvalidProof) as error:
        return str(error)
    if root != checkpoint.root:
        return f"The log of {checkpoint.size} leaves has another leaf {leaf.index} than the header says."
    return None


def _leaf_data(leaf: LoggedKeyEntry | LoggedDay) -> bytes:
    kind: LeafKind = "key" if isinstance(leaf, LoggedKeyEntry) else "day"
    body: dict[str, Json]
    if isinstance(leaf, LoggedKeyEntry):
        body = {"body": leaf.body, "signature": leaf.signature}
    else:
        body = {"seal": leaf.seal, "statement": leaf.statement}
    return typed_leaf(kind, body)


def _registry(header: HeaderLine, entries: Sequence[LoggedKeyEntry], report: Report) -> KeyRegistry | None:
    """Return the registry that the entries make. None, with a finding, if a key of the header contradicts it.

    The header may have keys, and ends of keys, that are newer than the checkpoint. It may not lack any, since the
    exporter reads the registry after the checkpoint.
    """
    chain = (KeyEntry(body=each.body, signature=each.signature) for each in entries)
    try:
        registry = registry_of(chain, header.ledger)
        told = {key.kid: PublicKey.from_json(key._asdict()) for key in header.keys}
    except RegistryBroken as error:
        report(REGISTRY, f"entry {error.params['seq']} of the registry of keys breaks the law {error.params['rule']}")
        return None
    except (ValueError, TypeError) as error:
        report(REGISTRY, f"a key of the header cannot be read: {error}")
        return None
    for logged in registry.keys:
        if not _agree(told.get(logged.kid), logged, registry.end_of(logged.kid)):
            report(REGISTRY, f"the header has not the key {logged.kid} as the log has the key")
            return None
    return registry


def _agree(told: PublicKey | None, logged: PublicKey, end: Millis | None) -> bool:
    """Return True if a key of the header is the one in the log, or the same with an end from after the checkpoint."""
    if told is None or (told.public_key, told.since) != (logged.public_key, logged.since):
        return False
    if logged.until is not None:
        return told.until == logged.until
    return told.until is None or end is None or told.until == end


def _statement(ledger: str, day: LoggedDay, report: Report) -> DayStatement | None:
    try:
        statement = statement_in(day.statement)
        end_of_day(statement.day)
        if statement.ledger != ledger:
            raise ValueError(f"it is of ledger {statement.ledger}")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        report(DAY_RULE, f"the statement of the closed day cannot be used: {error}")
        return None
    return statement
