"""Checks of secrets: each exists in Secret Manager, is usable, and stands nowhere in plain text."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from emulator.cloud.checks.check import Told, check
from emulator.cloud.checks.project import SECRET_SHAPED, ProjectFacts, Secret
from emulator.cloud.checks.settings import EXAMPLE_KEY, is_placeholder, problems_of
from shared.bootstrap.secrets import MARKS, every_secret, project_secrets, secrets_of
from shared.kernel.chain_settings import CHAIN_SETTING, holds_key
from shared.kernel.log_settings import seed as log_seed
from shared.kernel.setting_values import marks_secrets
from shared.kernel.settings import LOG_KEY, SIGNING_KEY, UPSTREAM_KEY, SigningKey, parse_signing_keys

ENABLED, DESTROYED = "ENABLED", "DESTROYED"
SECRETS = frozenset(every_secret())
SEED_PATTERNS_MAX = 4
"""A seed of fewer different bytes was typed, not drawn."""


@check("Run `make deploy PROJECT={project}`, which asks for the value; a signing key: make key PROJECT={project}.")
def secret_missing(project: ProjectFacts) -> Iterator[str]:
    """A secret is missing without which a function does not start or a provider is refused."""
    there = project.secrets.value
    for name in sorted(wanted_secrets(project) - there.keys()):
        if name in project.values:
            continue
        near = get_close_matches(name, sorted(there.keys() - project.needs.secrets - SECRETS), n=1, cutoff=0.8)
        hint = f" Secret Manager has `{near[0]}`, which may be meant." if near else ""
        yield f"Secret Manager has no secret `{name}`.{hint}"


@check("Add a version: gcloud secrets versions add NAME --data-file=- --project={project}.")
def secret_without_version(project: ProjectFacts) -> Iterator[str]:
    """A secret exists without any value, so no function that is bound to the secret can be deployed."""
    for secret in _ours(project):
        if secret.latest is None:
            yield f"The secret `{secret.name}` has no version."


@check("Enable the version (gcloud secrets versions enable), or add a new one, then deploy again.")
def secret_disabled(project: ProjectFacts) -> Iterator[str]:
    """The latest version of a secret is disabled, so functions that are bound to the secret do not start."""
    for secret in _ours(project):
        if secret.latest and secret.latest.state not in {ENABLED, DESTROYED}:
            yield f"Version {secret.latest.number} of the secret `{secret.name}` is {secret.latest.state.lower()}."


@check("Add a new version with the right value, then deploy again.")
def secret_destroyed(project: ProjectFacts) -> Iterator[str]:
    """The latest version of a secret is destroyed, so functions that are bound to the secret do not start."""
    for secret in _ours(project):
        if secret.latest and secret.latest.state == DESTROYED:
            yield f"Version {secret.latest.number} of the secret `{secret.name}` is destroyed."


@check("Put the value into Secret Manager, delete the line, and replace the secret at its provider.")
def secret_in_plain_text(project: ProjectFacts) -> Iterator[str | Told]:
    """A secret stands in a file with settings, where every copy of the folder and every function's settings show it."""
    there = project.secrets.read[0] if project.secrets.read else {}
    for line in project.files.value.lines:
        if line.name in there or not line.value or not _is_secret_line(line.name, line.value.strip(), project):
            continue
        sentence = f"`{line.name}` stands in plain text in {line.file}."
        if line.name == SIGNING_KEY:
            remedy = (
                "Make a new key in Secret Manager (make key PROJECT={project}), keep this one behind the new one, and "
                "delete the line: whoever has read the file can sign entries."
            )
            yield Told(sentence=sentence, remedy=remedy)
        else:
            yield sentence


@check("Delete the line: Google refuses a function that has a plain and a secret variable of one name.")
def secret_and_setting(project: ProjectFacts) -> Iterator[str]:
    """A name is set both in a file and in Secret Manager, so the deployment is refused."""
    for line in project.files.value.lines:
        if line.name in project.secrets.value:
            yield f"`{line.name}` stands in {line.file} and in Secret Manager."


@check("Add a version with the real value, then deploy again.")
def secret_placeholder(project: ProjectFacts) -> Iterator[str]:
    """A secret holds the text that stands for a value, or nothing."""
    for secret in _ours(project):
        if secret.latest and secret.latest.state == ENABLED and _is_placeholder(secret.value or ""):
            yield f"The value of the secret `{secret.name}` is a placeholder."


@check("Add a version without the white space: printf %s VALUE | gcloud secrets versions add NAME --data-file=-")
def secret_with_spaces(project: ProjectFacts) -> Iterator[str]:
    """A secret begins or ends with white space, such as the newline that `echo` appends."""
    for secret in _ours(project):
        value = secret.value or ""
        if value.strip() and value != value.strip():
            kind = "a newline" if value.endswith(("\n", "\r")) else "white space"
            yield f"The value of the secret `{secret.name}` has {kind} around it."


@check("Add a version of the right form, then deploy again.")
def secret_malformed(project: ProjectFacts) -> Iterator[str]:
    """A secret has a form that functions or the provider refuse."""
    for secret in _ours(project):
        value = (secret.value or "").strip()
        if value and not _is_placeholder(value) and (problem := _problem_of(secret.name, value)):
            yield f"The secret `{secret.name}` {problem}."


@check("Make a new key: make key PROJECT={project}.")
def signing_key_guessable(project: ProjectFacts) -> Iterator[str]:
    """The ledger's signing key is an example, or no random number, so everybody can sign entries."""
    example = parse_signing_keys(EXAMPLE_KEY)[0].seed
    for key in signing_keys(project.secret(SIGNING_KEY)):
        is_typed = len(set(key.seed)) <= SEED_PATTERNS_MAX or (key.seed.isascii() and key.seed.isalnum())
        if key.seed == example or is_typed:
            yield f"The seed of the signing key `{key.kid}` is no random number."


@check("Add a version that names the missing keys behind the present ones, so that old entries can be verified.")
def signing_key_removed(project: ProjectFacts) -> Iterator[str]:
    """The setting no longer names a key that has signed the ledger, so accounts cannot be verified, nor spent."""
    secret = project.secrets.value.get(SIGNING_KEY)
    now = {key.kid for key in signing_keys(secret.value if secret else None)}
    if not now:
        return
    before = {key.kid for each in (secret.versions if secret else ()) for key in signing_keys(each.value)}
    before |= project.sealing_keys.value
    for kid in sorted(before - now - retired_keys(project)):
        yield f"`LEDGER_SIGNING_KEY` no longer names the key `{kid}`, which the ledger has used."


@check("Add a version in which each key has its old seed; give a new seed a new name.")
def signing_key_replaced(project: ProjectFacts) -> Iterator[str]:
    """A key of the ledger has another seed than before under the same name, so old signatures no longer verify."""
    secret = project.secrets.value.get(SIGNING_KEY)
    now = {key.kid: key.seed for key in signing_keys(secret.value if secret else None)}
    versions = secret.versions if secret else ()
    before = {(key.kid, key.seed) for each in versions for key in signing_keys(each.value)}
    for kid in sorted({kid for kid, seed in before if kid in now and now[kid] != seed}):
        yield f"The signing key `{kid}` has another seed than in an earlier version of the secret."


@check("Add a version that names the missing secrets behind the present ones: marks that they made must stay known.")
def marks_secret_removed(project: ProjectFacts) -> Iterator[str]:
    """A secret of the marks was replaced and not kept, so mailboxes that had the welcome bonus get the bonus again."""
    secret = project.secrets.value.get(MARKS)
    latest = _parts(secret.value if secret else None)
    if secret and latest and any(_parts(each.value) - latest for each in secret.versions):
        yield "`MARKS_SECRET` no longer names a secret that has made marks."


def retired_keys(project: ProjectFacts) -> frozenset[str]:
    """Return the keys that the deployed API calls retired, whose seeds nothing needs."""
    items = project.deployment.value.keys.json.get("items") or ()
    return frozenset(str(each.get("kid")) for each in items if each.get("status") == "retired")


def _parts(text: str | None) -> frozenset[str]:
    return frozenset(part.strip() for part in (text or "").split(",") if part.strip())


def signing_keys(text: str | None) -> tuple[SigningKey, ...]:
    """Return the signing keys in a secret's text; none if the text is missing or malformed."""
    try:
        return parse_signing_keys(text.strip()) if text else ()
    except ValueError:
        return ()


def wanted_secrets(project: ProjectFacts) -> frozenset[str]:
    """Return the names of the secrets that this project's settings need."""
    return frozenset(project_secrets(valid_values(project)))


def bound_secrets(project: ProjectFacts) -> Mapping[str, frozenset[str]]:
    """Return the names of the secrets that each function needs with this project's settings."""
    values = valid_values(project)
    return {name: frozenset(secrets_of(name, values)) for name in project.needs.functions}


def valid_values(project: ProjectFacts) -> Mapping[str, str]:
    """Return the plain settings without those that cannot be parsed."""
    wrong = problems_of(project.values)
    return {name: value for name, value in project.values.items() if name not in wrong}


def _ours(project: ProjectFacts) -> list[Secret]:
    names = SECRETS | project.needs.secrets
    return [each for name, each in project.secrets.value.items() if name in names or _is_dynamic(name)]


def _is_dynamic(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in (UPSTREAM_KEY, CHAIN_SETTING))


def _is_secret_line(name: str, value: str, project: ProjectFacts) -> bool:
    is_named = name in SECRETS | project.needs.secrets or bool(UPSTREAM_KEY.fullmatch(name))
    is_keyed = bool(CHAIN_SETTING.fullmatch(name)) and holds_key(value)
    return is_named or is_keyed or bool(SECRET_SHAPED.fullmatch(value))


def _is_placeholder(value: str) -> bool:
    return not value.strip() or is_placeholder(value)


def _problem_of(name: str, value: str) -> str | None:
    """Return the problem with a secret's form, without the value; None if the form is good."""
    try:
        if name == SIGNING_KEY:
            parse_signing_keys(value)
        elif name == LOG_KEY:
            log_seed(value)
        elif name == MARKS:
            marks_secrets(is_laptop=False)(value)
    except ValueError as error:
        return str(error)
    if problem := _packed(name, value):
        return problem
    if name == "STRIPE_SECRET_KEY" and not value.startswith(("sk_", "rk_")):
        return "must begin with sk_ or rk_"
    if name == "STRIPE_WEBHOOK_SECRET" and not all(part.strip().startswith("whsec_") for part in value.split(",")):
        return "must begin with whsec_: it is the endpoint's signing secret, not a key or an endpoint's id"
    return "has a line break within" if "\n" in value else None


def _packed(name: str, value: str) -> str | None:
    """Return the problem with a value that was copied with what stood around it; None for a value alone."""
    if value[0] == value[-1] and value[0] in "\"'`":
        return "stands in quotes: the quotes are sent with the value"
    if value.startswith((f"{name}=", f"export {name}=", f"{name}:")):
        return "begins with its own name: store the value alone"
    return "begins with “Bearer ”: store the key alone" if value.lower().startswith("bearer ") else None


CHECKS = (
    secret_missing,
    secret_without_version,
    secret_disabled,
    secret_destroyed,
    secret_in_plain_text,
    secret_and_setting,
    secret_placeholder,
    secret_with_spaces,
    secret_malformed,
    signing_key_guessable,
    signing_key_removed,
    signing_key_replaced,
    marks_secret_removed,
)
