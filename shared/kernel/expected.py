"""Expected versions: a caller's change is refused if the stored document is not a version that the caller has read."""

import json
from dataclasses import dataclass
from datetime import datetime

from shared.kernel.clock import from_datetime
from shared.kernel.documents import Data
from shared.kernel.errors import Conflict
from shared.kernel.ids import fingerprint

TAG_CHARACTERS = 32


class VersionChanged(Conflict):
    """Error for a document that is not the version the caller has read."""

    code = "version_changed"

    def __init__(self) -> None:
        super().__init__("This was changed since you read it; read it again, then repeat your change.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedVersions:
    """Tags of the versions that the caller accepts.

    With `is_any`, every version is accepted, but the document must exist.
    """

    tags: frozenset[str] = frozenset()
    is_any: bool = False

    def require(self, data: Data | None) -> None:
        """Raise VersionChanged unless the stored document has an expected version.

        If `data` is None, there is no document.
        """
        if data is None or not (self.is_any or tag_of(data) in self.tags):
            raise VersionChanged


def tag_of(data: Data) -> str:
    """Return the tag of a stored document's version. The same fields and values have the same tag."""
    return fingerprint(json.dumps(data, default=_plain, sort_keys=True))[:TAG_CHARACTERS]


def _plain(value: object) -> object:
    return from_datetime(value) if isinstance(value, datetime) else str(value)
