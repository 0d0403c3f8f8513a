"""Outgoing money of a stand-in Stripe: refunds, disputes, early fraud warnings."""

from emulator.stand_ins.stand_in import Misuse
from emulator.stand_ins.stripe import objects
from emulator.stand_ins.stripe.errors import invalid
from emulator.stand_ins.stripe.store import Store
from emulator.stand_ins.wire import Json

REFUND_STARTS = ("succeeded", "pending")
LIVE_REFUNDS = {"succeeded", "pending", "requires_action"}
OPEN_DISPUTES = {"needs_response", "under_review", "warning_needs_response", "warning_under_review"}
# How a dispute ends: the status it has then, and whether money that was taken comes back. A withdrawn one is won.
CLOSINGS = {"won": "won", "lost": "lost", "withdrawn": "won", "warning_closed": "warning_closed"}


class Reversals:
    """Transitions of a refund, a dispute and a warning, with the events of each."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.refunds_start = "succeeded"

    # ── refunds ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def create_refund(self, given: Json) -> Json:
        charge = self._charge_of(given)
        amount = self._refundable(charge, given)
        refund = self._store.add(objects.refund(charge, amount, self.refunds_start, self._store.now(), given))
        if refund["status"] == "succeeded":
            self._move("refund", -amount, refund, "balance_transaction")
        self._count(charge)
        self._store.tell("charge.refunded", charge)
        self._store.tell("refund.created", refund)
        if refund["status"] == "succeeded":
            refund["destination_details"]["card"].update(reference_status="available", reference="4242000011112222")
            self._tell(refund)
        self._withdraw_warnings(charge)
        return refund

    def _charge_of(self, given: Json) -> Json:
        if "charge" in given:
            return self._store.get("charge", given["charge"], param="charge")
        if "payment_intent" not in given:
            raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
        intent = self._store.get("payment_intent", given["payment_intent"], param="payment_intent")
        charge = self._store.find(intent["latest_charge"] or "")
        if charge is None or charge["status"] != "succeeded":
            message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
            raise invalid(message, param="payment_intent")
        return charge

    def _refundable(self, charge: Json, given: Json) -> int:
        """Return the amount to refund. Raises StripeError if the charge cannot be refunded by that amount."""
        if charge["status"] != "succeeded":
            raise invalid(f"This charge ({charge['id']}) has not succeeded; it cannot be refunded.", param="charge")
        disputes = self._store.of("dispute", charge["id"])
        if any(not each["is_charge_refundable"] and each["status"] != "won" for each in disputes):
            raise invalid(
                f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
            )
        left = charge["amount"] - charge["amount_refunded"]
        if left == 0:
            raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
        amount = int(given.get("amount", left))
        if amount < 1:
            raise invalid("Invalid positive integer", param="amount", code="parameter_invalid_integer")
        if amount > left:
            what = "unrefunded amount on charge" if charge["amount_refunded"] else "charge amount"
            message = f"Refund amount (${amount / 100:.2f}) is greater than {what} (${left / 100:.2f})"
            raise invalid(message, param="amount")
        return amount

    def settle_refund(self, refund: Json) -> Json:
        """Complete a pending refund, and return the refund."""
        self._require(refund, {"pending"})
        self._move("refund", -refund["amount"], refund, "balance_transaction")
        before = self._store.change(refund, status="succeeded", pending_reason=None)
        self._tell(refund, before)
        return refund

    def fail_refund(self, refund: Json, reason: str) -> Json:
        """Let a refund fail, also long after the reported success, and return the refund.

        The money is the merchant's again.
        """
        self._require(refund, LIVE_REFUNDS)
        if refund["status"] == "succeeded":
            self._move("refund_failure", refund["amount"], refund, "failure_balance_transaction")
        before = self._store.change(refund, status="failed", failure_reason=reason, pending_reason=None)
        self._count(self._store.get("charge", refund["charge"]))
        self._store.tell("refund.failed", refund)
        self._tell(refund, before)
        return refund

    def cancel_refund(self, refund: Json) -> Json:
        if refund["status"] not in {"pending", "requires_action"}:
            message = f"Refund {refund['id']} has a status of {refund['status']} and cannot be canceled."
            raise invalid(message)
        before = self._store.change(refund, status="canceled", pending_reason=None)
        self._count(self._store.get("charge", refund["charge"]))
        self._tell(refund, before)
        return refund

    def _count(self, charge: Json) -> None:
        live = [each for each in self._store.of("refund", charge["id"]) if each["status"] in LIVE_REFUNDS]
        total = sum(each["amount"] for each in live)
        charge.update(amount_refunded=total, refunded=total == charge["amount"])

    def _tell(self, refund: Json, before: Json | None = None) -> None:
        for kind in ("refund.updated", "charge.refund.updated"):
            self._store.tell(kind, refund, before)

    @staticmethod
    def _require(refund: Json, statuses: set[str]) -> None:
        if refund["status"] not in statuses:
            raise Misuse(f"refund {refund['id']} is {refund['status']}, not {' or '.join(sorted(statuses))}")

    def _move(self, kind: str, amount: int, thing: Json, name: str) -> None:
        moved = objects.balance_transaction(kind, amount, 0, thing, self._store.now())
        thing[name] = self._store.add(moved)["id"]

    # ── disputes ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def open_dispute(self, charge: Json, amount: int | None, reason: str, *, is_inquiry: bool) -> Json:
        """Open and return a dispute: the buyer's bank asks (an inquiry), or takes the money at once."""
        if charge["status"] != "succeeded":
            raise Misuse(f"charge {charge['id']} is {charge['status']}; nobody disputes what was not paid")
        status = "warning_needs_response" if is_inquiry else "needs_response"
        asked = charge["amount"] if amount is None else amount
        dispute = self._store.add(objects.dispute(charge, asked, reason, status, self._store.now()))
        charge["disputed"] = True
        self._store.tell("charge.dispute.created", dispute)
        if not is_inquiry:
            self._withdraw(dispute)
        return dispute

    def escalate_dispute(self, dispute: Json) -> Json:
        """Turn an inquiry into a chargeback, and return the dispute."""
        if not dispute["status"].startswith("warning"):
            raise Misuse(f"dispute {dispute['id']} is {dispute['status']}, not an inquiry")
        before = self._store.change(dispute, status="needs_response", is_charge_refundable=False)
        self._store.tell("charge.dispute.updated", dispute, before)
        self._withdraw(dispute)
        return dispute

    def review_dispute(self, dispute: Json) -> Json:
        """Note the merchant's evidence, so that the bank reviews the dispute, and return the dispute."""
        self._require_open(dispute)
        status = "warning_under_review" if dispute["status"].startswith("warning") else "under_review"
        before = self._store.change(dispute, status=status)
        dispute["evidence_details"].update(has_evidence=True, submission_count=1, submission_method="manual")
        self._store.tell("charge.dispute.updated", dispute, before)
        return dispute

    def close_dispute(self, dispute: Json, outcome: str) -> Json:
        """Close a dispute, and return the dispute. `outcome`: `won`, `lost`, or `withdrawn` by the buyer.

        An inquiry closes as `warning_closed`.
        """
        self._require_open(dispute)
        if outcome not in CLOSINGS:
            raise Misuse(f"a dispute ends {', '.join(CLOSINGS)}")
        is_inquiry = dispute["status"].startswith("warning")
        dispute["status"] = "warning_closed" if is_inquiry else CLOSINGS[outcome]
        if dispute["status"] == "won":
            moved = objects.balance_transaction("adjustment", dispute["amount"], 0, dispute, self._store.now())
            dispute["balance_transactions"].append(self._store.add(moved))
            self._store.tell("charge.dispute.funds_reinstated", dispute)
        self._store.tell("charge.dispute.closed", dispute)
        return dispute

    def _withdraw(self, dispute: Json) -> None:
        fee = objects.DISPUTE_FEE
        moved = objects.balance_transaction("adjustment", -dispute["amount"], fee, dispute, self._store.now())
        dispute["balance_transactions"].append(self._store.add(moved))
        self._store.tell("charge.dispute.funds_withdrawn", dispute)

    @staticmethod
    def _require_open(dispute: Json) -> None:
        if dispute["status"] not in OPEN_DISPUTES:
            raise Misuse(f"dispute {dispute['id']} is {dispute['status']}; it is closed")

    # ── early fraud warnings ─────────────────────────────────────────────────────────────────────────────────────────

    def warn(self, charge: Json, fraud_type: str) -> Json:
        warning = self._store.add(objects.warning(charge, fraud_type, self._store.now()))
        self._store.tell("radar.early_fraud_warning.created", warning)
        return warning

    def _withdraw_warnings(self, charge: Json) -> None:
        """Withdraw the warnings of a refunded payment, since nobody can act on them any more."""
        for warning in self._store.of("radar.early_fraud_warning", charge["id"]):
            if charge["refunded"] and warning["actionable"]:
                before = self._store.change(warning, actionable=False)
                self._store.tell("radar.early_fraud_warning.updated", warning, before)
