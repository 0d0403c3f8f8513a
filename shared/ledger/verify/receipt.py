"""Offline check of a receipt: the entry, its signature, its place in the log, and the log's signature.

Rules of findings: `grammar`, `canonical`, `identity`, `hash`, `signature`, `retired_key`, `early_key`, `unknown_key`,
`proof`, `checkpoint`, `inclusion`, `policy`.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.kernel.canonical import NotCanonical, parse_canonical
from shared.ledger.entries import ENTRY_VERSION, ENVELOPE, body_hash
from shared.ledger.errors import UnknownKey
from shared.ledger.findings import Finding, Findings
from shared.ledger.keys import PublicKey, Verifier, from_base64
from shared.ledger.log.checkpoints import Checkpoint, parse_checkpoint
from shared.ledger.log.leaves import InvalidLeaf, entry_leaf
from shared.ledger.log.merkle import InvalidProof, leaf_hash, root_of_inclusion
from shared.ledger.log.notes import ForgedNote, MalformedNote, parse_note, parse_vkey
from shared.ledger.log.policy import Policy
from shared.ledger.log.proof_receipts import MalformedReceipt, ProofReceipt, parse_receipt
from shared.ledger.log.proof_text import MalformedProof, ProofText, parse_proof

SEQ_MAX = 2**53 - 1
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
NOT_SHOWN = (
    "whether the entries before this one are all there (an export shows that)",
    "whether a later entry reverses this one",
)
"""Parts that no receipt can show, in words of the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptReport:
    """Verdict about one receipt. `findings` are the broken laws, the first one first.

    `ledger`, `uid`, `seq`, `kind` and `at` are the entry's own words, or empty if they cannot be read. `index` and
    `size` are the leaf and the size of the checkpoint. `is_vouched`: a policy accepted the checkpoint, which
    `witnesses` cosigned. `unchecked` has sentences.
    """

    findings: tuple[Finding, ...]
    ledger: str = ""
    uid: str = ""
    seq: int = 0
    kind: str = ""
    at: int = 0
    index: int = 0
    size: int = 0
    origin: str = ""
    is_vouched: bool = False
    witnesses: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """True if no law is broken."""
        return not self.findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """Trust of the caller, and the accounts of which one must have the entry. None and (): not demanded."""

    policy: Policy | None = None
    keys: tuple[PublicKey, ...] | None = None
    ledger: str | None = None
    uids: tuple[str, ...] = ()


def check_receipt(text: str, demands: Demands | None = None) -> ReceiptReport:
    """Check a saved answer of `GET /v1/credits/entries/{seq}/proof`. Raises NoReceipt for another text."""
    check = _ReceiptCheck(demands or Demands())
    try:
        check.follow(parse_receipt(text))
    except MalformedReceipt as error:
        check.findings.report(0, "grammar", str(error))
    return check.report()


@dataclass(slots=True, eq=False, repr=False)
class _ReceiptCheck:
    demands: Demands
    findings: Findings = field(default_factory=Findings)
    envelope: Mapping[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    unchecked: list[str] = field(default_factory=list)

    def follow(self, receipt: ProofReceipt) -> None:
        """Check each part of the receipt. A broken part does not stop the others."""
        self._read_body(receipt)
        self._check_entry(receipt)
        proof = self._parsed(receipt.proof)
        checkpoint = None if proof is None else self._checked_note(proof, receipt.log)
        if proof is not None and checkpoint is not None:
            self._check_inclusion(receipt, proof, checkpoint)
        if self.demands.policy is None:
            self.unchecked.append(f"who owns the log's key {receipt.log} (a policy vouches for it)")
        if self.demands.keys is None:
            self.unchecked.append(f"whether {_fingerprint(receipt.public_key)} was the ledger's key at that time")
        self.unchecked += NOT_SHOWN

    def report(self) -> ReceiptReport:
        envelope = {name: self.envelope[name] for name in ("ledger", "uid", "seq", "kind", "at") if self.envelope}
        findings = [
            Finding(uid=str(envelope.get("uid", "")), seq=envelope.get("seq", 0), rule=each.rule, detail=each.detail)
            for each in self.findings.items
        ]
        return ReceiptReport(findings=tuple(findings), **envelope, **self.told, unchecked=tuple(self.unchecked))

    def _found(self, rule: str, detail: str) -> None:
        self.findings.report(0, rule, detail)

    def _read_body(self, receipt: ProofReceipt) -> None:
        """Read the body, and compare the ledger, the account and the key that the body names."""
        try:
            body = parse_canonical(receipt.body)
        except (NotCanonical, UnicodeError):
            self._found("canonical", "The body of the entry is not the canonical form of its value.")
            return
        if not isinstance(body, dict) or not _is_envelope(body):
            self._found("grammar", "The body of the entry lacks a name that each entry has, or has it in another type.")
            return
        self.envelope = body
        ledgers = () if self.demands.ledger is None else (self.demands.ledger,)
        for name, demanded in (("ledger", ledgers), ("uid", self.demands.uids)):
            if demanded and body[name] not in demanded:
                self._found("identity", f"The entry is of {name} {body[name]}, not of {' or '.join(demanded)}.")
        if body["kid"] != receipt.kid:
            self._found("identity", f"The entry names the key {body['kid']}, the receipt has the key {receipt.kid}.")

    def _check_entry(self, receipt: ProofReceipt) -> None:
        if _HASH.fullmatch(receipt.hash) is None or body_hash(receipt.body) != receipt.hash:
            self._found("hash", "The hash is not that of the entry's body.")
        own = PublicKey(kid=receipt.kid, public_key=receipt.public_key)
        trusted = (own,) if self.demands.keys is None else self.demands.keys
        self._require_known(own, trusted)
        try:
            self._check_signature(receipt, Verifier(trusted))
        except UnknownKey:
            self._found("unknown_key", f"The key {receipt.kid} is not among the trusted keys.")
        except ValueError as error:
            self._found("signature", f"The key of the entry cannot be used: {error}")

    def _require_known(self, own: PublicKey, keys: Iterable[PublicKey]) -> None:
        if any(key.public_key != own.public_key for key in keys if key.kid == own.kid):
            self._found("identity", f"The receipt has another key {own.kid} than the trusted keys.")

    def _check_signature(self, receipt: ProofReceipt, verifier: Verifier) -> None:
        at = self.envelope.get("at", 0)
        rule = verifier.entry_rule(receipt.hash, kid=receipt.kid, signature=receipt.signature, at=at)
        if rule is not None:
            self._found(rule, f"The key {receipt.kid} has not validly signed this entry.")

    def _parsed(self, text: str) -> ProofText | None:
        try:
            return parse_proof(text)
        except MalformedProof as error:
            self._found("proof", str(error))
            return None

    def _checked_note(self, proof: ProofText, log: str) -> Checkpoint | None:
        """Return the checkpoint if the named log signed it and the policy, if any, accepts it."""
        try:
            note, vkey = parse_note(proof.note), parse_vkey(log)
            checkpoint = parse_checkpoint(note.text)
            is_signed = vkey in note.signatures_by([vkey]) and vkey.name == checkpoint.origin
        except (MalformedNote, ForgedNote, ValueError) as error:
            self._found("checkpoint", str(error))
            return None
        if not is_signed:
            self._found("checkpoint", f"The log {vkey.name} has not signed this checkpoint of {checkpoint.origin}.")
            return None
        self.told = {"index": proof.index, "size": checkpoint.size, "origin": checkpoint.origin}
        if self.demands.policy is not None:
            verdict = self.demands.policy.verdict(note)
            self.told |= {"witnesses": verdict.witnesses, "is_vouched": verdict.is_accepted}
            if verdict.problem is not None:
                self._found("policy", verdict.problem)
        return checkpoint

    def _check_inclusion(self, receipt: ProofReceipt, proof: ProofText, checkpoint: Checkpoint) -> None:
        try:
            leaf = leaf_hash(entry_leaf(receipt.hash, receipt.signature))
            root = root_of_inclusion(leaf, proof.index, checkpoint.size, proof.hashes)
        except (InvalidLeaf, InvalidProof) as error:
            self._found("inclusion", str(error))
            return
        if root != checkpoint.root:
            self._found("inclusion", f"The log of {checkpoint.size} leaves does not hold this entry at {proof.index}.")


def _is_envelope(body: Mapping[str, Any]) -> bool:
    """Return True if the body has each name of an entry's envelope, with a value of its type."""
    if not body.keys() >= ENVELOPE:
        return False
    texts = all(isinstance(body[name], str) for name in ("ledger", "uid", "prev", "kind", "op", "kid"))
    numbers = all(type(body[name]) is int for name in ("v", "seq", "at", "posted", "held", "debt"))
    has_postings = isinstance(body["postings"], list)
    return (
        texts
        and numbers
        and has_postings
        and body["v"] == ENTRY_VERSION
        and 1 <= body["seq"] <= SEQ_MAX
        and body["at"] >= 0
    )


def _fingerprint(public_key: str) -> str:
    """Return `SHA256:` and the digest of the raw key, in hex: short to read aloud and to compare."""
    try:
        raw = from_base64(public_key)
    except ValueError:
        return "a key that cannot be read"
    return f"SHA256:{hashlib.sha256(raw).hexdigest()}"
