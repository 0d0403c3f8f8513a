"""A planted mistake for each check of the Google project, the database, the functions and the schedules."""

from dataclasses import replace
from datetime import timedelta

from emulator.cloud.roles import SECRETS as READS_SECRETS
from tests.support.sound_project import (
    ANCHORS,
    BUCKET,
    DATABASE,
    NEEDS,
    NOW,
    SETTINGS,
    account_of,
    functions_of,
    secret,
    stored_secrets,
)
from tests.unit.cloud.planting import (
    AN_INDEX,
    API,
    FIELD,
    GRANTS,
    JOBS,
    WATCH,
    Planted,
    api,
    bound,
    changed,
    job,
    named,
    secrets,
    settings,
    with_function,
)

OLD_API = replace(functions_of(NEEDS)["api"], region="europe-west1")
MODEL_KEY = "AI_PLATFORM_API_KEY"
PLANTED_CLOUD: tuple[Planted, ...] = (
    Planted("demo_project", named("demo-shop"), "demo-shop", "real project"),
    # ── the Google project ───────────────────────────────────────────────────────────────────────────────────────────
    Planted("billing_off", {"is_billed": False}, "Billing is off", "linkedaccount?project=shop-prod"),
    Planted("budget_missing", {"budgets": 0}, "No budget", "budget"),
    Planted(
        "api_off", {"apis": NEEDS.apis - {"cloudscheduler.googleapis.com"}}, "cloudscheduler", "gcloud services enable"
    ),
    Planted(
        "topic_missing", {"topics": NEEDS.topics - {"credit-events"}}, "credit-events", "make deploy PROJECT=shop-prod"
    ),
    Planted("topic_missing", {"topics": NEEDS.topics - {"alerts"}}, "alerts"),
    Planted("topic_missing", {"topics": NEEDS.topics - {"agent-steps"}}, "agent-steps"),
    Planted(
        "alerts_unheard", {"watch": replace(WATCH, subscriptions=(), heard=frozenset())}, "Nobody hears", "ALERT_EMAIL"
    ),
    Planted("channel_disabled", {"watch": replace(WATCH, channels={"On call": False})}, "On call", "Enable"),
    Planted("channel_unverified", {"watch": replace(WATCH, unverified=frozenset({"On call"}))}, "On call", "mail"),
    Planted("metric_missing", {"watch": replace(WATCH, metrics=frozenset())}, "operator_alerts", "monitoring"),
    Planted(
        "account_shared",
        api(service_account="12-compute@developer.gserviceaccount.com"),
        "12-compute",
        "account of its own",
    ),
    Planted(
        "alert_policy_missing",
        {"needs": replace(NEEDS, policies=NEEDS.policies | {"Ledger tampered"})},
        "Ledger tampered",
        "make deploy",
    ),
    Planted(
        "alert_policy_disabled",
        {
            "needs": replace(NEEDS, policies=NEEDS.policies | {"Ledger tampered"}),
            "watch": replace(WATCH, policies={**WATCH.policies, "Ledger tampered": False}),
        },
        "Ledger tampered",
    ),
    Planted(
        "role_missing",
        {
            "needs": with_function("api", roles=frozenset({"roles/datastore.user"})),
            "grants": {**GRANTS, f"serviceAccount:{API}": frozenset({"roles/pubsub.publisher", READS_SECRETS})},
        },
        API,
        "Grant the role",
    ),
    Planted(
        "secret_closed",
        {"grants": {**GRANTS, f"serviceAccount:{API}": GRANTS[f"serviceAccount:{API}"] - {READS_SECRETS}}},
        f"{API} (`api`) may not read the secret `LEDGER_SIGNING_KEY`",
        "make deploy",
    ),
    Planted(
        "secret_open",
        secrets(
            LEDGER_SIGNING_KEY=replace(
                stored_secrets()["LEDGER_SIGNING_KEY"], readers=frozenset({account_of("paypal_webhook")})
            )
        ),
        "paypal_webhook",
        "remove-iam-policy-binding",
    ),
    Planted(
        "role_too_broad", {"grants": {**GRANTS, f"serviceAccount:{API}": frozenset({"roles/editor"})}}, "roles/editor"
    ),
    Planted(
        "role_too_broad", {"grants": {**GRANTS, f"serviceAccount:{API}": frozenset({"roles/owner"})}}, "roles/owner"
    ),
    Planted("project_open_to_everybody", {"grants": {**GRANTS, "allUsers": frozenset({"roles/viewer"})}}, "allUsers"),
    # ── database and bucket ──────────────────────────────────────────────────────────────────────────────────────────
    Planted("database_missing", {"database": None}, "does not exist", "make deploy"),
    Planted("database_of_other_kind", {"database": replace(DATABASE, kind="DATASTORE_MODE")}, "DATASTORE_MODE"),
    Planted(
        "database_without_recovery", {"database": replace(DATABASE, has_recovery=False)}, "recovery", "--enable-pitr"
    ),
    Planted(
        "database_deletable", {"database": replace(DATABASE, is_protected=False)}, "protection", "--delete-protection"
    ),
    Planted("backup_missing", {"database": replace(DATABASE, backup_days=())}, "no backup", "schedules create"),
    Planted("backup_short", {"database": replace(DATABASE, backup_days=(2,))}, "2 days"),
    Planted("database_elsewhere", {"database": replace(DATABASE, location="eur3")}, "eur3", "REGION"),
    Planted("database_elsewhere", {"database": replace(DATABASE, location="us-east1")}, "us-east1"),
    Planted(
        "index_missing", {"indexes": dict.fromkeys(NEEDS.indexes - {AN_INDEX}, "READY")}, AN_INDEX, "firestore:indexes"
    ),
    Planted(
        "index_not_ready",
        {"indexes": {**dict.fromkeys(NEEDS.indexes, "READY"), AN_INDEX: "CREATING"}},
        "creating",
        "Wait",
    ),
    Planted("index_broken", {"indexes": {**dict.fromkeys(NEEDS.indexes, "READY"), AN_INDEX: "NEEDS_REPAIR"}}, AN_INDEX),
    Planted(
        "index_surplus",
        {"indexes": dict.fromkeys([*NEEDS.indexes, "users (COLLECTION): a ASCENDING"], "READY")},
        "users",
    ),
    Planted(
        "field_indexes_differ",
        {"single_fields": {name: text for name, text in NEEDS.single_fields.items() if name != FIELD}},
        FIELD,
    ),
    Planted(
        "field_indexes_differ",
        {"single_fields": {**NEEDS.single_fields, "users.email": "no index"}},
        "users.email",
    ),
    Planted("rules_missing", {"rules": None}, "No rules", "firestore:rules"),
    Planted("rules_differ", {"rules": NEEDS.rules.replace("if false", "if true", 1) + "// x"}, "differ"),
    Planted("bucket_missing", {"bucket": None}, "shop-prod-images", "make deploy"),
    Planted("bucket_public", {"bucket": replace(BUCKET, members=frozenset({"allUsers"}))}, "allUsers"),
    Planted("bucket_not_uniform", {"bucket": replace(BUCKET, is_uniform=False)}, "uniform"),
    Planted("bucket_may_become_public", {"bucket": replace(BUCKET, is_private=False)}, "not prevented"),
    Planted("bucket_elsewhere", {"bucket": replace(BUCKET, location="EUROPE-WEST1")}, "europe-west1"),
    # ── anchors of the log ───────────────────────────────────────────────────────────────────────────────────────────
    Planted("anchors_unset", settings(LEDGER_ANCHOR_BUCKET=None), "names no bucket", "LEDGER_ANCHOR_BUCKET"),
    Planted("anchor_bucket_missing", {"anchors": None}, "shop-prod-anchors", "make deploy"),
    Planted("anchor_bucket_unlocked", {"anchors": replace(ANCHORS, is_locked=False)}, "3650 days, not locked"),
    Planted("anchor_bucket_unlocked", {"anchors": replace(ANCHORS, retention_days=0, is_locked=False)}, "(none)"),
    Planted("anchor_bucket_not_uniform", {"anchors": replace(ANCHORS, is_uniform=False)}, "uniform"),
    Planted(
        "anchor_bucket_writable_by_all",
        {"anchors": replace(ANCHORS, writers=frozenset({"allUsers"}))},
        "allUsers",
        "remove-iam-policy-binding",
    ),
    # ── functions and schedules ──────────────────────────────────────────────────────────────────────────────────────
    Planted(
        "function_missing",
        {"functions": {name: each for name, each in functions_of(NEEDS).items() if name != "on_ledger_entry"}},
        "on_ledger_entry",
    ),
    Planted("function_failed", api(state="FAILED", problem="Container failed to start."), "Container failed to start"),
    Planted("function_limits_differ", api(memory_mb=256), "memory (MB) 256"),
    Planted("function_limits_differ", api(concurrency=1), "concurrency 1"),
    Planted("function_of_other_release", api(settings={**SETTINGS, "RELEASE": "v2"}), "v2: `api`"),
    Planted("function_limits_differ", {"functions": changed("on_ledger_entry", is_retried=False)}, "retries"),
    Planted("function_limits_differ", {"functions": changed("generate_image", event=None)}, "trigger no event"),
    Planted("release_differs", {"needs": replace(NEEDS, release="v4-2-gabc1234")}, "v4-2-gabc1234", "rollback"),
    Planted(
        "secret_in_function_settings",
        api(settings={**SETTINGS, "RELEASE": "v1", "STRIPE_SECRET_KEY": "x"}),
        "STRIPE_SECRET_KEY",
    ),
    Planted("setting_not_deployed", api(settings={**SETTINGS, "RELEASE": "v1", "AI_PLATFORM_FIELDS": "x"}), "FIELDS"),
    Planted(
        "function_twice",
        {"functions": {**functions_of(NEEDS), "api (europe-west1)": OLD_API}},
        "europe-west1",
        "delete",
    ),
    Planted(
        "function_surplus",
        {"functions": {**functions_of(NEEDS), "old_api": replace(OLD_API, name="old_api")}},
        "old_api",
        "gcloud functions delete",
    ),
    Planted(
        "setting_not_deployed",
        api(settings={**SETTINGS, "RELEASE": "v1", "FIRESTORE_EMULATOR_HOST": "10.0.0.1:8080"}),
        "FIRESTORE_EMULATOR_HOST",
    ),
    Planted("function_elsewhere", api(region="europe-west1"), "europe-west1"),
    Planted(
        "setting_not_deployed",
        api(settings={**SETTINGS, "RELEASE": "v1", "MARKUP_PERCENT": "10"}),
        "MARKUP_PERCENT",
        "Deploy again",
    ),
    Planted(
        "secret_not_deployed",
        {"functions": bound(MODEL_KEY, "2", api="1"), **secrets(**{MODEL_KEY: secret(MODEL_KEY, "sk-old", "sk-new")})},
        "not yet in `api`",
        "Deploy again",
    ),
    Planted(
        "secret_not_bound", {"functions": bound("MARKS_SECRET", "1", api=None)}, "`MARKS_SECRET` is not bound to `api`"
    ),
    Planted("no_instance_waits", api(instances_min=0), "api", "MIN_INSTANCES=1"),
    Planted("schedule_missing", {"jobs": {"every_day": JOBS["every_day"]}}, "every_minute"),
    Planted("schedule_paused", job("every_minute", state="PAUSED"), "paused", "resume"),
    Planted("schedule_differs", job("every_day", schedule="every 24 hours"), "every 24 hours"),
    Planted("schedule_failed", job("every_day", code=13), "code 13"),
    Planted("schedule_late", job("every_minute", attempted_at=NOW - timedelta(hours=2)), "2026-11-30 14:00"),
    Planted("schedule_late", job("every_day", attempted_at=None, changed_at=NOW - timedelta(days=3)), "never run"),
)
