"""Table of all meters of an instance, in the order in which operators read them.

The bounds together allow SERIES_MAX series, which a test holds.
"""

from shared.kernel.meters import LevelMeter, Meter, TimeMeter

SERIES_MAX = 500
"""Most series of one answer of `/v1/monitoring/metrics`, with those that come from documents."""
STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")
ENTRY_KINDS = (
    *("grant", "refund", "charge", "expiry", "reversal"),
    *("adjustment", "hold", "extension", "release", "status"),
)

REQUESTS = Meter(
    "credits_requests",
    "Answered requests, by pattern of the route and class of the status.",
    {"route": None, "status": STATUS_CLASSES},
    most=24,
)
REQUEST_TIMES = TimeMeter(
    "credits_request_seconds",
    "Seconds from a request to the end of its answer. Routes that spend no credits, and refusals, are not told apart.",
    {"route": None, "status": ("2xx", "5xx")},
    bounds=(0.05, 0.25, 1.0, 5.0, 30.0),
    most=4,
)
SPENDING_CALLS = Meter(
    "credits_spending_calls",
    "Calls of routes that spend credits, by outcome. Failed: our own fault, or that of a provider.",
    {"outcome": ("answered", "refused", "failed")},
)
BEFORE_MODEL_TIMES = TimeMeter(
    "credits_before_model_seconds",
    "Seconds from a request to the first call of a model provider: what this backend adds before an answer begins.",
    bounds=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
REFUSALS = Meter("credits_refusals", "Refused and failed requests, by code of the error.", {"code": None}, most=48)
LIMITED = Meter(
    "credits_rate_limited",
    "Requests that a limit of calls refused: all calls of a caller on this instance, or spending calls of a user.",
    {"limit": ("calls", "spending")},
)
FAILED_SIGN_INS = Meter("credits_failed_sign_ins", "Requests without a valid token or API key, where one is needed.")
POSTED = Meter("credits_posted", "Credits that committed entries move, by kind of entry.", {"kind": ENTRY_KINDS})
COMMITS = Meter(
    "credits_commits",
    "Commits of accounts, by outcome. Conflict: the account had changed. Unclear: the store did not say.",
    {"outcome": ("done", "conflict", "unclear", "unavailable", "invalid")},
)
HOLD_GROWTH = Meter(
    "credits_hold_extensions",
    "Attempts to let a hold grow during a call, by outcome. Dry: the account has no credits left.",
    {"outcome": ("grown", "dry", "failed")},
)
UPSTREAM_CALLS = Meter(
    "credits_upstream_calls",
    "Calls of model providers, by model and outcome. Left: the caller read no further.",
    {"model": None, "outcome": ("answered", "refused", "failed", "left")},
    most=10,
)
UPSTREAM_TIMES = Meter("credits_upstream_seconds", "Seconds of calls of model providers.", {"model": None}, most=12)
PAYMENTS = Meter(
    "credits_payments",
    "Payments that reached a state, by provider. Returned: the money went back. Ended: without money.",
    {"provider": None, "outcome": ("opened", "settled", "returned", "disputed", "ended")},
    most=4,
)
NOTICE_TIMES = TimeMeter(
    "credits_notice_seconds",
    "Seconds from the arrival of a payment provider's notice until its payment is in step, such as credited.",
    bounds=(1.0, 5.0, 60.0),
)
CHAIN_HEIGHTS = LevelMeter("credits_chain_height", "Height of the newest block seen.", {"network": None}, most=6)
CHAIN_TIMES = LevelMeter(
    "credits_chain_block_timestamp_seconds", "Time of the newest block seen.", {"network": None}, most=6
)

METERS: tuple[Meter, ...] = (
    REQUESTS,
    REQUEST_TIMES,
    SPENDING_CALLS,
    BEFORE_MODEL_TIMES,
    REFUSALS,
    LIMITED,
    FAILED_SIGN_INS,
    POSTED,
    COMMITS,
    HOLD_GROWTH,
    UPSTREAM_CALLS,
    UPSTREAM_TIMES,
    PAYMENTS,
    NOTICE_TIMES,
    CHAIN_HEIGHTS,
    CHAIN_TIMES,
)
"""Meters that any instance has."""
