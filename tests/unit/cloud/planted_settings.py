"""A planted mistake for each check of settings, of a laptop's defaults and of secrets."""

from dataclasses import replace

from emulator.cloud.checks.project import Secret
from emulator.cloud.checks.settings import EXAMPLE_KEY
from tests.support.sound_project import KEY, NAME, OLD_KEY, secret, setting_lines
from tests.unit.cloud.planting import ODD_KEY, Planted, bound, info, line, more_lines, secrets, settings, upstream

PLANTED: tuple[Planted, ...] = (
    # ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────
    Planted(
        "settings_file_missing", {"files": replace(setting_lines(), is_there=False)}, ".env.shop-prod", ".env.example"
    ),
    Planted(
        "settings_line_unreadable",
        {"files": replace(setting_lines(), unreadable=("line 3 of .env.shop-prod",))},
        "line 3 of .env.shop-prod",
    ),
    Planted("setting_malformed", settings(PAYMENT_PROVIDERS="stripe,paypall,paypal"), "paypall"),
    Planted("setting_unknown", settings(CREDIT_PER_USD="100"), "CREDIT_PER_USD", "CREDITS_PER_USD"),
    Planted("setting_unknown", settings(cors_origins="https://a.example"), "cors_origins", "CORS_ORIGINS"),
    Planted("setting_unknown", settings(LOGO_COLOUR="red"), "LOGO_COLOUR", "delete the line"),
    Planted("setting_malformed", settings(CREDITS_PER_USD="a lot"), "CREDITS_PER_USD", "settings.md"),
    Planted("setting_malformed", settings(APP_CHECK="on"), "APP_CHECK"),
    Planted("setting_malformed", settings(FIRESTORE_LOCATION="Frankfurt"), "FIRESTORE_LOCATION"),
    Planted("setting_malformed", settings(ALERT_EMAIL="on-call"), "ALERT_EMAIL"),
    Planted("setting_malformed", settings(MIN_INSTANCES="one"), "MIN_INSTANCES"),
    Planted("setting_malformed", settings(MIN_INSTANCES="500"), "0 to 50"),
    Planted("setting_malformed", settings(BACKUP_WEEKLY_DAYS="200"), "0 to 98"),
    Planted("setting_malformed", settings(IMAGES_RETENTION_DAYS="3"), "7 to 90"),
    Planted("setting_malformed", settings(IMAGES_BUCKET="gs://shop-prod-images"), "without gs://"),
    Planted("setting_malformed", settings(AI_UPSTREAMS="groq"), "AI_UPSTREAMS"),
    Planted("setting_malformed", settings(AI_UPSTREAM_GROQ_PROFILE="groq"), "AI_UPSTREAM_GROQ_PROFILE"),
    Planted("setting_malformed", settings(WELCOME_BONUS_REQUIRES="verifed"), "WELCOME_BONUS_REQUIRES"),
    Planted("setting_malformed", settings(STRIPE_PUBLISHABLE_KEY="rk_9f8e7d"), "STRIPE_PUBLISHABLE_KEY"),
    Planted("setting_placeholder", settings(PAYPAL_WEBHOOK_ID="<webhook id>"), "PAYPAL_WEBHOOK_ID"),
    Planted("setting_placeholder", settings(DEFAULT_IMAGE_MODEL="changeme"), "DEFAULT_IMAGE_MODEL"),
    Planted("setting_twice", more_lines(line("MARKUP_PERCENT", "20")), "2 times", "Keep one"),
    Planted("setting_reserved", settings(GCLOUD_PROJECT=NAME), "GCLOUD_PROJECT", "Delete"),
    Planted("setting_reserved", settings(X_GOOGLE_TOKEN="1"), "X_GOOGLE_TOKEN"),
    Planted("setting_missing", settings(STRIPE_PUBLISHABLE_KEY=None), "STRIPE_PUBLISHABLE_KEY", ".env.shop-prod"),
    Planted("setting_missing", settings(PAYPAL_CLIENT_ID=None), "PAYPAL_CLIENT_ID"),
    Planted("setting_missing", settings(PAYPAL_WEBHOOK_ID=""), "PAYPAL_WEBHOOK_ID"),
    Planted("hold_lifetime_short", settings(HOLD_LIFETIME_SECONDS="60"), "60 s", "HOLD_LIFETIME_SECONDS"),
    Planted("threads_set", settings(THREADS="80"), "THREADS", "Delete"),
    Planted("ledger_of_another_project", {**settings(LEDGER_ID="demo-1"), **info(ledger_id="demo-1")}, "demo-1"),
    # ── a laptop's defaults ──────────────────────────────────────────────────────────────────────────────────────────
    Planted("emulator_setting", settings(FIRESTORE_EMULATOR_HOST="10.0.0.5:8080"), "FIRESTORE_EMULATOR_HOST", "Delete"),
    Planted("emulator_setting", settings(FUNCTIONS_EMULATOR="true"), "FUNCTIONS_EMULATOR"),
    Planted("laptop_address", settings(AI_PLATFORM_BASE_URL="http://127.0.0.1:4010/v1"), "127.0.0.1"),
    Planted("laptop_address", settings(STRIPE_API_BASE="http://localhost:12111"), "STRIPE_API_BASE"),
    Planted("laptop_address", upstream("own=http://192.168.1.7:8000/v1"), "192.168.1.7"),
    Planted("address_not_https", settings(AI_PLATFORM_BASE_URL="http://models.example.com/v1"), "AI_PLATFORM_BASE_URL"),
    Planted("laptop_profile", settings(AI_PLATFORM_PROFILE="laptop"), "AI_PLATFORM_PROFILE"),
    Planted("bonus_for_anyone", settings(WELCOME_BONUS_REQUIRES="any"), "WELCOME_BONUS_REQUIRES", "verified"),
    Planted("laptop_bonus_domain", settings(WELCOME_BONUS_UNCAPPED_DOMAINS="example.com"), "example.com"),
    Planted("origin_of_a_laptop", settings(CORS_ORIGINS="https://app.shop.example,http://localhost:*"), "localhost"),
    Planted("origin_of_a_laptop", settings(CORS_ORIGINS="http://127.0.0.1:5173"), "127.0.0.1"),
    Planted("origin_with_wildcard", settings(CORS_ORIGINS="*"), "*", "in full"),
    Planted("origin_with_wildcard", settings(CORS_ORIGINS="https://*"), "https://*", "in full"),
    Planted("laptop_signing_key", secrets(LEDGER_SIGNING_KEY=f"{KEY},{OLD_KEY},laptop-1{OLD_KEY[2:]}"), "laptop-1"),
    Planted("laptop_key", secrets(AI_PLATFORM_API_KEY="laptop"), "AI_PLATFORM_API_KEY"),
    # ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────
    Planted("secret_missing", secrets(AI_PLATFORM_API_KEY=None), "AI_PLATFORM_API_KEY", "make deploy"),
    Planted("secret_missing", {**secrets(LEDGER_SIGNING_KEY=None), "sealing_keys": frozenset()}, "LEDGER_SIGNING_KEY"),
    Planted(
        "secret_missing",
        secrets(STRIPE_WEBHOOK_SECRET=None, STRIPE_WEBHOK_SECRET=Secret(name="STRIPE_WEBHOK_SECRET")),
        "STRIPE_WEBHOK_SECRET`, which may be meant",
    ),
    Planted(
        "secret_without_version", secrets(MARKS_SECRET=Secret(name="MARKS_SECRET")), "MARKS_SECRET", "versions add"
    ),
    Planted(
        "secret_disabled",
        secrets(AI_PLATFORM_API_KEY=secret("AI_PLATFORM_API_KEY", None, state="DISABLED")),
        "is disabled",
    ),
    Planted("secret_destroyed", secrets(MARKS_SECRET=secret("MARKS_SECRET", None, state="DESTROYED")), "is destroyed"),
    Planted(
        "secret_in_plain_text",
        {**settings(LEDGER_SIGNING_KEY=KEY), **secrets(LEDGER_SIGNING_KEY=None)},
        "LEDGER_SIGNING_KEY",
        "make key",
    ),
    Planted(
        "secret_in_plain_text",
        settings(AI_UPSTREAMS="groq=https://api.groq.com/openai/v1", AI_UPSTREAM_GROQ_API_KEY="gsk_abcdef"),
        "AI_UPSTREAM_GROQ_API_KEY",
    ),
    Planted(
        "secret_in_plain_text",
        settings(LEDGER_ID=None, DEFAULT_MODEL="sk-proj-abcdefghijklmnopqrstuv"),
        "DEFAULT_MODEL",
    ),
    Planted(
        "secret_and_setting", settings(MARKS_SECRET="a-secret-of-the-marks-of-this-shop"), "MARKS_SECRET", "Delete"
    ),
    Planted("secret_placeholder", secrets(AI_PLATFORM_API_KEY="changeme"), "AI_PLATFORM_API_KEY"),
    Planted("secret_placeholder", secrets(PAYPAL_CLIENT_SECRET="your-paypal-secret"), "PAYPAL_CLIENT_SECRET"),
    Planted("secret_placeholder", secrets(AI_PLATFORM_API_KEY="sk-..."), "AI_PLATFORM_API_KEY"),
    Planted("secret_placeholder", secrets(MARKS_SECRET=" \n"), "MARKS_SECRET"),
    Planted(
        "secret_with_spaces", secrets(PAYPAL_CLIENT_SECRET="EGnHDxD_qRPdaLdZz8iCr8N7_MzF\n"), "a newline", "printf"
    ),
    Planted("secret_malformed", secrets(STRIPE_WEBHOOK_SECRET="we_1PgafTB1WZVZmkqz"), "whsec_"),
    Planted("secret_malformed", secrets(MARKS_SECRET="short"), "16 characters"),
    Planted("secret_malformed", secrets(AI_PLATFORM_API_KEY='"sk-proj-a1b2c3d4e5f6"'), "stands in quotes"),
    Planted("secret_malformed", secrets(AI_PLATFORM_API_KEY="Bearer sk-proj-a1b2c3d4"), "begins with “Bearer ”"),
    Planted("secret_malformed", secrets(PAYPAL_CLIENT_SECRET="PAYPAL_CLIENT_SECRET=EGnH"), "begins with its own name"),
    Planted("secret_malformed", {**secrets(LEDGER_SIGNING_KEY="k1:not-base64"), "sealing_keys": frozenset()}, "base64"),
    Planted(
        "signing_key_guessable", {**secrets(LEDGER_SIGNING_KEY=f"{EXAMPLE_KEY},{KEY},{OLD_KEY}")}, "kid", "make key"
    ),
    Planted(
        "marks_secret_removed",
        {
            **secrets(MARKS_SECRET=secret("MARKS_SECRET", "the-first-secret-of-marks", "a-second-secret-of-marks")),
            "functions": bound("MARKS_SECRET", "2"),
        },
        "MARKS_SECRET",
        "behind",
    ),
    Planted("signing_key_guessable", secrets(LEDGER_SIGNING_KEY=f"{ODD_KEY},{OLD_KEY}"), "k1"),
    Planted("signing_key_removed", {**secrets(LEDGER_SIGNING_KEY=KEY)}, "k0", "behind"),
    Planted(
        "signing_key_removed",
        {
            **secrets(LEDGER_SIGNING_KEY=secret("LEDGER_SIGNING_KEY", f"{OLD_KEY}", KEY)),
            "sealing_keys": frozenset({"k1"}),
            "functions": bound("LEDGER_SIGNING_KEY", "2"),
        },
        "k0",
    ),
    Planted(
        "signing_key_replaced",
        {
            **secrets(LEDGER_SIGNING_KEY=secret("LEDGER_SIGNING_KEY", f"{KEY},{OLD_KEY}", f"{KEY},k0{KEY[2:]}")),
            "functions": bound("LEDGER_SIGNING_KEY", "2"),
        },
        "k0",
    ),
)
