"""Checks of models, prices and packages: each model can be sold, at no less than the provider's price."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from emulator.cloud.checks.check import check
from emulator.cloud.checks.cloud import DEPLOY
from emulator.cloud.checks.project import SECRET_SHAPED, ProjectFacts, Provider
from emulator.cloud.checks.settings import is_placeholder
from shared.ai.models.catalogue import PRICE_FIELDS, Model, parse_model
from shared.ai.models.listing import listed_models
from shared.ai.models.listing_prices import LeftOut, prices_of
from shared.ai.models.prices import INPUT, OUTPUT, REQUEST
from shared.ai.ports import DEFAULT_UPSTREAM
from shared.kernel.errors import InvalidValue
from shared.kernel.money import MICRO_PER_CREDIT
from shared.payments.packages import Package, package_of
from shared.payments.worth import Worth

APPLY = DEPLOY + ", whose step `catalogue` shows the difference to catalogue.yaml and applies it."
THEN = "then run `make deploy PROJECT={project}`."
SYNC = "Correct the prices in catalogue.yaml, or run `python -m functions.commands models-sync --apply`."
AUTO = "auto"
IMAGE = "image_usd"
BONUS_USD_MAX = 1


@check(APPLY)
def no_model(project: ProjectFacts) -> Iterator[str]:
    """No model is on offer, so nobody can ask anything."""
    if not any(model.is_enabled for model in models_of(project).values()) and not project.offer.value.models:
        yield "No model is stored."


@check("Correct the model's price in catalogue.yaml, " + THEN)
def model_without_price(project: ProjectFacts) -> Iterator[str]:
    """A model has no valid price, so every call of the model is refused."""
    for model_id, document in sorted(project.offer.value.models.items()):
        problem = _problem_of(model_id, document)
        if problem and problem.params["field"] in PRICE_FIELDS and document.get("is_enabled", True):
            yield f"The model `{model_id}` has no valid price: {problem.detail}"


@check("Correct the model's document in catalogue.yaml, " + THEN)
def model_malformed(project: ProjectFacts) -> Iterator[str]:
    """A stored model cannot be read, so every call of the model is refused."""
    for model_id, document in sorted(project.offer.value.models.items()):
        problem = _problem_of(model_id, document)
        if problem and problem.params["field"] not in PRICE_FIELDS:
            yield f"The model `{model_id}` cannot be read: {problem.detail}"


@check("Set a price above zero in catalogue.yaml, or disable the model, " + THEN)
def model_free(project: ProjectFacts) -> Iterator[str]:
    """A model costs nothing, so users spend the platform's money."""
    for model_id, model in sorted(models_of(project).items()):
        prices = (model.input_usd_per_mtok, model.output_usd_per_mtok, model.image_usd, model.request_usd)
        if model.is_enabled and not any(prices):
            yield f"The model `{model_id}` is free."


@check("Set the name of a model that is on offer, or add the model to catalogue.yaml.")
def default_model_missing(project: ProjectFacts) -> Iterator[str]:
    """The model that is used without a choice is not on offer, so such requests fail."""
    settings = project.settings.value
    models = models_of(project)
    if not models:
        return
    chat, image = settings.default_model, settings.default_image_model
    for name, model_id, kind in (("DEFAULT_MODEL", chat, "chat"), ("DEFAULT_IMAGE_MODEL", image, "image")):
        model = models.get(model_id)
        is_sold = model is not None and model.is_enabled and model.kind == kind
        is_told = is_placeholder(model_id) or SECRET_SHAPED.fullmatch(model_id)
        if (
            not is_sold
            and not is_told
            and model_id != AUTO
            and model_id not in project.offer.value.models.keys() - models.keys()
        ):
            yield f"`{name}` is {model_id}, which is no {kind} model on offer."


@check("Add the provider to `AI_UPSTREAMS`, or correct the model's `upstream`.")
def model_of_unknown_provider(project: ProjectFacts) -> Iterator[str]:
    """A model names a provider that the settings do not have, so every call of the model fails."""
    known = {DEFAULT_UPSTREAM, *(each.name for each in project.settings.value.ai_upstreams)}
    for model_id, model in sorted(models_of(project).items()):
        if model.is_enabled and model.upstream not in known:
            yield f"The model `{model_id}` names the provider `{model.upstream}`, which `AI_UPSTREAMS` does not have."


@check("Take a name that the provider lists, or disable the model.")
def model_not_listed(project: ProjectFacts) -> Iterator[str]:
    """A provider does not list a model that is on offer here, so calls of the model fail."""
    for model_id, model in sorted(models_of(project).items()):
        provider = project.providers.value.get(model.upstream)
        if model.is_enabled and provider and provider.listing and _listed(provider, model) is None:
            yield f"The provider `{model.upstream}` does not list `{model.upstream_model}`, offered as `{model_id}`."


@check(SYNC)
def model_below_cost(project: ProjectFacts) -> Iterator[str]:
    """A model is sold for less than its provider charges, so each call loses money."""
    for model_id, model in sorted(models_of(project).items()):
        provider = project.providers.value.get(model.upstream)
        item = _listed(provider, model) if provider and model.is_enabled else None
        if item is not None:
            yield from _below(model_id, model, _prices(item), f"the provider `{model.upstream}` charges")


@check(APPLY)
def model_below_catalogue(project: ProjectFacts) -> Iterator[str]:
    """A stored model is cheaper than in the reviewed file, so each call may lose money."""
    for model_id, fields in sorted(_reviewed(project, "models").items()):
        model, reviewed = models_of(project).get(model_id), _parsed(model_id, fields)
        if model and reviewed and model.is_enabled:
            yield from _below(model_id, model, _own_prices(reviewed), "catalogue.yaml says")


@check("Correct the file; its opening comment says the form.")
def catalogue_malformed(project: ProjectFacts) -> Iterator[str]:
    """The reviewed file of models and packages cannot be read."""
    if project.needs.catalogue_problem:
        yield project.needs.catalogue_problem


@check(APPLY)
def catalogue_not_applied(project: ProjectFacts) -> Iterator[str]:
    """A model or package of the reviewed file is not stored."""
    for kind, stored in (("models", project.offer.value.models), ("packages", project.offer.value.packages)):
        for name in sorted(_reviewed(project, kind).keys() - stored.keys()):
            yield f"`{name}` stands in catalogue.yaml under `{kind}`, and is not stored."


@check("Raise the package's price or lower its credits in catalogue.yaml, " + THEN)
def package_below_cost(project: ProjectFacts) -> Iterator[str]:
    """A package costs less than providers charge for its credits, so each sale may lose money."""
    settings = project.settings.value
    worth = Worth(credits_per_usd=settings.credits_per_usd, markup_percent=settings.markup_percent)
    for package in packages_of(project):
        if package.is_enabled and (warning := worth.warning(package)):
            yield f"The package `{package.id}`: {warning}"


@check("Correct the package in catalogue.yaml, " + THEN)
def package_malformed(project: ProjectFacts) -> Iterator[str]:
    """A stored package cannot be read, so nobody can buy the package."""
    for package_id, document in sorted(project.offer.value.packages.items()):
        try:
            package_of(package_id, document)
        except InvalidValue as error:
            yield f"The package `{package_id}` cannot be read: {error.detail}"


@check("Add a package to catalogue.yaml, " + THEN)
def no_package(project: ProjectFacts) -> Iterator[str]:
    """Payments are set up, and nothing is on sale."""
    if project.used and not any(each.get("is_enabled", True) for each in project.offer.value.packages.values()):
        yield "No package is on sale, although a payment provider is set up."


@check("Store a valid key as a new version of the secret, and deploy again.")
def model_key_refused(project: ProjectFacts) -> Iterator[str]:
    """A model provider refuses our key, so every call of its models fails."""
    for name, provider in sorted(project.providers.value.items()):
        if provider.refusal:
            yield f"The model provider `{name}` refuses our key: {provider.refusal}."


@check("Correct the provider's address in the settings; if it is right, look at the provider's status page.")
def model_provider_unreachable(project: ProjectFacts) -> Iterator[str]:
    """A model provider does not answer."""
    for name, provider in sorted(project.providers.value.items()):
        if provider.problem:
            yield f"The model provider `{name}` does not answer: {provider.problem}."


@check("Lower `WELCOME_BONUS_AMOUNT`, or ask for more in `WELCOME_BONUS_REQUIRES`.", severity="hint")
def bonus_dear(project: ProjectFacts) -> Iterator[str]:
    """The welcome bonus of each account costs the platform more than a dollar of model calls."""
    settings = project.settings.value
    usd = (
        Fraction(settings.welcome_bonus_amount, MICRO_PER_CREDIT)
        / settings.credits_per_usd
        * 100
        / (100 + settings.markup_percent)
    )
    if usd > BONUS_USD_MAX and "card" not in settings.welcome_bonus_requires:
        yield f"Each welcome bonus pays for model calls of up to {float(usd):.2f} USD."


@check("Raise `MARKUP_PERCENT`, if the platform is to earn more than payment fees cost.", severity="hint")
def no_markup(project: ProjectFacts) -> Iterator[str]:
    """Credits are sold at the providers' prices, so payment fees and losses are the platform's."""
    if not project.settings.value.markup_percent:
        yield "`MARKUP_PERCENT` is 0: credits are sold at the providers' own prices."


def models_of(project: ProjectFacts) -> Mapping[str, Model]:
    """Return the stored models that can be read, by id."""
    parsed = {model_id: _parsed(model_id, fields) for model_id, fields in project.offer.value.models.items()}
    return {model_id: model for model_id, model in parsed.items() if model is not None}


def packages_of(project: ProjectFacts) -> list[Package]:
    """Return the stored packages that can be read."""
    found = []
    for package_id, fields in sorted(project.offer.value.packages.items()):
        try:
            found.append(package_of(package_id, fields))
        except InvalidValue:
            continue
    return found


def _below(model_id: str, model: Model, prices: Mapping[str, Fraction | None], who: str) -> Iterator[str]:
    for name, price in prices.items():
        own = _own_prices(model).get(name)
        if price is not None and own is not None and own < price:
            yield f"The model `{model_id}` has `{name}` {float(own):g}; {who} {float(price):g}."


def _own_prices(model: Model) -> Mapping[str, Fraction | None]:
    return {
        INPUT: model.input_usd_per_mtok,
        OUTPUT: model.output_usd_per_mtok,
        REQUEST: model.request_usd,
        IMAGE: model.image_usd,
    }


def _prices(item: Mapping[str, Any]) -> Mapping[str, Fraction | None]:
    """Return the prices of a listed model; none if the listing has no prices that can be charged here."""
    try:
        found = prices_of(item)
    except LeftOut:
        return {}
    return {name: Fraction(str(found[name])) for name in (INPUT, OUTPUT, REQUEST) if name in found}


def _listed(provider: Provider, model: Model) -> Mapping[str, Any] | None:
    items = listed_models(list(provider.listing or ()))
    return next((item for item in items if item.get("id") == model.upstream_model), None)


def _reviewed(project: ProjectFacts, kind: str) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = project.needs.catalogue.get(kind) or {}
    return found


def _parsed(model_id: str, fields: Mapping[str, Any]) -> Model | None:
    try:
        return parse_model(model_id, fields)
    except InvalidValue:
        return None


def _problem_of(model_id: str, fields: Mapping[str, Any]) -> InvalidValue | None:
    try:
        parse_model(model_id, fields)
    except InvalidValue as error:
        return error
    return None


CHECKS = (
    no_model,
    model_without_price,
    model_malformed,
    model_free,
    default_model_missing,
    model_of_unknown_provider,
    model_not_listed,
    model_below_cost,
    model_below_catalogue,
    catalogue_malformed,
    catalogue_not_applied,
    package_below_cost,
    package_malformed,
    no_package,
    model_key_refused,
    model_provider_unreachable,
    bonus_dear,
    no_markup,
)
