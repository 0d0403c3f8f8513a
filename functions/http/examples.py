"""Examples for the OpenAPI document: bodies by operation, in full and in short, and values of parameters.

Each answers 2xx on a fresh laptop, where the example user owns the things that the ids name; see `emulator.examples`.
"""

from collections.abc import Mapping
from typing import Any

from functions.http.fields import encode_cursor

MODEL = "gpt-4o-mini"
PAINTER = "gpt-image-1"
PACKAGE = "standard"
USER = "uid_example"
"""User of a fresh laptop who owns the things below."""
CONVERSATION = "conv_01ac59d0695527d749d44fa8"
IMAGE_TASK = "imgtask_e198dd7a9590bec7ff589700"
IMAGE = "img_0eba92c44b0cf54000a3d0e1"
AGENT_TASK = "task_d1af2d009b6584d15673c126"
PAYMENT = "pay_993903b45d8aa5fec6ebaf51"
API_KEY = "key_3cb9f940a4958ad9af421073"
RESERVATION = "hold_851a1b72119a3575f5cfd787"
RESPONSE = "resp_example"
REQUEST_ID = "my-request-1"
"""X-Request-Id of the call that the example user has made."""
MESSAGES = [{"role": "user", "content": "Name three colours."}]

BODIES: Mapping[str, Mapping[str, Any]] = {
    "api_keys_create": {
        "full": {
            "name": "my server",
            "scopes": ["chat", "images", "read"],
            "spend_cap": {"amount": "100", "period": "month"},
            "expires_at": "2030-01-01T00:00:00Z",
        },
        "short": {"name": "my server", "scopes": ["chat"]},
    },
    "credits_reserve": {
        "full": {"amount": "12.5", "ttl_seconds": 600, "description": "A print job"},
        "short": {"amount": "1"},
    },
    "credits_capture": {"full": {"amount": "0.5", "final": True}, "short": {"amount": "0.5"}},
    "credits_release": {"short": {}},
    "credits_welcome_bonus": {"short": {}},
    "payments_buy_with_x402": {"short": {}},
    "chat_start": {
        "full": {
            "title": "Colours",
            "model": MODEL,
            "system_prompt": "Answer in one sentence.",
            "message": "Name three colours.",
        },
        "short": {},
    },
    "chat_change": {
        "full": {"title": "Colours", "model": MODEL, "system_prompt": "Answer in one sentence."},
        "short": {"title": None},
    },
    "chat_say": {
        "full": {"content": "Name three colours.", "model": MODEL, "stream": False, "max_output_tokens": 200},
        "short": {"content": "Name three colours."},
    },
    "chat_title": {"short": {}},
    "chat_stop": {"full": {"request_id": REQUEST_ID}, "short": {}},
    "images_generate": {
        "full": {"prompt": "A fox in the snow", "model": PAINTER, "size": "1024x1024", "n": 1},
        "short": {"prompt": "A fox in the snow"},
    },
    "agents_begin": {
        "full": {
            "goal": "Add up the numbers in the document.",
            "budget": "5",
            "model": MODEL,
            "tools": ["calculator"],
            "max_steps": 5,
            "documents": [{"name": "numbers.txt", "content": "1, 2, 3"}],
        },
        "short": {"goal": "What is a quarter of 10?", "budget": "5"},
    },
    "agents_cancel": {"short": {}},
    "agents_resume": {"full": {"budget": "10", "max_steps": 10}, "short": {}},
    "models_set_preferences": {
        "full": {
            "chat_model": MODEL,
            "image_model": PAINTER,
            "quality": 2,
            "speed": 1,
            "price": 3,
            "allowed_models": [MODEL],
            "max_cost_per_message": "1",
        },
        "short": {},
    },
    "models_estimate_cost": {
        "full": {
            "content": "Name three colours.",
            "model": MODEL,
            "system_prompt": "Answer in one sentence.",
            "max_output_tokens": 200,
        },
        "short": {"content": "Name three colours."},
    },
    "openai_chat_completions": {
        "full": {"model": MODEL, "messages": MESSAGES, "max_completion_tokens": 200, "temperature": 0.5},
        "short": {"model": MODEL, "messages": MESSAGES},
    },
    "openai_completions": {
        "full": {"model": MODEL, "prompt": "Three colours are", "max_tokens": 50},
        "short": {"model": MODEL, "prompt": "Three colours are"},
    },
    "openai_cancel_response": {"short": {}},
    "openai_responses": {
        "full": {"model": MODEL, "input": "Name three colours.", "max_output_tokens": 200},
        "short": {"model": MODEL, "input": "Name three colours."},
    },
    "openai_embeddings": {
        "full": {"model": "text-embedding-3-small", "input": ["red", "green"], "dimensions": 256},
        "short": {"model": "text-embedding-3-small", "input": "red"},
    },
    "openai_stop_call": {"short": {"request_id": REQUEST_ID}},
    "openai_generations": {
        "full": {
            "prompt": "A fox in the snow",
            "model": PAINTER,
            "size": "1024x1024",
            "n": 1,
            "response_format": "b64_json",
        },
        "short": {"prompt": "A fox in the snow"},
    },
    "payments_pay": {
        "full": {"package_id": PACKAGE, "provider": "stripe", "flow": "redirect"},
        "short": {"package_id": PACKAGE, "provider": "paypal"},
    },
    "payments_pay_with_coins": {"short": {"package_id": PACKAGE, "network": "base", "asset": "USDC"}},
    "payments_change_coins": {"short": {"network": "ethereum", "asset": "ETH"}},
    "payments_take_part": {"short": {}},
    "payments_prepare_transaction": {"short": {"from": "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"}},
    "payments_broadcast": {"short": {"raw": "0x02f8"}},
    "payments_payer_page_take": {"short": {}},
    "payments_payer_page_change": {"short": {"network": "ethereum", "asset": "ETH"}},
    "admin_set_roles": {
        "full": {"roles": ["support"], "reason": "Joined the support team."},
        "short": {"roles": []},
    },
    "admin_adjust": {"short": {"amount": "5", "reason": "Sorry for the broken answer."}},
    "admin_freeze": {"short": {"reason": "A stolen card."}},
    "admin_logins_sign_out": {"short": {"reason": "A stolen phone."}},
    "admin_logins_disable": {"short": {"reason": "A stolen phone."}},
    "admin_logins_enable": {"short": {"reason": "A new phone."}},
    "admin_unfreeze": {"short": {"reason": "The card was not stolen."}},
    "admin_alerts_acknowledge": {"short": {"reason": "I look into it."}},
    "admin_alerts_resolve": {"short": {"reason": "The job runs again."}},
    "admin_archives_archive": {"short": {"reason": "No entry for seven years."}},
    "admin_archives_unarchive": {"short": {"reason": "An entry's body must be deleted."}},
    "admin_redactions_redact": {"short": {"reason": "A name in an idempotency key."}},
    "admin_put_model": {
        "full": {
            "kind": "chat",
            "display_name": "GPT-4o mini",
            "input_usd_per_mtok": "0.15",
            "output_usd_per_mtok": "0.60",
            "context_window": 128_000,
            "max_output_tokens": 16_384,
            "expected_output_tokens": 40,
            "capabilities": ["chat", "streaming", "tools", "vision"],
            "is_enabled": True,
            "upstream": "default",
            "upstream_model": MODEL,
            "quality": 5,
            "speed": 8,
            "reason": "The provider's new price.",
        },
        "short": {
            "kind": "chat",
            "input_usd_per_mtok": "0.15",
            "output_usd_per_mtok": "0.60",
            "context_window": 128_000,
            "max_output_tokens": 16_384,
        },
    },
    "admin_payments_refund": {
        "full": {"amount": "1.00", "reason": "The user was not content."},
        "short": {"reason": "The user was not content."},
    },
    "payments_put_refund_address": {"short": {"address": "0x52908400098527886E0F7030069857D2E4169EE7"}},
    "admin_crypto_assign": {"short": {"reason": "The payer showed the transaction."}},
    "admin_crypto_ignore": {"short": {"reason": "Our own coins for fees."}},
    "admin_payments_payout_sent": {
        "full": {
            "tx": "0x5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060",
            "reason": "Sent from the cold wallet.",
        },
        "short": {"tx": "0x5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060"},
    },
    "admin_payments_cancel_payout": {"short": {"reason": "The user wants the credits after all."}},
    "admin_payments_replay": {"short": {"reason": "The cause was removed."}},
    "admin_payments_put_package": {
        "full": {
            "title": "Standard",
            "description": "1,000 credits for everyday work.",
            "price": "14.99",
            "currency": "USD",
            "credits": "1000",
            "bonus": "50",
            "bonus_days": 30,
            "per_user_limit": 10,
            "position": 2,
            "enabled": True,
            "reason": "A gift for summer.",
        },
        "short": {"title": "Standard", "price": {"amount": "14.99", "currency": "USD"}, "credits": "1000"},
    },
}
"""Bodies by operation and form; `full` has what may be said, `short` what must be."""

OPERATIONS_ON: Mapping[str, tuple[str, ...]] = {
    API_KEY: ("api_keys_revoke",),
    RESERVATION: ("credits_reservation", "credits_capture", "credits_release"),
    CONVERSATION: (
        "chat_conversation",
        "chat_change",
        "chat_delete",
        "chat_messages",
        "chat_say",
        "chat_title",
        "chat_export",
        "chat_stop",
    ),
    IMAGE: ("images_image", "images_delete", "images_content"),
    AGENT_TASK: (
        "agents_task",
        "agents_steps",
        "agents_artifacts",
        "agents_artifact",
        "agents_cancel",
        "agents_resume",
    ),
    RESPONSE: ("openai_response", "openai_delete_response", "openai_cancel_response"),
    PAYMENT: (
        "payments_status",
        "payments_change_coins",
        "payments_take_part",
        "payments_prepare_transaction",
        "payments_broadcast",
        "payments_payer_page_state",
        "payments_payer_page_networks",
        "payments_payer_page_take",
        "payments_payer_page_change",
        "admin_payments_payment",
        "admin_payments_refund",
        "admin_payments_replay",
        "admin_payments_payout_sent",
        "admin_payments_cancel_payout",
        "payments_refund_address",
        "payments_put_refund_address",
    ),
}
"""Operations whose `id` names a thing of the example user, by that thing."""

ALERT = "job_broken:relay"
OF_OPERATION: Mapping[str, Any] = {
    **{f"{operation}.id": thing for thing, operations in OPERATIONS_ON.items() for operation in operations},
    "openai_model.id": MODEL,
    "admin_model.id": MODEL,
    "admin_prices.id": MODEL,
    "admin_put_model.id": MODEL,
    "admin_payments_package.id": PACKAGE,
    "admin_payments_put_package.id": PACKAGE,
    "admin_put_model.If-Match": "*",
    "admin_payments_put_package.If-Match": "*",
    "admin_users_users.email": "ann@",
    "admin_users_users.status": "open",
    "admin_users_users.cursor": encode_cursor(f"date~1764489600000~{USER}"),
    "admin_crypto_deposits.cursor": encode_cursor("evm:12"),
    "admin_crypto_deposits.state": "review",
    "admin_alerts_alert.id": ALERT,
    "admin_alerts_acknowledge.id": ALERT,
    "admin_alerts_resolve.id": ALERT,
    "admin_alerts_alerts.state": "open",
    "admin_alerts_alerts.cursor": encode_cursor(f"1764489600000~{ALERT}"),
    "admin_payments_payments.cursor": encode_cursor(f"1764489600000:{PAYMENT}"),
    "chat_conversations.cursor": encode_cursor(f"2026-11-30T08:00:00.000Z:{CONVERSATION}"),
    "payments_history.cursor": encode_cursor(f"1764489600000:{PAYMENT}"),
    "payments_analytics.days": 30,
    "credits_history.cursor": encode_cursor(100),
    "admin_journals_entries.cursor": encode_cursor(100),
    "admin_journals_entries.ref": f"payment:{PAYMENT}",
    "agents_steps.cursor": encode_cursor(100),
    "credits_history.kind": "charge",
    "credits_history.ref": f"payment:{PAYMENT}",
    "ledger_consistency.from": 128,
    "ledger_consistency.to": 256,
    "agents_artifact.name": "result.txt",
}
"""Values of parameters by operation and name; they win over those by name."""

OF_NAME: Mapping[str, Any] = {
    "Idempotency-Key": "7f3c1f0e-5a55-4c3e-9d0b-1f0f8a3d2b11",
    "X-Reason": "ticket 4711",
    "limit": 20,
    "cursor": encode_cursor("0000000000000-example"),
    "uid": USER,
    "address": "evm:12",
    "network": "base",
    "format": "csv",
    "q": USER,
    "refund_id": "refund_0123456789abcdef01234567",
    "task_id": IMAGE_TASK,
    "link": "link_example",
    "level": "0",
    "seq": 1,
    "day": "latest",
    "tile": "000",
    "from": "2026-11-01",
    "to": "2026-11-30",
    "bucket": "day",
    "kind": "charge",
    "key": API_KEY,
    "provider": "stripe",
    "provider_id": "pi_example",
    "status": "settled",
    "under_review": "true",
    "email": "ann@example.com",
    "actor": "uid_operator",
    "act": "look",
    "target": USER,
    "role": "user",
    "debt": "true",
    "debt_min": "0.5",
}
"""Values of parameters by name."""


def bodies_of(operation: str) -> Mapping[str, Any] | None:
    """Return the examples of an operation's body by form, None if nobody wrote any."""
    return BODIES.get(operation)


def parameter_of(operation: str, name: str) -> Any:
    """Return an example of a parameter, None if nobody wrote one."""
    return OF_OPERATION.get(f"{operation}.{name}", OF_NAME.get(name))
