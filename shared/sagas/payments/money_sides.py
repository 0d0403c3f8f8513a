"""The two sides of a comparison with a provider, page by page: the provider's lines, and the moves of the log."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.kernel.clock import to_datetime
from shared.kernel.documents import Documents
from shared.kernel.errors import Rejected, Unavailable
from shared.kernel.ids import derived_id
from shared.ledger.log.world_moves import WorldMove, next_moves
from shared.payments.comparison import MoneyRow, is_item_name, theirs
from shared.payments.listed_money import ListedMoney, ListsMoney, MoneyPage
from shared.payments.payment import Payment
from shared.payments.ports import ProviderName
from shared.payments.provider_days import JOIN, OURS, BooksState, MoneySums, ProviderDay
from shared.payments.store import Payments, effect_path

ROUNDS_AT_ONCE = 50
PAGES_MAX = 20_000
"""Most pages of one day's listing. A listing that is longer does not end."""
OUR_IDS = "pay_"
"""Begin of the ids of our payments. Any other name is of another system on the same account."""


class ListingNotComplete(Unavailable):
    """The provider does not list the whole day yet."""

    code = "listing_not_complete"


class ListingUnsound(Rejected):
    """The provider's listing repeats a page or does not end."""

    code = "listing_unsound"


@dataclass(slots=True)
class ProviderTurn:
    """Work on one provider in one run. `buffer` has rows that are not stored yet."""

    name: ProviderName
    provider: ListsMoney
    state: BooksState
    progress: ProviderDay
    buffer: list[MoneyRow]


class MoneySides:
    """Reader of both sides. Each call reads one page, adds the page's rows to the turn, and moves the progress."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._payments = Payments(documents)

    def read_theirs(self, turn: ProviderTurn) -> None:
        """Read the next page of the provider's listing. Raises ListingNotComplete, ListingUnsound."""
        before = turn.progress
        page = turn.provider.listed_money(before.since, before.until, before.cursor)
        if page.complete_to is not None and page.complete_to < before.until:
            raise ListingNotComplete(f"{turn.name} lists all money up to {to_datetime(page.complete_to)} only.")
        if page.cursor is not None and (page.cursor == before.cursor or before.pages >= PAGES_MAX):
            raise ListingUnsound(f"The listing of {turn.name} repeats a page, or does not end.")
        progress = self._with_lines(turn, page)
        if page.cursor is None:
            progress = replace(progress, phase=OURS, cursor=str(before.first))
        turn.progress = replace(progress, pages=before.pages + 1)

    def _with_lines(self, turn: ProviderTurn, page: MoneyPage) -> ProviderDay:
        """Add the rows of a page to the buffer, and return the progress with the page's sums."""
        known = self._payments_of(turn.name, page.lines)
        listed, elsewhere = dict(turn.progress.listed), dict(turn.progress.elsewhere)
        for line in page.lines:
            payment = known.get(line.id)
            sums = elsewhere if payment is None else listed
            if not line.is_pending:
                before = sums.get(line.amount.currency, MoneySums())
                sums[line.amount.currency] = before.with_line(line.amount.minor, is_out=line.is_out)
            if payment is not None:
                turn.buffer.append(theirs(line, payment))
            elif line.payment.startswith(OUR_IDS) and is_item_name(line.payment):
                turn.buffer.append(_unknown(line))
        unreadable = turn.progress.unreadable + page.unreadable
        return replace(turn.progress, listed=listed, elsewhere=elsewhere, unreadable=unreadable, cursor=page.cursor)

    def _payments_of(self, name: ProviderName, lines: Sequence[ListedMoney]) -> dict[str, Payment]:
        """Return our payments by line: by the id that the line tells, else by the money's document."""
        ids = {line.id: line.payment for line in lines if is_item_name(line.payment)}
        rest = [line for line in lines if line.id not in ids and is_item_name(f"{name}:{line.money}")]
        effects = self._documents.get_all([effect_path(name, line.money) for line in rest]) if rest else []
        for line, effect in zip(rest, effects, strict=True):
            if effect is not None:
                ids[line.id] = str(effect.data.get("payment"))
        payments = self._payments.among(sorted(set(ids.values())))
        return {
            line: payments[payment]
            for line, payment in ids.items()
            if payment in payments and payments[payment].provider == name
        }

    def read_ours(self, turn: ProviderTurn) -> None:
        before, began = turn.progress, turn.state.began
        moves, following = next_moves(self._documents, int(before.cursor or 0), before.size, ROUNDS_AT_ONCE)
        of_provider = [move for move in moves if move.world == turn.name]
        turn.buffer += [_ours(move) for move in of_provider if move.at >= began]
        turn.progress = replace(
            before,
            granted=before.granted + sum(move.micro for move in of_provider if move.micro > 0),
            taken_back=before.taken_back - sum(move.micro for move in of_provider if move.micro < 0),
            cursor=None if following is None else str(following),
            phase=JOIN if following is None else OURS,
        )


def _unknown(line: ListedMoney) -> MoneyRow:
    """Return the row of a line that names a payment which we do not have."""
    minor = -line.amount.minor if line.is_out else line.amount.minor
    return MoneyRow(
        payment=line.payment,
        id=line.id,
        side="theirs",
        micro=0,
        at=line.at,
        minor=minor,
        currency=line.amount.currency,
    )


def _ours(move: WorldMove) -> MoneyRow:
    name = f"{move.uid}/{move.seq}"
    payment = move.payment if is_item_name(move.payment) else derived_id("entry", move.uid, str(move.seq))
    return MoneyRow(payment=payment, id=name, side="ours", micro=move.micro, at=move.at)
