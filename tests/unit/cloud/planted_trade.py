"""A planted mistake for each check of payments, people, prices, and the way to the API."""

from dataclasses import replace

from emulator.cloud.checks.project import Account, Endpoint, Offer, Probe, Provider
from tests.support.keys import EVM, OWN_XPUB, VPUB
from tests.support.sound_project import (
    ACCOUNT,
    ADDRESS,
    DEPLOYMENT,
    DISPUTES,
    INFO,
    LISTING,
    LIVE,
    MODELS,
    NEEDS,
    PACKAGES,
    PAYPAL,
    SEARCH,
    SETTINGS,
    SIGN_IN,
    STRIPE,
    endpoint,
)
from tests.unit.cloud.planting import (
    BALANCED,
    CHAT,
    SANDBOX,
    TEST_PUBLIC_KEY,
    TEST_SECRET_KEY,
    Planted,
    api,
    bound,
    catalogue,
    closed,
    dearer,
    info,
    models,
    named,
    network,
    package,
    paypal,
    secrets,
    settings,
    stripe,
    webhook,
)

PLANTED_TRADE: tuple[Planted, ...] = (
    # ── payments ─────────────────────────────────────────────────────────────────────────────────────────────────────
    Planted(
        "stripe_keys_of_two_modes", {**settings(**TEST_PUBLIC_KEY)}, "a live key, and `STRIPE_PUBLISHABLE_KEY` a test"
    ),
    Planted("stripe_keys_of_two_modes", {**secrets(**TEST_SECRET_KEY), **settings(**SANDBOX)}, "a test key"),
    Planted("stripe_organisation_key", secrets(STRIPE_SECRET_KEY=f"sk_org_{LIVE}_abcdefghijklm"), "sk_org_"),
    Planted(
        "stripe_keys_of_two_accounts",
        settings(STRIPE_PUBLISHABLE_KEY=SETTINGS["STRIPE_PUBLISHABLE_KEY"].replace("PgafTB1W", "QgbgUC2X")),
        "another account",
    ),
    Planted(
        "wallet_key_unfit",
        network("bitcoin", "BITCOIN_API_URLS", BITCOIN_KEY=VPUB),
        "BITCOIN_KEY holds a key for test networks, but CRYPTO_NETWORKS names bitcoin",
    ),
    Planted("wallet_key_unfit", network("base", "BASE_RPC_URLS", EVM_XPUB=EVM), "EVM_XPUB is the key of an example"),
    Planted(
        "wallet_key_missing",
        network("base", "BASE_RPC_URLS"),
        "`EVM_XPUB` is not set, although",
    ),
    Planted(
        "coins_without_value",
        network("sepolia", "SEPOLIA_RPC_URLS", EVM_XPUB=EVM),
        "credits cost no money",
    ),
    Planted(
        "network_of_one_source",
        network("base", "BASE_RPC_URLS", "https://node.shop.example", EVM_XPUB=OWN_XPUB),
        "`BASE_RPC_URLS` names one source: amounts above $100",
    ),
    Planted(
        "price_of_one_source",
        network("base", "BASE_RPC_URLS", EVM_XPUB=OWN_XPUB, CRYPTO_SPOT_PRICES="none"),
        "The price of ETH, USDC on base is the word of one source",
    ),
    Planted("payment_modes_differ", settings(**SANDBOX), "Stripe is live, PayPal is test"),
    Planted(
        "payments_cost_nothing", {**secrets(**TEST_SECRET_KEY), **settings(**SANDBOX, **TEST_PUBLIC_KEY)}, "test mode"
    ),
    Planted(
        "payments_in_test_mode",
        {
            **named("shop-staging"),
            "deployment": named("shop-staging")["deployment"],
            **secrets(**TEST_SECRET_KEY),
            **settings(**SANDBOX, **TEST_PUBLIC_KEY),
        },
        "test mode",
    ),
    Planted(
        "paypal_app_of_other_mode",
        {"paypal": Account(refusal="Client Authentication failed", is_other_mode=True)},
        "https://api-m.paypal.com",
        "PAYPAL_API_BASE",
    ),
    Planted("paypal_address_unknown", settings(PAYPAL_API_BASE="https://paypal.example.com"), "paypal.example.com"),
    Planted("stripe_address_unknown", settings(STRIPE_API_BASE="https://api.stripe.example"), "api.stripe.example"),
    Planted(
        "payment_key_refused", {"stripe": Account(refusal="Invalid API Key provided: sk_live_***")}, "Stripe refuses"
    ),
    Planted("payment_key_refused", {"paypal": Account(refusal="Client Authentication failed")}, "PayPal refuses"),
    Planted("stripe_account_incomplete", {"stripe": replace(STRIPE, is_accepting=False)}, ACCOUNT),
    Planted("paypal_disputes_not_permitted", {"paypal": replace(PAYPAL, scopes=frozenset({SEARCH}))}, "disputes"),
    Planted("paypal_search_not_permitted", {"paypal": replace(PAYPAL, scopes=frozenset({DISPUTES}))}, "search"),
    Planted("endpoint_missing", {"stripe": replace(STRIPE, endpoints=())}, f"{ADDRESS}/stripe_webhook", "make deploy"),
    Planted(
        "endpoint_missing",
        {"stripe": replace(STRIPE, endpoints=(Endpoint(id="we_9", url="https://crm.example/hook", events=("*",)),))},
        "Stripe has no endpoint",
    ),
    Planted(
        "endpoint_elsewhere", stripe(url="https://us-central1-shop-old.cloudfunctions.net/stripe_webhook"), "shop-old"
    ),
    Planted("endpoint_elsewhere", paypal(url="https://shop.example/hooks"), "https://shop.example/hooks"),
    Planted("endpoint_elsewhere", settings(WEBHOOKS_URL="https://hooks.shop.example"), "https://hooks.shop.example"),
    Planted("endpoint_disabled", stripe(is_enabled=False), "we_1"),
    Planted("endpoint_with_wildcard", stripe(events=("*",)), "every event"),
    Planted("endpoint_with_wildcard", paypal(events=("*",)), "PayPal"),
    Planted("endpoint_events_missing", stripe(events=STRIPE.endpoints[0].events[1:]), "checkout.session.completed"),
    Planted("endpoint_events_missing", paypal(events=PAYPAL.endpoints[0].events[1:]), "CHECKOUT.ORDER.APPROVED"),
    Planted("endpoint_events_surplus", stripe(events=(*STRIPE.endpoints[0].events, "invoice.paid")), "invoice.paid"),
    Planted(
        "endpoint_twice",
        {"stripe": replace(STRIPE, endpoints=(*STRIPE.endpoints, endpoint("stripe", id="we_2")))},
        "`we_1`, `we_2`",
    ),
    Planted("paypal_webhook_id_differs", settings(PAYPAL_WEBHOOK_ID="1AB23456CD789012E"), "8PT597110X687430L"),
    Planted(
        "webhook_secret_differs",
        {"deployment": replace(DEPLOYMENT, signed=Probe(status=400, json={"reason": "signature"}))},
        "STRIPE_WEBHOOK_SECRET",
    ),
    Planted(
        "clock_differs",
        {"deployment": replace(DEPLOYMENT, signed=Probe(status=400, json={"reason": "time"}))},
        "five minutes",
    ),
    Planted(
        "webhook_not_configured",
        webhook("paypal", Probe(status=503, json={"code": "webhook_not_configured"})),
        "paypal_webhook",
    ),
    Planted("webhook_unreachable", webhook("stripe", Probe(status=403)), "status 403", "run.invoker"),
    # ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────
    Planted("sign_in_off", {"sign_in": replace(SIGN_IN, providers=frozenset())}, "No way", "authentication/providers"),
    Planted("sign_up_off", {"sign_in": replace(SIGN_IN, is_sign_up_off=True)}, "sign up"),
    Planted("sender_unverified", {"sign_in": replace(SIGN_IN, sender_state="IN_PROGRESS")}, "shop.example", "DNS"),
    Planted("sender_unverified", {"sign_in": replace(SIGN_IN, is_sender_used=False)}, "still come from another"),
    Planted("sender_unverified", {"sign_in": replace(SIGN_IN, sender_domain="")}, "shop-prod.firebaseapp.com"),
    Planted(
        "action_address_elsewhere", {"sign_in": replace(SIGN_IN, callback="https://evil.example/act")}, "evil.example"
    ),
    Planted(
        "domain_not_authorised", {"sign_in": replace(SIGN_IN, domains=frozenset())}, "app.shop.example", "settings"
    ),
    Planted("domain_of_a_laptop", {"sign_in": replace(SIGN_IN, domains=SIGN_IN.domains | {"localhost"})}, "localhost"),
    Planted("addresses_enumerable", {"sign_in": replace(SIGN_IN, hides_addresses=False)}, "e-mail addresses"),
    Planted("tenant_missing", settings(IDENTITY_TENANTS="acme-x1y2z"), "acme-x1y2z"),
    Planted("app_check_off", settings(APP_CHECK="off"), "APP_CHECK", "monitor"),
    Planted("app_check_off", settings(APP_CHECK=None), "APP_CHECK", "monitor"),
    Planted("app_check_only_watched", settings(APP_CHECK="monitor"), "monitor", "enforce"),
    Planted("app_check_not_for_database", {"app_check": {"firestore.googleapis.com": "OFF"}}, "Firestore"),
    Planted("administrator_missing", {"admins": 0}, "admin", "make admin"),
    # ── models and packages ──────────────────────────────────────────────────────────────────────────────────────────
    Planted("no_model", {"offer": Offer(models={}, packages=PACKAGES)}, "No model", "catalogue.yaml"),
    Planted("model_without_price", models(gpt_5={**CHAT, "input_usd_per_mtok": None}), "gpt-5"),
    Planted("model_without_price", models(gpt_5={**CHAT, "output_usd_per_mtok": "cheap"}), "gpt-5"),
    Planted("model_malformed", models(gpt_5={**CHAT, "context_window": "large"}), "context_window"),
    Planted("model_free", models(gpt_5={**CHAT, "input_usd_per_mtok": "0", "output_usd_per_mtok": "0"}), "gpt-5"),
    Planted("default_model_missing", settings(DEFAULT_MODEL="gpt-9"), "gpt-9", "catalogue.yaml"),
    Planted("default_model_missing", models(gpt_image_1=None), "DEFAULT_IMAGE_MODEL"),
    Planted("default_model_missing", models(gpt_4o_mini={**CHAT, "is_enabled": False}), "gpt-4o-mini"),
    Planted("model_of_unknown_provider", models(own={**CHAT, "upstream": "groq"}), "groq", "AI_UPSTREAMS"),
    Planted("model_not_listed", {"providers": {"default": Provider(listing=LISTING[1:])}}, "gpt-4o-mini"),
    Planted(
        "model_below_cost",
        {"providers": {"default": Provider(listing=(dearer("0.00000030"), LISTING[1]))}},
        "input_usd_per_mtok",
        "models-sync",
    ),
    Planted(
        "model_below_catalogue",
        catalogue(models={"gpt-4o-mini": {**CHAT, "output_usd_per_mtok": "0.80"}}),
        "catalogue.yaml says 0.8",
    ),
    Planted(
        "catalogue_malformed",
        {"needs": replace(NEEDS, catalogue_problem="catalogue.yaml is no YAML: line 3.")},
        "line 3",
    ),
    Planted("catalogue_not_applied", catalogue(models={"gpt-5": CHAT}), "gpt-5", "catalogue"),
    Planted("catalogue_not_applied", catalogue(packages={"large": PACKAGES["small"]}), "large"),
    Planted("package_below_cost", package(price_minor=500), "Priced below cost"),
    Planted("package_malformed", package(credits="many"), "credits"),
    Planted("no_package", {"offer": Offer(models=MODELS, packages={})}, "No package"),
    Planted("no_package", package(is_enabled=False), "No package"),
    Planted(
        "model_key_refused", {"providers": {"default": Provider(refusal="status 401")}}, "status 401", "new version"
    ),
    Planted(
        "model_provider_unreachable",
        {"providers": {"default": Provider(problem="nothing answered")}},
        "nothing answered",
    ),
    Planted("bonus_dear", settings(WELCOME_BONUS_AMOUNT="1000"), "8.33 USD", "WELCOME_BONUS_AMOUNT"),
    Planted("no_markup", settings(MARKUP_PERCENT="0"), "MARKUP_PERCENT"),
    # ── the way to the API ───────────────────────────────────────────────────────────────────────────────────────────
    Planted(
        "api_unreachable",
        {"deployment": replace(DEPLOYMENT, info=Probe(status=403), own=Probe(status=403))},
        "status 403",
    ),
    Planted("api_of_another_project", info(project="shop-old"), "shop-old", "PUBLIC_URL"),
    Planted("api_of_another_region", info(region="europe-west1"), "europe-west1"),
    Planted("ledger_renamed", settings(LEDGER_ID="shop"), "shop-prod", "LEDGER_ID"),
    Planted(
        "store_unavailable",
        {"deployment": replace(DEPLOYMENT, status=Probe(status=200, json={"status": "degraded"}))},
        "database",
    ),
    Planted(
        "clock_differs", {"deployment": replace(DEPLOYMENT, info=replace(INFO, seconds_off=-400.0))}, "400 s ahead"
    ),
    Planted(
        "api_behind_hosting",
        {**settings(PUBLIC_URL="https://shop-prod.web.app/api", CLIENT_ADDRESS_FROM="hosting")},
        "Hosting",
    ),
    Planted("address_source_wrong", settings(CLIENT_ADDRESS_FROM="direct"), "direct"),
    Planted(
        "address_source_wrong",
        settings(CLIENT_ADDRESS_FROM="load_balancer") | closed(CLIENT_ADDRESS_FROM="load_balancer"),
        "load_balancer",
    ),
    Planted(
        "address_source_wrong", settings(PUBLIC_URL="https://api.shop.example"), "api.shop.example stands in front"
    ),
    Planted("own_address_open", settings(**BALANCED), "past what stands in front", "load_balancer"),
    Planted(
        "own_address_open",
        closed(**BALANCED) | {"settings": BALANCED, "deployment": DEPLOYMENT},
        "past what stands in front",
    ),
    Planted("own_address_closed", api(ingress="ALLOW_INTERNAL_AND_GCLB"), "ALLOW_INTERNAL_AND_GCLB"),
    Planted(
        "signing_key_not_deployed",
        {
            "deployment": replace(DEPLOYMENT, keys=Probe(status=200, json={"items": [{"kid": "k0"}]})),
            "functions": bound("LEDGER_SIGNING_KEY", "latest"),
        },
        "k0, k1",
    ),
)
