"""Field `crypto` of a payment on a chain: for `payments/{id}`, the status and the payer's page. Pure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from shared.kernel.clock import rfc3339
from shared.kernel.documents import Value
from shared.kernel.money import format_credits
from shared.payments.chains.amounts import decimal_text
from shared.payments.chains.quote import Quote
from shared.payments.chains.report import ChainReport, ChainState, Line

if TYPE_CHECKING:
    from shared.payments.payment import Payment

NOTHING_SEEN = ChainReport(state="waiting")
SENTENCES: Mapping[ChainState, str] = {
    "waiting": "Send {missing} {asset} on {network} to this address.",
    "pool": "Your payment was seen and waits for its first block.",
    "seen": "Your payment is in a block. More blocks must follow before it counts.",
    "confirming": "Your payment is being confirmed by the network.",
    "partial": "{received} {asset} came, {missing} {asset} are missing. Send the rest to the same address, or take "
    "what came.",
    "settled": "Your payment has arrived, and your credits are there.",
    "review": "Your payment has arrived and is being looked at by us.",
    "taken_back": "The network took your payment back. Your credits are set aside until it returns.",
    "late": "The time to pay is over. What still comes is credited at the rate of that time.",
}
LOST = "The network took your payment back for good, so its credits were taken back, too."
REFUNDED = "The credits of this payment were taken back for a refund."
PARTLY_REFUNDED = "A part of the credits of this payment was taken back for a refund."
PART_GRANTED = "{received} {asset} came in time, and you have the credits for that part."
OTHERS = " {others} came instead of {asset} on {network}."
UNAVAILABLE = " The network cannot be asked right now. Nothing is lost."


def crypto_view(payment: "Payment") -> dict[str, Value] | None:
    """Return the field `crypto` of a payment; None for a payment that is not on a chain."""
    quote = payment.quote
    if quote is None:
        return None
    report = payment.chain or NOTHING_SEEN
    state = state_of(payment)
    missing = 0 if state not in {"waiting", "partial"} else _missing(quote, report)
    return {
        "network": quote.network,
        "network_title": quote.network_title or quote.network,
        "asset": quote.asset,
        "address": quote.address,
        "uri": quote.uri,
        "amount": decimal_text(quote.due, quote.decimals),
        "amount_atomic": str(quote.due),
        "decimals": quote.decimals,
        "rate": quote.rate,
        "locked_until": rfc3339(report.locked_until or quote.locked_until),
        "received": decimal_text(report.received, quote.decimals),
        "received_atomic": str(report.received),
        "missing": decimal_text(missing, quote.decimals),
        "missing_atomic": str(missing),
        "state": state,
        "confirmations": report.confirmations,
        "confirmations_needed": quote.confirmations if payment.chain is None else report.confirmations_needed,
        "wait_seconds": quote.wait_seconds if payment.chain is None else report.wait_seconds,
        "transactions": [{"hash": each.hash, "url": each.url} for each in report.transactions],
        "lines": [_line(each) for each in report.lines],
        "sentence": _sentence(payment, quote, report, state, missing),
        "unavailable": report.is_unavailable,
    }


def state_of(payment: "Payment") -> ChainState:
    """Return the state for the payer: the credits that the account had counts before the chain."""
    seen = payment.seen
    if payment.problem:
        return "review"
    if seen.stage == "paid" and (seen.is_disputed or seen.lost):
        return "taken_back"
    if payment.applied.is_granted:
        return "settled"
    return (payment.chain or NOTHING_SEEN).state


def _missing(quote: Quote, report: ChainReport) -> int:
    return quote.due if report is NOTHING_SEEN else report.missing


def _sentence(payment: "Payment", quote: Quote, report: ChainReport, state: ChainState, missing: int) -> str:
    text = _settled(payment) if state == "settled" else SENTENCES[state]
    if state == "taken_back" and report.is_final_loss:
        text = LOST
    text += OTHERS if report.others and state in {"waiting", "partial", "late"} else ""
    text += UNAVAILABLE if report.is_unavailable else ""
    return text.format(
        received=decimal_text(report.received, quote.decimals),
        missing=decimal_text(missing, quote.decimals),
        asset=quote.asset,
        network=quote.network_title or quote.network,
        others=" and ".join(report.others),
    )


def _settled(payment: "Payment") -> str:
    """Return the sentence for a payment whose credits were granted."""
    if payment.applied.taken:
        return REFUNDED if payment.applied.taken >= payment.terms.price.minor else PARTLY_REFUNDED
    is_part = payment.claim is not None and not _is_whole(payment)
    return PART_GRANTED if is_part else SENTENCES["settled"]


def _is_whole(payment: "Payment") -> bool:
    return payment.chain is None or payment.chain.missing == 0


def _line(line: Line) -> dict[str, Value]:
    return {
        "payment_id": line.payment,
        "package_id": line.package,
        "network": line.network,
        "asset": line.asset,
        "amount": decimal_text(line.amount, line.decimals),
        "price": {"amount": line.price.decimal, "currency": line.price.currency},
        "credits": format_credits(line.credits),
        "status": line.status,
    }
