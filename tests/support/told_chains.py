"""A source of a network that tells what a test gives it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from shared.payments.chains.ports import (
    Block,
    BlockGone,
    ChainRefused,
    ChainUnavailable,
    Fees,
    Levels,
    SeenTransaction,
    Transfer,
)

NETWORK = "told"


def block(height: int, branch: str = "a", *, time: int | None = None) -> Block:
    """A block of a branch; branches share no block."""
    at = height * 1_000 if time is None else time
    return Block(height=height, hash=f"{branch}{height}", parent=f"{branch}{height - 1}", time=at)


@dataclass
class ToldChain:
    """Source with one branch up to `height`, and the same level of each address and asset."""

    height: int = 10
    branch: str = "a"
    level: int = 7
    lag: int = 0
    is_silent: bool = False
    unanswered: frozenset[tuple[str, str]] = frozenset()
    spent_addresses: frozenset[str] = frozenset()
    seen: SeenTransaction | None = None
    moved: tuple[Transfer, ...] = ()
    refuses: bool = False
    sent: list[bytes] = field(default_factory=list)

    @property
    def network(self) -> str:
        return NETWORK

    @property
    def scans_blocks(self) -> bool:
        return False

    def block(self, at: int | str) -> Block:
        self._speak()
        if isinstance(at, str) and at.startswith(("latest", "safe", "finalized")):
            return block(self.height, self.branch, time=self.height * 1_000 - self.lag)
        height = at if isinstance(at, int) else int(at.removeprefix(self.branch)) if at[0] == self.branch else -1
        if not 0 <= height <= self.height:
            raise BlockGone(NETWORK)
        return block(height, self.branch)

    def levels(self, at: str, addresses: Sequence[str], assets: Sequence[str]) -> Levels:
        self.block(at)
        pairs = {(address, asset) for address in addresses for asset in assets}
        return dict.fromkeys(pairs - self.unanswered, self.level)

    def spent(self, at: str, addresses: Sequence[str]) -> Collection[str]:
        self.block(at)
        return [address for address in addresses if address in self.spent_addresses]

    def received_in(self, at: str, addresses: Collection[str]) -> Mapping[str, int]:
        self.block(at)
        return {}

    def pending(self, addresses: Sequence[str]) -> Sequence[tuple[str, Transfer]]:
        self._speak()
        return ()

    def transfers(self, address: str, asset: str, first: int, last: int) -> Sequence[Transfer]:
        self._speak()
        return self.moved

    def transaction(self, transaction: str) -> SeenTransaction | None:
        self._speak()
        return self.seen

    def fees(self) -> Fees:
        self._speak()
        return Fees(base=self.level, tip=1)

    def broadcast(self, raw: bytes) -> str:
        self._speak()
        if self.refuses:
            raise ChainRefused(NETWORK, "no")
        self.sent.append(raw)
        return "hash"

    def _speak(self) -> None:
        if self.is_silent:
            raise ChainUnavailable(NETWORK, "a source is out of reach")
