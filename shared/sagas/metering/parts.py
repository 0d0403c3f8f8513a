"""Parts that all metered turns of an instance share: the ledger, the admission, the stores, the clock."""

from dataclasses import dataclass

from shared.ai.models.expectation import Expectation
from shared.ai.models.health import ModelHealth
from shared.ai.models.profiles import UpstreamProfiles
from shared.kernel.clock import Clock
from shared.kernel.documents import Documents
from shared.ledger.ledger import Ledger
from shared.ledger.losses import Losses
from shared.sagas.metering.admission import Admission
from shared.sagas.metering.claims import Turns
from shared.sagas.metering.reading_on import ReadingOn

PING_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteringParts:
    """Parts of a metered turn, the same for every kind of turn.

    Turns of all kinds wait in one queue of `admission` and learn from one `expectation`. `ping_seconds`: the seconds of
    silence after which a client gets a sign of life.
    """

    ledger: Ledger
    expectation: Expectation
    admission: Admission
    health: ModelHealth
    turns: Turns
    losses: Losses
    reading_on: ReadingOn
    profiles: UpstreamProfiles
    documents: Documents
    clock: Clock
    ping_seconds: float = PING_SECONDS
