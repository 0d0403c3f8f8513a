"""Where the platform's losses came from, as a table."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tests.leak.hostile_callers import Burst
from tests.leak.plan import Ask

LOSS_PART_MAX = 0.01
"""The platform may lose so much of what was delivered."""
CREDIT = 1_000_000
WORST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Leak:
    """Everything that was billed, delivered, charged and lost; µcr."""

    bursts: list[Burst]

    @property
    def lost(self) -> int:
        """The platform's loss in all."""
        return sum(burst.loss for burst in self.bursts)

    @property
    def delivered(self) -> int:
        """The value of what callers got."""
        return sum(burst.delivered for burst in self.bursts)

    @property
    def worst_user(self) -> int:
        """The largest loss that one user caused."""
        return max(loss for loss in self._by_user().values())

    @property
    def is_tight(self) -> bool:
        """True if the loss is within `LOSS_PART_MAX` of what was delivered."""
        return self.lost <= LOSS_PART_MAX * self.delivered

    def _by_user(self) -> dict[int, int]:
        losses: dict[int, int] = defaultdict(int)
        for burst in self.bursts:
            losses[burst.user] += burst.loss
        return losses

    def lines(self) -> Iterator[str]:
        """The table, line by line."""
        billed, charged = (sum(getattr(each, name) for each in self.bursts) for name in ("billed", "charged"))
        yield (
            f"{len(self._by_user())} callers, {len(self.bursts)} bursts: billed {_credits(billed)}, delivered "
            f"{_credits(self.delivered)}, charged {_credits(charged)}, lost {_credits(self.lost)} "
            f"({100 * self.lost / max(1, self.delivered):.2f} % of what was delivered; at most "
            f"{100 * LOSS_PART_MAX:.0f} %), the worst user {_credits(self.worst_user)}"
        )
        yield from self._table("ending", lambda ask: ask.ending)
        yield from self._table("route", lambda ask: ask.route)
        yield from self._table("input", lambda ask: "pictures" if ask.pictures else ask.text_kind)
        yield from self._table("limit", lambda ask: str(ask.limit or "none"))
        yield from self._table("model", lambda ask: ask.model)
        for burst in sorted(self.bursts, key=lambda each: -each.loss)[:WORST_SHOWN]:
            if burst.loss:
                yield f"  {_credits(burst.loss)} of {_credits(burst.billed)} by {'; '.join(map(_told, burst.asks))}"

    def _table(self, name: str, of: Callable[[Ask], str]) -> Iterable[str]:
        """Losses by one trait of the calls; a burst of several counts in parts."""
        counts, losses = defaultdict[str, int](int), defaultdict[str, float](float)
        for burst in self.bursts:
            for ask in burst.asks:
                counts[of(ask)] += 1
                losses[of(ask)] += burst.loss / len(burst.asks)
        yield f"{name:>16}  {'calls':>6}  {'lost':>12}"
        for trait in sorted(counts, key=lambda each: -losses[each]):
            yield f"{trait:>16}  {counts[trait]:>6}  {_credits(losses[trait]):>12}"


def _told(ask: Ask) -> str:
    limit = f", limit {ask.limit}" if ask.limit else ""
    pictures = f" + {len(ask.pictures)} pictures" if ask.pictures else ""
    return (
        f"{ask.marker} {ask.route} {ask.model} {ask.text_kind} {len(ask.text)}{pictures}{limit}, {ask.ending} {ask.at}"
    )


def _credits(micro: float) -> str:
    return f"{micro / CREDIT:.4f}"
