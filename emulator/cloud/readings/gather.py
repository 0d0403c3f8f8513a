"""Gathering of all facts about a project: each reader runs once, and one that fails spoils no other."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from emulator.cloud.checks.check import Fact
from emulator.cloud.checks.needs import Needs, needs_of
from emulator.cloud.checks.payments import region_in
from emulator.cloud.checks.project import ProjectFacts, Secret, latest_values
from emulator.cloud.checks.secrets import SECRETS
from emulator.cloud.checks.settings import settings_of
from emulator.cloud.google import Google
from emulator.cloud.readings.cloud import (
    read_apis,
    read_billing,
    read_budgets,
    read_grants,
    read_topics,
    read_watch,
)
from emulator.cloud.readings.data import (
    read_anchors,
    read_bucket,
    read_database,
    read_indexes,
    read_offer,
    read_rules,
    read_sealing_keys,
    read_single_fields,
)
from emulator.cloud.readings.deployed_api import read_deployment
from emulator.cloud.readings.files import read_files
from emulator.cloud.readings.functions import read_functions, read_jobs
from emulator.cloud.readings.model_providers import read_providers
from emulator.cloud.readings.payment_accounts import read_paypal, read_stripe
from emulator.cloud.readings.people import read_admins, read_app_check, read_sign_in
from emulator.cloud.readings.reading import Http, look
from emulator.cloud.readings.secrets import read_secrets
from emulator.tools import ROOT
from shared.kernel.chain_settings import CHAIN_SETTING
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.settings import UPSTREAM_KEY, Settings

T = TypeVar("T")
NO_DATABASE = "database_missing"


def gather(
    google: Google, http: Http, *, root: Path = ROOT, clock: Clock | None = None, needs: Needs | None = None
) -> ProjectFacts:
    """Return all facts about the project of `google`. The release's needs are read in `root` unless given."""
    name, needs, clock = google.project, needs or needs_of(root), clock or SystemClock()
    files = look("the files with settings", lambda: read_files(name, root))
    secrets = look("the secrets", lambda: read_secrets(google, _names(needs)))
    settings = look("the settings", lambda: settings_of(name, {**_readable(secrets), **files.value.values}))

    def with_secrets() -> Settings:
        """Return the settings for a reader that needs our keys. Raises CouldNotLook if no secret could be read."""
        assert secrets.value is not None, "raised before"
        return settings.value

    region = region_in(files.read[0].values if files.read else {}, needs.params)
    topics = look("the Pub/Sub topics", lambda: read_topics(google))
    functions = look("the deployed functions", lambda: read_functions(google, region))
    return ProjectFacts(
        name=name,
        now=datetime.fromtimestamp(clock.now() / 1_000, UTC),
        needs=needs,
        files=files,
        settings=settings,
        secrets=secrets,
        topics=topics,
        functions=functions,
        apis=look("the APIs", lambda: read_apis(google)),
        is_billed=look("billing", lambda: read_billing(google)),
        budgets=look("the budgets", lambda: read_budgets(google)),
        watch=look("who hears alerts", lambda: read_watch(google, topics.value)),
        grants=look("the roles", lambda: read_grants(google)),
        jobs=look("the schedules", lambda: read_jobs(google, region)),
        database=look("the database", lambda: read_database(google)),
        indexes=look("the indexes", lambda: read_indexes(google), NO_DATABASE),
        single_fields=look("the indexes of single fields", lambda: read_single_fields(google), NO_DATABASE),
        rules=look("the rules of Firestore", lambda: read_rules(google)),
        bucket=look("the bucket", lambda: read_bucket(google, settings.value.images_bucket)),
        anchors=look("the bucket of anchors", lambda: read_anchors(google, settings.value.ledger_anchor_bucket)),
        sign_in=look("Firebase Auth", lambda: read_sign_in(google, settings.value.identity_tenants)),
        app_check=look("App Check", lambda: read_app_check(google)),
        admins=look("the administrators", lambda: read_admins(google, settings.value.identity_tenants)),
        offer=look("the models and packages", lambda: read_offer(google), NO_DATABASE),
        sealing_keys=look("the keys of stored entries", lambda: read_sealing_keys(google), NO_DATABASE),
        stripe=look("the account at Stripe", lambda: read_stripe(http, with_secrets())),
        paypal=look("the account at PayPal", lambda: read_paypal(http, with_secrets())),
        providers=look("the model providers", lambda: read_providers(http, with_secrets())),
        deployment=look(
            "the deployed API", lambda: read_deployment(http, clock, settings.value, region, functions.value)
        ),
    )


def _names(needs: Needs) -> frozenset[str]:
    return needs.secrets | SECRETS


def _readable(secrets: Fact[Mapping[str, Secret]]) -> Mapping[str, str]:
    """Return the values of the readable secrets, without white space around them; none if nothing could be read."""
    values = latest_values(secrets.read[0]) if secrets.read else {}
    dynamic = (UPSTREAM_KEY, CHAIN_SETTING)
    names = {name for name in values if name in SECRETS or any(each.fullmatch(name) for each in dynamic)}
    ours = {name: values[name].strip() for name in names}
    return {name: value for name, value in ours.items() if value}
