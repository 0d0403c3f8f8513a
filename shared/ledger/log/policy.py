"""Trust policies (C2SP tlog-policy): the logs and witnesses that vouch for a checkpoint, and how many must.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<number> <name>…
    quorum <name>|none

A policy is a file of octets. Items on a line are parted by spaces and tabs alone; names are compared octet by octet.
"""

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from shared.ledger.log.checkpoints import Checkpoint, parse_checkpoint
from shared.ledger.log.notes import COSIGNATURE, ForgedNote, MalformedNote, SignedNote, VerifierKey, parse_vkey

POLICY_BYTES_MAX = 1_000_000
NO_QUORUM = "none"
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_BLANKS = re.compile("[ \t]+")
_THRESHOLD = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
_LOG_ITEMS = range(1, 3)
_WITNESS_ITEMS = range(2, 4)
_GROUP_ITEMS_MIN = 3


class MalformedPolicy(ValueError):
    """Refusal of a policy, with the line at fault. `line` is None if the file as a whole is at fault."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem if line is None else f"Line {line} of the policy: {problem}")
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLog:
    """Log that the policy accepts. `url` is None if the line names none."""

    vkey: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyWitness:
    """Witness under the policy's own name for it. `url` is the prefix for submissions, None if the line names none."""

    name: str
    vkey: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessGroup:
    """Group that has witnessed a checkpoint if at least `threshold` members have. Members are witnesses and groups."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVerdict:
    """Answer about one checkpoint. `problem` is None if the policy accepts it, else a sentence.

    `log` and `checkpoint` are None unless a log of the policy signed. `witnesses` are the names of those that cosigned.
    """

    problem: str | None
    log: VerifierKey | None = None
    checkpoint: Checkpoint | None = None
    witnesses: tuple[str, ...] = ()

    @property
    def is_accepted(self) -> bool:
        """True if a log of the policy signed the checkpoint and its witnesses reach the quorum."""
        return self.problem is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Parsed policy. `quorum` names a witness or a group; None means that no cosignature is required."""

    logs: tuple[PolicyLog, ...] = ()
    witnesses: tuple[PolicyWitness, ...] = ()
    groups: Mapping[str, WitnessGroup] = field(default_factory=dict)
    quorum: str | None = None

    def verdict(self, note: SignedNote) -> PolicyVerdict:
        """Judge a signed checkpoint. A signature of a known key that does not fit refuses the whole note."""
        keys = [log.vkey for log in self.logs] + [witness.vkey for witness in self.witnesses]
        try:
            by = note.signatures_by(keys)
            checkpoint = parse_checkpoint(note.text)
        except (ForgedNote, MalformedNote) as error:
            return PolicyVerdict(problem=str(error))
        log = next((log.vkey for log in self.logs if log.vkey in by and log.vkey.name == checkpoint.origin), None)
        if log is None:
            return PolicyVerdict(problem="No log of the policy has signed a checkpoint under its own origin.")
        names = tuple(witness.name for witness in self.witnesses if witness.vkey in by)
        return PolicyVerdict(problem=self._missing(names), log=log, checkpoint=checkpoint, witnesses=names)

    def _missing(self, names: tuple[str, ...]) -> str | None:
        if self.quorum is None or self._is_witnessed(self.quorum, frozenset(names)):
            return None
        return f"The cosignatures ({', '.join(names) or 'none'}) do not reach the quorum {_shown(self.quorum)}."

    def _is_witnessed(self, name: str, cosigned: AbstractSet[str]) -> bool:
        """Return True if the witness cosigned or enough members of the group did. A group names earlier ones only."""
        reached: set[str] = set(cosigned)
        for each, group in self.groups.items():
            if len(reached.intersection(group.members)) >= group.threshold:
                reached.add(each)
        return name in reached


def parse_policy(data: bytes | str) -> Policy:
    """Parse a policy file. Raises MalformedPolicy, which names the line at fault."""
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    if len(raw) > POLICY_BYTES_MAX:
        raise MalformedPolicy(f"The policy is longer than {POLICY_BYTES_MAX} bytes.")
    parser = _PolicyParser()
    for number, items in _lines(raw.decode("utf-8", "surrogateescape")):
        try:
            parser.read(items)
        except ValueError as error:
            raise MalformedPolicy(_shown(str(error)), number) from error
    return parser.policy()


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield number and items of each line that says something. Raises MalformedPolicy for a control character."""
    for number, line in enumerate(text.split("\n"), 1):
        if _FORBIDDEN.search(line):
            raise MalformedPolicy("It holds a control character. Lines end in a newline alone, without CR.", number)
        items = _BLANKS.split(line.strip(" \t"))
        if items != [""] and not items[0].startswith("#"):
            yield number, items


class _PolicyParser:
    """Reader of a policy's lines, one after the other. Methods raise ValueError with a sentence about the line."""

    def __init__(self) -> None:
        self._logs: list[PolicyLog] = []
        self._witnesses: dict[str, PolicyWitness] = {}
        self._groups: dict[str, WitnessGroup] = {}
        self._members: set[str] = set()
        self._quorum: str | None = None

    def read(self, items: list[str]) -> None:
        keyword, rest = items[0], items[1:]
        match keyword:
            case "log":
                self._read_log(rest)
            case "witness":
                self._read_witness(rest)
            case "group":
                self._read_group(rest)
            case "quorum":
                self._read_quorum(rest)
            case _:
                raise ValueError(f"It begins with {keyword!r} instead of log, witness, group or quorum.")

    def policy(self) -> Policy:
        """Return the policy of all lines. Raises MalformedPolicy if none of them was a quorum."""
        if self._quorum is None:
            raise MalformedPolicy("The policy has no quorum line. Without witnesses the line is: quorum none")
        return Policy(
            logs=tuple(self._logs),
            witnesses=tuple(self._witnesses.values()),
            groups=self._groups,
            quorum=None if self._quorum == NO_QUORUM else self._quorum,
        )

    def _read_log(self, items: list[str]) -> None:
        if len(items) not in _LOG_ITEMS:
            raise ValueError("A log line is: log <vkey> [<url>]")
        vkey = parse_vkey(items[0])
        if any(log.vkey.public_key == vkey.public_key for log in self._logs):
            raise ValueError("A log with this public key stands on an earlier line.")
        self._logs.append(PolicyLog(vkey=vkey, url=_optional(items, 1)))

    def _read_witness(self, items: list[str]) -> None:
        if len(items) not in _WITNESS_ITEMS:
            raise ValueError("A witness line is: witness <name> <vkey> [<url>]")
        self._require_new(items[0])
        vkey = parse_vkey(items[1])
        if vkey.kind != COSIGNATURE:
            raise ValueError("A witness needs a key for cosignatures, of type 4.")
        if any(each.vkey.public_key == vkey.public_key for each in self._witnesses.values()):
            raise ValueError("A witness with this public key stands on an earlier line.")
        self._witnesses[items[0]] = PolicyWitness(name=items[0], vkey=vkey, url=_optional(items, 2))

    def _read_group(self, items: list[str]) -> None:
        if len(items) < _GROUP_ITEMS_MIN:
            raise ValueError("A group line is: group <name> all|any|<number> <name>…")
        name, rule, *members = items
        self._require_new(name)
        for member in members:
            self._require_defined(member)
            if member in self._members:
                raise ValueError(f"{member!r} is a member of a group already.")
            self._members.add(member)
        self._groups[name] = WitnessGroup(threshold=_threshold(rule, len(members)), members=tuple(members))

    def _read_quorum(self, items: list[str]) -> None:
        if len(items) != 1:
            raise ValueError("A quorum line is: quorum <name> or quorum none")
        if self._quorum is not None:
            raise ValueError("It is a second quorum line.")
        if items[0] != NO_QUORUM:
            self._require_defined(items[0])
        self._quorum = items[0]

    def _require_new(self, name: str) -> None:
        if name == NO_QUORUM:
            raise ValueError("The name none means that no cosignature is required, and names nothing else.")
        if name in self._witnesses or name in self._groups:
            raise ValueError(f"The name {name!r} stands on an earlier line.")

    def _require_defined(self, name: str) -> None:
        if name not in self._witnesses and name not in self._groups:
            raise ValueError(f"No earlier line defines {name!r}.")


def _threshold(rule: str, members: int) -> int:
    if rule == "all":
        return members
    if rule == "any":
        return 1
    if not _THRESHOLD.fullmatch(rule) or int(rule) > members:
        raise ValueError(f"A group of {members} needs all, any or a number from 1 to {members}, and has {rule!r}.")
    return int(rule)


def _optional(items: list[str], place: int) -> str | None:
    return items[place] if len(items) > place else None


def _shown(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
