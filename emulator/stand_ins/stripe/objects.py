"""Objects of Stripe in API version 2026-10-28: every field that Stripe always sends, null for nothing."""

from typing import Any

from emulator.stand_ins.stand_in import token
from emulator.stand_ins.wire import Json

API_VERSION = "2026-10-28.endive"
CARD = {"brand": "visa", "last4": "4242", "country": "US", "exp_month": 12, "exp_year": 2034, "funding": "credit"}
FEE_PERCENT_TENTHS = 29
FEE_FIXED = 30
DISPUTE_FEE = 1500
EVIDENCE_DAYS = 9
DAY_SECONDS = 86_400
ID_LENGTH = 24
RECEIPTS = "/receipts/payment/"
EVIDENCE = (
    "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal "
    "customer_communication customer_email_address customer_name customer_purchase_ip customer_signature "
    "duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt "
    "refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation "
    "shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number "
    "uncategorized_file uncategorized_text"
)
CUSTOMER_SESSION_SECONDS = 1_800


def new_id(prefix: str, length: int = ID_LENGTH) -> str:
    return f"{prefix}_{token(length)}"


def receipt_name() -> str:
    """Return the secret part of a receipt's address. Anybody with the address may read the receipt."""
    return f"CAcaF{token(60)}"


def _nulls(names: str) -> Json:
    return dict.fromkeys(names.split())


def _address() -> Json:
    return _nulls("city country line1 line2 postal_code state")


def fee_of(amount: int) -> int:
    """Return the fee for a card payment, as published: 2.9 % and 30, in the currency's smallest unit."""
    return amount * FEE_PERCENT_TENTHS // 1000 + FEE_FIXED


def customer_session(given: Json, now: int) -> Json:
    """Return a customer session, valid for half an hour and shown once. No call lists or retrieves the session."""
    component = {"enabled": False, "features": None}
    names = ("buy_button", "customer_sheet", "mobile_payment_element", "payment_element", "pricing_table")
    return {
        "object": "customer_session",
        "client_secret": f"cuss_secret_{token(40)}",
        "components": {name: {**component, **given.get("components", {}).get(name, {})} for name in names},
        "created": now,
        "customer": given["customer"],
        "customer_account": None,
        "expires_at": now + CUSTOMER_SESSION_SECONDS,
        "livemode": False,
    }


def customer(given: Json, now: int) -> Json:
    return {
        "id": new_id("cus", 14),
        "object": "customer",
        "address": given.get("address"),
        "balance": 0,
        "created": now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": given.get("description"),
        "discount": None,
        "email": given.get("email"),
        "invoice_prefix": token(8).upper(),
        "invoice_settings": _nulls("custom_fields default_payment_method footer rendering_options"),
        "livemode": False,
        "metadata": given.get("metadata") or {},
        "name": given.get("name"),
        "next_invoice_sequence": 1,
        "phone": given.get("phone"),
        "preferred_locales": [],
        "shipping": given.get("shipping"),
        "tax_exempt": "none",
        "test_clock": None,
    }


def session(given: Json, items: list[Json], now: int, url: str) -> Json:
    """Return an open Checkout Session. Its payment intent is made with the first attempt to pay."""
    session_id = f"cs_test_{token(58)}"
    total = sum(item["amount_total"] for item in items)
    return {
        **_nulls(
            "after_expiration allow_promotion_codes billing_address_collection branding_settings client_secret consent "
            "consent_collection currency_conversion customer_account customer_details integration_identifier invoice "
            "locale origin_context payment_intent payment_link payment_method_configuration_details permissions "
            "presentment_details recovered_from return_url setup_intent shipping_address_collection shipping_cost "
            "submit_type subscription redirect_on_completion"
        ),
        "id": session_id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "collected_information": {"business_name": None, "individual_name": None, "shipping_details": None},
        "created": now,
        "currency": items[0]["currency"],
        "custom_fields": [],
        "custom_text": _nulls("after_submit shipping_address submit terms_of_service_acceptance"),
        "customer": given.get("customer"),
        "customer_creation": None if given.get("customer") else given.get("customer_creation", "if_required"),
        "customer_email": given.get("customer_email"),
        "discounts": [],
        "expires_at": given.get("expires_at", now + DAY_SECONDS),
        "invoice_creation": {
            "enabled": False,
            "invoice_data": {
                **_nulls("account_tax_ids custom_fields description footer issuer rendering_options"),
                "metadata": {},
            },
        },
        "livemode": False,
        "metadata": given.get("metadata") or {},
        "mode": "payment",
        "payment_method_collection": "if_required",
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": given.get("payment_method_types") or ["card"],
        "payment_status": "unpaid",
        "phone_number_collection": {"enabled": False},
        "saved_payment_method_options": None,
        "shipping_options": [],
        "status": "open",
        "success_url": given["success_url"],
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{url}/c/pay/{session_id}",
        "wallet_options": None,
    }


def line_item(given: Json, now: int) -> Json:
    price = given["price_data"]
    quantity = given.get("quantity", 1)
    total = price["unit_amount"] * quantity
    return {
        "id": new_id("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": total,
        "amount_tax": 0,
        "amount_total": total,
        "currency": price["currency"].lower(),
        "description": price["product_data"]["name"],
        "metadata": given.get("metadata") or {},
        "price": {
            "id": new_id("price"),
            "object": "price",
            "active": False,
            "billing_scheme": "per_unit",
            "created": now,
            "currency": price["currency"].lower(),
            "custom_unit_amount": None,
            "livemode": False,
            "lookup_key": None,
            "metadata": {},
            "nickname": None,
            "product": price.get("product") or new_id("prod", 14),
            "recurring": None,
            "tax_behavior": "unspecified",
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "one_time",
            "unit_amount": price["unit_amount"],
            "unit_amount_decimal": str(price["unit_amount"]),
        },
        "quantity": quantity,
    }


def intent(given: Json, now: int) -> Json:
    intent_id = new_id("pi")
    return {
        **_nulls(
            "application application_fee_amount canceled_at cancellation_reason customer_account last_payment_error "
            "latest_charge next_action on_behalf_of payment_method processing review shipping source "
            "transfer_data transfer_group payment_method_configuration_details"
        ),
        "id": intent_id,
        "object": "payment_intent",
        "amount": given["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
        "capture_method": "automatic_async",
        "client_secret": f"{intent_id}_secret_{token(25)}",
        "confirmation_method": "automatic",
        "created": now,
        "currency": given["currency"].lower(),
        "customer": given.get("customer"),
        "description": given.get("description"),
        "excluded_payment_method_types": None,
        "livemode": False,
        "metadata": given.get("metadata") or {},
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": given.get("payment_method_types") or ["card"],
        "receipt_email": given.get("receipt_email"),
        "setup_future_usage": given.get("setup_future_usage"),
        "statement_descriptor": given.get("statement_descriptor"),
        "statement_descriptor_suffix": given.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
    }


def charge(of: Json, status: str, now: int, billing: Json) -> Json:
    """Return an attempt to take an intent's money: succeeded, pending or failed."""
    is_failed = status == "failed"
    kind = "card" if status != "pending" else "us_bank_account"
    return {
        **_nulls(
            "application application_fee application_fee_amount balance_transaction "
            "failure_balance_transaction on_behalf_of receipt_number review shipping source source_transfer "
            "statement_descriptor statement_descriptor_suffix transfer_data transfer_group"
        ),
        "id": new_id("py" if kind == "us_bank_account" else "ch"),
        "object": "charge",
        "amount": of["amount"],
        "amount_captured": 0 if is_failed else of["amount"],
        "amount_refunded": 0,
        "billing_details": {"address": _address(), "name": None, "phone": None, "tax_id": None, **billing},
        "calculated_statement_descriptor": "INTEGRATED CREDITS",
        "captured": not is_failed,
        "created": now,
        "currency": of["currency"],
        "customer": of["customer"],
        "description": of["description"],
        "disputed": False,
        "failure_code": "card_declined" if is_failed else None,
        "failure_message": "Your card was declined." if is_failed else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(of["metadata"]),
        "outcome": {
            "advice_code": "try_again_later" if is_failed else None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "declined_by_network" if is_failed else "approved_by_network",
            "reason": "generic_decline" if is_failed else None,
            "risk_level": "normal",
            "seller_message": "The bank did not return any further details with this decline."
            if is_failed
            else "Payment complete.",
            "type": "issuer_declined" if is_failed else "authorized",
        },
        "paid": status == "succeeded",
        "payment_intent": of["id"],
        "payment_method": of["payment_method"],
        "payment_method_details": {"type": kind, kind: _card_used(of["amount"]) if kind == "card" else _bank_used()},
        "receipt_email": of["receipt_email"],
        "receipt_url": None,
        "refunded": False,
        "status": status,
    }


def _card_used(amount: int) -> Json:
    return {
        **CARD,
        **_nulls("authorization_code installments mandate network_transaction_id regulated_status wallet"),
        "amount_authorized": amount,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "extended_authorization": {"status": "disabled"},
        "fingerprint": "AOB934RVNwzk6xtn",
        "incremental_authorization": {"status": "unavailable"},
        "multicapture": {"status": "unavailable"},
        "network": "visa",
        "network_token": {"used": False},
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        "three_d_secure": None,
    }


def _bank_used() -> Json:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STAND-IN BANK",
        "fingerprint": "fXK2KNQ8nLHFCaC4",
        "last4": "6789",
        "mandate": None,
        "payment_reference": None,
        "routing_number": "110000000",
    }


def refund(of: Json, amount: int, status: str, now: int, given: Json) -> Json:
    return {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": of["id"],
        "created": now,
        "currency": of["currency"],
        "customer": of["customer"],
        "customer_account": None,
        "destination_details": {
            "type": "card",
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
        },
        "metadata": given.get("metadata") or {},
        "payment_intent": of["payment_intent"],
        "payment_method": of["payment_method"],
        "pending_reason": "processing" if status == "pending" else None,
        "reason": given.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }


def dispute(of: Json, amount: int, reason: str, status: str, now: int) -> Json:
    return {
        "id": new_id("du"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": of["id"],
        "created": now,
        "currency": of["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**_nulls(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": now + EVIDENCE_DAYS * DAY_SECONDS,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": status.startswith("warning"),
        "livemode": False,
        "metadata": {},
        "payment_intent": of["payment_intent"],
        "payment_method_details": {
            "type": "card",
            "card": {
                "brand": "visa",
                "case_type": "inquiry" if status.startswith("warning") else "chargeback",
                "network": "visa",
                "network_reason_code": "10.4",
            },
        },
        "reason": reason,
        "status": status,
    }


def warning(of: Json, fraud_type: str, now: int) -> Json:
    return {
        "id": new_id("issfr"),
        "object": "radar.early_fraud_warning",
        "actionable": not of["refunded"],
        "charge": of["id"],
        "created": now,
        "fraud_type": fraud_type,
        "livemode": False,
        "payment_intent": of["payment_intent"],
    }


def balance_transaction(kind: str, amount: int, fee: int, source: Json, now: int) -> Json:
    """Return the change of the merchant's balance by a charge, refund or dispute, with the merchant's sign."""
    details = [{"amount": fee, "application": None, "currency": source["currency"], "description": "Stripe fees"}]
    return {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": now + 2 * DAY_SECONDS,
        "balance_type": "payments",
        "created": now,
        "currency": source["currency"],
        "description": source.get("description"),
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [{**each, "type": "stripe_fee"} for each in details] if fee else [],
        "net": amount - fee,
        "reporting_category": _category(kind, amount),
        "source": source["id"],
        "status": "pending",
        "type": kind,
    }


def _category(kind: str, amount: int) -> str:
    if kind == "adjustment":
        return "dispute" if amount < 0 else "dispute_reversal"
    return {"payment": "charge"}.get(kind, kind)


def event(kind: str, thing: Any, now: int, asked: Json, before: Json | None) -> Json:
    return {
        "id": new_id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": now,
        "data": {"object": thing} if before is None else {"object": thing, "previous_attributes": before},
        "livemode": False,
        "pending_webhooks": 0,
        "request": asked,
        "type": kind,
    }


def account(account_id: str, now: int) -> Json:
    return {
        "id": account_id,
        "object": "account",
        "business_profile": {
            **_nulls("annual_revenue estimated_worker_count mcc product_description support_address support_email"),
            **_nulls("support_phone support_url url"),
            "name": "Integrated Credit System",
        },
        "business_type": None,
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "US",
        "created": now,
        "default_currency": "usd",
        "details_submitted": True,
        "email": "merchant@example.com",
        "metadata": {},
        "payouts_enabled": True,
        "settings": None,
        "type": "standard",
    }


def payment_method(billing: Json, now: int, customer_id: str | None) -> Json:
    return {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {"address": _address(), "name": None, "phone": None, "tax_id": None, **billing},
        "card": {
            **CARD,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "display_brand": "visa",
            "fingerprint": "AOB934RVNwzk6xtn",
            "generated_from": None,
            "networks": {"available": ["visa"], "preferred": None},
            "regulated_status": None,
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": now,
        "customer": customer_id,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }
