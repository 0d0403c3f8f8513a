"""Data for an empty project on a laptop: models with prices, packages to buy, topics of events, and two people."""

import contextlib
from collections.abc import Mapping
from typing import Any

from shared.bootstrap.schemas import versioned
from shared.kernel.documents import Documents, Put

MODELS: Mapping[str, Mapping[str, Any]] = {
    "gpt-4o-mini": {
        "display_name": "GPT-4o mini",
        "quality": 5,
        "speed": 8,
        "input_usd_per_mtok": "0.15",
        "output_usd_per_mtok": "0.60",
        "context_window": 128_000,
        "max_output_tokens": 16_384,
        "expected_output_tokens": 40,
        "capabilities": ["chat", "streaming", "tools", "vision", "files"],
        "image_tokens": {"base": 2_833, "tile": 5_667},
    },
    "gpt-4o": {
        "display_name": "GPT-4o",
        "quality": 8,
        "speed": 6,
        "input_usd_per_mtok": "2.50",
        "output_usd_per_mtok": "10.00",
        "context_window": 128_000,
        "max_output_tokens": 16_384,
        "expected_output_tokens": 40,
        "capabilities": ["chat", "streaming", "tools", "vision"],
        "image_tokens": {"base": 85, "tile": 170},
    },
    "gpt-4.1-nano": {
        "display_name": "GPT-4.1 nano",
        "quality": 4,
        "speed": 9,
        "input_usd_per_mtok": "0.10",
        "output_usd_per_mtok": "0.40",
        "context_window": 1_000_000,
        "max_output_tokens": 32_768,
        "expected_output_tokens": 40,
        "capabilities": ["chat", "streaming", "vision"],
        "image_tokens": {"patch_percent": 246, "patches": 1_536},
    },
    "text-embedding-3-small": {
        "kind": "embedding",
        "display_name": "Text embedding 3 small",
        "input_usd_per_mtok": "0.02",
        "context_window": 300_000,
        "capabilities": ["embeddings"],
    },
    "gpt-image-1": {
        "kind": "image",
        "display_name": "GPT Image 1",
        "image_usd": "0.042",
        "image_usd_by_size": {"1024x1024": "0.042", "1024x1536": "0.063", "1536x1024": "0.063"},
        "capabilities": ["images"],
    },
}


# Each as an operator would put it: `PUT /v1/admin/packages/{id}` checks the same fields.
PACKAGES: Mapping[str, Mapping[str, Any]] = {
    "taster": {
        "title": "Taster",
        "description": "150 credits to find out; one for each user.",
        "price_minor": 199,
        "currency": "USD",
        "credits": 150_000_000,
        "per_user_limit": 1,
        "position": 1,
    },
    "standard": {
        "title": "Standard",
        "description": "800 credits for everyday work.",
        "price_minor": 999,
        "currency": "USD",
        "credits": 800_000_000,
        "position": 2,
    },
    "plus": {
        "title": "Plus",
        "description": "3,600 credits, and 200 on top for thirty days.",
        "price_minor": 4_499,
        "currency": "USD",
        "credits": 3_600_000_000,
        "bonus": 200_000_000,
        "bonus_days": 30,
        "position": 3,
    },
}


USER: Mapping[str, Any] = {"uid": "uid_example", "email": "ann@example.com"}
"""User whom the examples name. This user owns all things that the examples name."""
OPERATOR: Mapping[str, Any] = {
    "uid": "uid_operator",
    "email": "olga@example.com",
    "roles": ["admin", "auditor", "support"],
}
"""Operator who may send the examples of operators' routes."""
PASSWORD = "correct horse battery staple"
"""Password of both, shown on the laptop's API reference."""
TOPICS = ("credit-events", "payment-events", "agent-steps", "image-jobs", "alerts", "health")


def seed(project: str) -> None:
    """Store models, packages, topics, a user and an operator in the emulators that the environment names."""
    seed_models(project)
    seed_packages(project)
    seed_topics(project)
    for person in (USER, OPERATOR):
        seed_user(project, person)


def seed_models(project: str) -> None:
    models = [Put(f"models/{name}", {**document(name), **fields}) for name, fields in MODELS.items()]
    _documents(project).commit(models, timeout_seconds=30)


def seed_packages(project: str) -> None:
    from shared.kernel.clock import SystemClock
    from shared.payments.packages import Packages

    packages = Packages(_documents(project), SystemClock())
    for name, fields in PACKAGES.items():
        packages.put(name, fields)


def _documents(project: str) -> Documents:
    from shared.platform.firestore.documents import connect

    return versioned(connect(project))


def seed_topics(project: str) -> None:
    from google.api_core.exceptions import AlreadyExists
    from google.cloud.pubsub_v1 import PublisherClient

    publisher = PublisherClient()
    for topic in TOPICS:
        with contextlib.suppress(AlreadyExists):
            publisher.create_topic(name=publisher.topic_path(project, topic), timeout=30)


def seed_user(project: str, person: Mapping[str, Any]) -> None:
    """Sign up the user or operator, with a verified address and the password."""
    from firebase_admin import auth

    from shared.platform.firebase_auth.app import firebase_app

    app, login = firebase_app(project), {name: person[name] for name in ("uid", "email")}
    with contextlib.suppress(auth.UidAlreadyExistsError, auth.EmailAlreadyExistsError):
        auth.create_user(**login, email_verified=True, password=PASSWORD, app=app)
    if roles := person.get("roles"):
        auth.set_custom_user_claims(person["uid"], {"roles": roles}, app=app)


def document(name: str) -> dict[str, Any]:
    return {"id": name, "kind": "chat", "upstream_model": name, "is_enabled": True, "price_version": 1}
