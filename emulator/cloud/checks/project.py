"""Facts about a Google project, as the readers found them. Pure values; no fact holds a secret in its `repr`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from emulator.cloud.checks.check import Fact
from emulator.cloud.checks.needs import Needs
from shared.bootstrap.secrets import used_providers
from shared.kernel.settings import Settings, SettingsError

Json = Mapping[str, Any]
SECRET_SHAPED = re.compile(
    r"(sk|rk)_(live|test|org)_\w+|whsec_\w+|sk-[\w-]{20,}|[\w-]+:[A-Za-z0-9+/]{43}=(,.*)?|.*-----BEGIN.*", re.DOTALL
)
"""Text that only a secret has: keys of Stripe and OpenAI, signing keys, private keys."""
SECRET_CHARACTERS_MIN = 8
"""Length from which a secret's value is hidden in a finding. Shorter ones are words such as `laptop`."""
HIDDEN = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Line `NAME=value` of a file with settings. `file` is the file's name."""

    file: str
    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFiles:
    """Plain settings of a project: the lines of `.env` and of `.env.<project>`, the latter last.

    `is_there` is True if `.env.<project>` exists.
    """

    project_file: str
    is_there: bool
    lines: tuple[Line, ...] = ()
    unreadable: tuple[str, ...] = ()
    """Places of lines that the Firebase CLI cannot read, such as `line 3 of .env.shop`."""

    @property
    def values(self) -> Mapping[str, str]:
        """Return the value of each setting; the last line of a name counts."""
        return {line.name: line.value for line in self.lines if line.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretVersion:
    """Version of a secret. `state` is Google's word. `value` is None if the version is not enabled."""

    number: int
    state: str
    value: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """Secret with its versions, newest first. A destroyed or disabled version has no value.

    `readers` are the service accounts that may read the secret by the secret's own policy.
    """

    name: str
    versions: tuple[SecretVersion, ...] = ()
    readers: frozenset[str] = frozenset()

    @property
    def latest(self) -> SecretVersion | None:
        """Return the version that a deployment takes; None if there is none."""
        return self.versions[0] if self.versions else None

    @property
    def value(self) -> str | None:
        """Return the value of the latest version; None if that version is not enabled."""
        return self.latest.value if self.latest else None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionFacts:
    """Function as Cloud Functions describes the function. `secrets` maps a name to the version that is bound."""

    name: str
    region: str
    state: str
    memory_mb: int
    cpu: str
    concurrency: int
    timeout_seconds: int
    instances_max: int | None
    instances_min: int
    ingress: str
    service_account: str
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    event: str | None = None
    is_retried: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledJob:
    """Job of Cloud Scheduler. `attempted_at` is None before the first attempt; `code` is 0 after a success."""

    function: str
    state: str
    schedule: str
    zone: str
    attempted_at: datetime | None
    code: int
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Firestore database, with the retention in days of each backup schedule."""

    location: str
    kind: str
    has_recovery: bool
    is_protected: bool
    backup_days: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Bucket of users' files. `members` are the members of its policy."""

    location: str
    is_uniform: bool
    is_private: bool
    members: frozenset[str]
    """Members of the bucket's policy, such as `allUsers`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorBucket:
    """Bucket of the log's anchors. `retention_days` is 0 without a retention policy. `writers` hold a role there."""

    is_uniform: bool
    retention_days: int
    is_locked: bool
    writers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """Configuration of Firebase Auth."""

    providers: frozenset[str]
    """Enabled ways to sign in, such as `email`, `phone` or `google.com`."""
    domains: frozenset[str]
    sender_method: str
    sender_domain: str
    sender_state: str
    """Google's word for the state of the sender's domain; `SUCCEEDED` is the good one."""
    is_sender_used: bool
    """True if e-mails come from the sender's domain."""
    callback: str
    hides_addresses: bool
    is_sign_up_off: bool
    """True if users cannot make accounts themselves."""
    tenants: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Parts that page a person: subscriptions of the topic `alerts`, notification channels, alert policies.

    `channels` and `policies` map a name to True if enabled. `heard` are the policies with a channel.
    """

    subscriptions: tuple[str, ...]
    channels: Mapping[str, bool]
    policies: Mapping[str, bool]
    heard: frozenset[str]
    unverified: frozenset[str] = frozenset()
    """Channels whose address has not been verified, so that nothing is sent there."""
    metrics: frozenset[str] = frozenset()
    """Log-based metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Webhook endpoint at a payment provider."""

    id: str
    url: str
    events: tuple[str, ...]
    is_enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Account at a payment provider, as our keys see the account.

    `refusal` says why the provider refused the keys; empty if the keys are good.
    """

    refusal: str = ""
    id: str = ""
    is_accepting: bool = True
    is_other_mode: bool = False
    """True if the keys belong to the provider's other mode."""
    scopes: frozenset[str] = frozenset()
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Answer to one HTTP request. `status` is 0 if nothing answered; `problem` then says why."""

    status: int = 0
    json: Json = field(default_factory=dict)
    problem: str = ""
    seconds_off: float = 0.0
    """Difference between the server's clock and this machine's, in seconds."""

    @property
    def is_ours(self) -> bool:
        """Return True if the answer is one of this backend."""
        return 0 < self.status and bool(self.json)  # noqa: SIM300  # reads as a range


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Answers of the deployed API, at its public address and at the function's own address, and of the webhooks."""

    info: Probe
    status: Probe
    keys: Probe
    own: Probe
    """Answer at the function's own address; the same as `info` if nothing stands in front."""
    webhooks: Mapping[str, Probe]
    """Answers to a request without a body, by provider."""
    signed: Probe
    """Stripe webhook's answer to a signed body that is no event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Stored documents of models and packages, by id."""

    models: Mapping[str, Json]
    packages: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Model provider. `listing` is None if the provider publishes no list.

    `refusal` is the provider's answer to a bad key, `problem` the reason why nothing answered; else both are empty.
    """

    refusal: str = ""
    problem: str = ""
    listing: tuple[Json, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFacts:
    """All that the checks look at. `now` is this machine's time, `settings` the valid settings of the project."""

    name: str
    now: datetime
    needs: Needs
    files: Fact[SettingsFiles]
    settings: Fact[Settings]
    """Settings as functions would parse them, with the values of readable secrets. Invalid settings are left out."""
    apis: Fact[frozenset[str]]
    is_billed: Fact[bool]
    budgets: Fact[int]
    secrets: Fact[Mapping[str, Secret]]
    topics: Fact[frozenset[str]]
    watch: Fact[Watch]
    grants: Fact[Mapping[str, frozenset[str]]]
    """Roles by member, such as `serviceAccount:…`, on the project."""
    functions: Fact[Mapping[str, FunctionFacts]]
    """Functions by name; one of the same name in a second region stands under `name (region)`."""
    jobs: Fact[Mapping[str, ScheduledJob]]
    database: Fact[Database | None]
    indexes: Fact[Mapping[str, str]]
    """State of each composite index, by the index's text."""
    single_fields: Fact[Mapping[str, str]]
    """Text of each field whose indexes or time to live differ from Firestore's own, by `collection.field`."""
    rules: Fact[str | None]
    bucket: Fact[Bucket | None]
    anchors: Fact[AnchorBucket | None]
    """Bucket of the log's anchors; None if the settings name none, or if there is none of that name."""
    sign_in: Fact[SignIn]
    app_check: Fact[Mapping[str, str]]
    admins: Fact[int]
    """Users with the role `admin`."""
    offer: Fact[Offer]
    sealing_keys: Fact[frozenset[str]]
    """Ids of the keys that sealed stored accounts and signed stored entries, as far as looked at."""
    stripe: Fact[Account]
    paypal: Fact[Account]
    providers: Fact[Mapping[str, Provider]]
    deployment: Fact[Deployment]

    @property
    def values(self) -> Mapping[str, str]:
        """Return the plain settings by name. Raises CouldNotLook."""
        return self.files.value.values

    def hidden(self, text: str) -> str:
        """Return the text without the secrets that the readers have seen."""
        for value in self._secret_values():
            text = text.replace(value, HIDDEN)
        return text

    def _secret_values(self) -> Iterator[str]:
        """Yield the values of secrets, and of settings that look like secrets or should be secrets."""
        names = self.needs.secrets
        for secret in (self.secrets.read[0] if self.secrets.read else {}).values():
            yield from (part for each in secret.versions for part in _parts(each.value or ""))
        for line in self.files.read[0].lines if self.files.read else ():
            if line.name in names or line.name.endswith("_API_KEY") or SECRET_SHAPED.fullmatch(line.value.strip()):
                yield from _parts(line.value)

    @property
    def used(self) -> frozenset[str]:
        """Return the names of the payment providers in use. Raises CouldNotLook."""
        try:
            return frozenset(record.name for record in used_providers(self.values))
        except SettingsError:
            return frozenset()

    def secret(self, name: str) -> str | None:
        """Return the value of a secret; None if the secret has none. Raises CouldNotLook."""
        secret = self.secrets.value.get(name)
        return secret.value if secret else None


def _parts(value: str) -> list[str]:
    parts = [part.strip() for part in value.split(",")]
    return [part for part in (value.strip(), *parts) if len(part) >= SECRET_CHARACTERS_MIN]


def latest_values(secrets: Mapping[str, Secret]) -> Mapping[str, str]:
    """Return the values of all secrets whose latest version is enabled."""
    return {name: each.value for name, each in secrets.items() if each.value}


def names_of(things: Sequence[str]) -> str:
    """Return names as a text: sorted, in quotes, with commas."""
    return ", ".join(f"`{each}`" for each in sorted(things))
