"""Lines that only an export of the log has, and places in the log; see `shared.ledger.export_format`."""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


@dataclass(frozen=True, slots=True)
class LeafPlace:
    """Place of a leaf in the checkpoint's tree, and the inclusion proof in base64."""

    index: int
    hashes: tuple[str, ...]


class RedactionPlaces(NamedTuple):
    """Places of two leaves: the redacted entry's own, and that of the snapshot in the place of the body."""

    entry: LeafPlace
    snapshot: LeafPlace


class RunsLine(NamedTuple):
    """Pairs of an entry of the account `uid` and the index of the entry's leaf."""

    runs: list[list[int]]
    uid: str


class LoggedLine(NamedTuple):
    """End of the account `uid` in an export of the log, which has the entries 1 to `last`."""

    last: int
    uid: str


@dataclass(frozen=True, slots=True)
class LeafLine:
    """Leaf of another kind than an entry's."""

    data: str
    index: int


@dataclass(frozen=True, slots=True)
class GapLine:
    """Hashes of leaves from leaf `index` on, in base64, of which the export has nothing else."""

    hashes: tuple[str, ...]
    index: int


LogLine: TypeAlias = RunsLine | LoggedLine | LeafLine | GapLine
"""Line that only an export of the log has."""
