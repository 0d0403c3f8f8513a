"""Register of all alerts: severity, subject, and how each ends. A test holds the code to this table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

AlertEnd = Literal["alone", "person"]
"""`alone`: the code resolves the alert when the trouble is over. `person`: an operator resolves the alert."""
GOOD_NEWS: Mapping[str, str] = {"network_available": "network_unavailable"}
"""Events that report the end of a trouble, with the alert that each resolves. They open no alert."""
LOGGED_ONLY = frozenset({"chain_is_another", "stripe_locked_out", "paypal_locked_out", "webhook_roots_unreadable"})
"""Lines of severity CRITICAL that adapters without an `Alerts` port write. They open no alert."""


@dataclass(frozen=True, slots=True)
class AlertKind:
    """Kind of an alert. `subject` names the fields that tell one trouble from another of the same event."""

    subject: tuple[str, ...] = ()
    ends: AlertEnd = "person"


UNKNOWN_KIND = AlertKind()
"""Kind of an event that the table lacks: all its alerts are one."""

ALERT_KINDS: Mapping[str, AlertKind] = {
    "account_not_audited": AlertKind(("uid",)),
    "address_swept": AlertKind(("address",)),
    "agent_task_dead": AlertKind(("task_id",)),
    "books_differ": AlertKind(("day",)),
    "bound_not_kept": AlertKind(("uid",)),
    "chain_below_final": AlertKind(("network", "address")),
    "closed_day_broken": AlertKind(),
    "component_down": AlertKind(("part",), "alone"),
    "credits_absorbed": AlertKind(("uid", "model")),
    "crypto_addresses_disagree": AlertKind(("family",)),
    "crypto_network_mismatch": AlertKind(("network",), "alone"),
    "early_fraud_warning": AlertKind(("payment",)),
    "event_dead": AlertKind(("path",)),
    "figures_differ": AlertKind(),
    "freeze_breaker_open": AlertKind(),
    "image_task_given_up": AlertKind(("task_id",)),
    "integrity_failed": AlertKind(("uid",)),
    "job_behind": AlertKind(("job",), "alone"),
    "job_broken": AlertKind(("job",), "alone"),
    "job_item_broken": AlertKind(("job", "item")),
    "leaving_stuck": AlertKind(("uid",)),
    "ledger_tampered": AlertKind(("uid",)),
    "log_account_left": AlertKind(("uid",)),
    "log_account_parked": AlertKind(("uid",)),
    "log_behind": AlertKind((), "alone"),
    "log_broken": AlertKind(),
    "log_inconsistent": AlertKind(),
    "log_leaf_left": AlertKind(("leaf",)),
    "logins_gone_at_once": AlertKind(),
    "loss_limit_passed": AlertKind(("principal", "cause")),
    "network_unavailable": AlertKind(("network",), "alone"),
    "notice_dead": AlertKind(("notice",)),
    "notice_parked": AlertKind(("notice", "provider")),
    "payment_disputed": AlertKind(("payment",)),
    "payment_parked": AlertKind(("payment",)),
    "payment_taken_back": AlertKind(("payment",)),
    "payout_does_not_fit": AlertKind(("payout",)),
    "payout_left_the_chain": AlertKind(("payout",)),
    "payout_sent_after_all": AlertKind(("payout",)),
    "provider_books_differ": AlertKind(("provider", "day")),
    "provider_books_late": AlertKind(("provider",), "alone"),
    "provider_listing_not_followed": AlertKind(),
    "provider_locked_out": AlertKind(("provider",)),
    "saga_dead": AlertKind(("path",)),
    "schedule_silent": AlertKind(("schedule",), "alone"),
    "upstream_misconfigured": AlertKind(("host", "model", "status")),
    "webhook_certificate_refused": AlertKind(),
    "witness_disagrees": AlertKind(("witness",)),
}
"""Kinds by event."""


def kind_of_alert(event: str) -> AlertKind:
    """Return the kind of this event's alerts, UNKNOWN_KIND for an event that the table lacks."""
    return ALERT_KINDS.get(event, UNKNOWN_KIND)
