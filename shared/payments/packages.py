"""Packages: the goods on sale, their prices, and the credits that come with each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from shared.kernel.clock import Clock, to_datetime
from shared.kernel.documents import Create, Document, Documents, PreconditionFailed, Put, Query, Value
from shared.kernel.errors import InvalidValue, NotFound
from shared.kernel.expected import ExpectedVersions, tag_of
from shared.kernel.ids import is_safe_id
from shared.kernel.money import AMOUNT_MAX, Micro
from shared.payments.fiat import MINOR_MAX, Fiat
from shared.payments.prices import require_payable

COLLECTION = "packages"
PACKAGES_MAX = 100
TITLE_CHARACTERS_MAX = 120
DESCRIPTION_CHARACTERS_MAX = 500
BONUS_DAYS_MAX = 3_650
LIMIT_MAX = 1_000
PUT_ATTEMPTS_MAX = 5


class PackageNotFound(NotFound):
    """Error for an id that names no package on sale."""

    code = "package_not_found"

    def __init__(self, package: str) -> None:
        super().__init__("There is no such package.", package=package)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Goods on sale: credits for a price. `credits` and `bonus` are µcr.

    `bonus` credits are a gift that ends `bonus_days` after the purchase; None: the gift never ends. `per_user_limit` is
    the number of purchases by one user; None: no limit. Packages with a smaller `position` come first.
    """

    id: str
    title: str
    description: str
    price: Fiat
    credits: Micro
    bonus: Micro
    bonus_days: int | None = None
    per_user_limit: int | None = None
    position: int = 0
    is_enabled: bool = True
    version: int = 1


def package_of(package_id: str, fields: Mapping[str, Any]) -> Package:
    """Return the package that these fields describe. Raises InvalidValue with the name of the first invalid field."""
    price = Fiat(_whole(fields, "price_minor", 1, MINOR_MAX), _text(fields, "currency", 3, is_needed=True).upper())
    bonus = _whole(fields, "bonus", 0, AMOUNT_MAX, default=0)
    return Package(
        id=package_id,
        title=_text(fields, "title", TITLE_CHARACTERS_MAX, is_needed=True),
        description=_text(fields, "description", DESCRIPTION_CHARACTERS_MAX),
        price=price,
        credits=Micro(_whole(fields, "credits", 1, AMOUNT_MAX)),
        bonus=Micro(bonus),
        bonus_days=_optional(fields, "bonus_days", BONUS_DAYS_MAX),
        per_user_limit=_optional(fields, "per_user_limit", LIMIT_MAX),
        position=_whole(fields, "position", 0, 10**6, default=0),
        is_enabled=bool(fields.get("is_enabled", True)),
        version=_whole(fields, "version", 1, 2**31, default=1),
    )


class Packages:
    """Catalogue, in `packages/{id}`. The documents are few and are read all at once."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def on_offer(self) -> list[Package]:
        """Return the packages on sale, in the order of display. A document that is no valid package is left out."""
        return [package for package in self.everything() if package.is_enabled]

    def get(self, package_id: str) -> Package:
        """Return a package on sale. Raises PackageNotFound."""
        package = self.look(package_id)
        if not package.is_enabled:
            raise PackageNotFound(package_id)
        return package

    def look(self, package_id: str) -> Package:
        """Return a package, on sale or not. Raises PackageNotFound."""
        document = self._documents.get(f"{COLLECTION}/{package_id}") if is_safe_id(package_id) else None
        package = None if document is None else _stored(document)
        if package is None:
            raise PackageNotFound(package_id)
        return package

    def everything(self) -> list[Package]:
        """Return all packages, on sale or not, in the order of `on_offer`."""
        found = map(_stored, self._documents.query(Query(collection=COLLECTION, limit=PACKAGES_MAX)))
        return sorted((package for package in found if package is not None), key=_place)

    def put(self, package_id: str, fields: Mapping[str, Any], expected: ExpectedVersions | None = None) -> Package:
        """Create or replace a package, and return the package. Earlier purchases keep their own terms.

        Raises InvalidValue, also for a price that a payment provider cannot take. Raises VersionChanged if the stored
        package is not as `expected`.
        """
        if not is_safe_id(package_id):
            raise InvalidValue("id", "must be 1 to 128 letters, digits or _~.:@=+-")
        for _ in range(PUT_ATTEMPTS_MAX):
            known = self._documents.get(f"{COLLECTION}/{package_id}")
            if expected is not None:
                stored = None if known is None else _stored(known)
                expected.require(None if stored is None else _data(stored))
            version = 1 if known is None else cast("int", known.data.get("version", 0)) + 1
            package = package_of(package_id, {**fields, "version": version})
            require_payable(package.price)
            data = {**_data(package), "updated_at": to_datetime(self._clock.now())}
            path = f"{COLLECTION}/{package_id}"
            try:
                self._documents.commit([Create(path, data) if known is None else Put(path, data, known.version)])
            except PreconditionFailed:
                continue
            return package
        raise PreconditionFailed


def version_tag(package: Package) -> str:
    """Return the tag of this version of the package, for comparison with `ExpectedVersions`."""
    return tag_of(_data(package))


def _place(package: Package) -> tuple[int, int, str]:
    return package.position, package.price.minor, package.id


def _stored(document: Document) -> Package | None:
    try:
        return package_of(document.id, document.data)
    except InvalidValue:
        return None


def _data(package: Package) -> dict[str, Value]:
    return {
        "title": package.title,
        "description": package.description,
        "price_minor": package.price.minor,
        "currency": package.price.currency,
        "credits": package.credits,
        "bonus": package.bonus,
        "bonus_days": package.bonus_days,
        "per_user_limit": package.per_user_limit,
        "position": package.position,
        "is_enabled": package.is_enabled,
        "version": package.version,
    }


def _text(fields: Mapping[str, Any], name: str, characters_max: int, *, is_needed: bool = False) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str) or len(value) > characters_max or (is_needed and not value.strip()):
        raise InvalidValue(name, f"must be text of {int(is_needed)} to {characters_max} characters")
    return value


def _whole(fields: Mapping[str, Any], name: str, low: int, high: int, *, default: int | None = None) -> int:
    value = fields.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidValue(name, f"must be a whole number from {low} to {high}")
    return value


def _optional(fields: Mapping[str, Any], name: str, high: int) -> int | None:
    return None if fields.get(name) is None else _whole(fields, name, 1, high)
