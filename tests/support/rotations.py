"""Instances of one project while its signing key changes: old and new deployments side by side, on one store."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.bootstrap import Services, in_memory
from shared.kernel.documents import Documents
from shared.kernel.ids import Uid
from shared.ledger.key_store import END_NOTICE, STALE
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.objects import MemoryAnchors, MemoryObjects
from shared.sagas.engine.jobs import JobRun

MARKS = "a secret for marks that is long enough"
JOB_SECONDS = 60.0


def signing_key(kid: str, byte: int) -> str:
    """A key for LEDGER_SIGNING_KEY."""
    return f"{kid}:{base64.b64encode(bytes([byte]) * 32).decode()}"


OLD, NEW = signing_key("old", 1), signing_key("new", 2)


@dataclass
class Fleet:
    """One project on one store. `deploy` makes further instances; earlier ones live on until they are dropped."""

    documents: Documents = field(default_factory=MemoryDocuments)
    clock: ManualClock = field(default_factory=ManualClock)
    alerts: MemoryAlerts = field(default_factory=MemoryAlerts)
    marks: str = MARKS
    env: dict[str, str] = field(default_factory=dict)
    anchors: MemoryAnchors = field(default_factory=MemoryAnchors)
    objects: MemoryObjects = field(default_factory=MemoryObjects)

    def deploy(self, *keys: str, marks: str | None = None, documents: Documents | None = None) -> Services:
        """Start an instance that holds these keys, the first one preferred, on other documents if given."""
        env = {"LEDGER_SIGNING_KEY": ",".join(keys), "MARKS_SECRET": self.marks if marks is None else marks}
        return in_memory(
            {
                "LEDGER_ID": "demo-test",
                "RATE_LIMIT_PER_MINUTE": "60000",
                "RATE_LIMIT_BURST": "60000",
                **self.env,
                **env,
            },
            clock=self.clock,
            documents=self.documents if documents is None else documents,
            alerts=self.alerts,
            anchors=self.anchors,
            objects=self.objects,
        )

    def minute(self, services: Services, seconds: float = JOB_SECONDS) -> JobRun:
        """Run the job `keys` of this instance once."""
        run = JobRun("", self.clock, seconds)
        services.credits.key_rotation.keys(run)
        return run

    def retire(self, services: Services, kid: str) -> None:
        """End a key, wait, and let the job seal everything again until the key is retired."""
        services.credits.key_acts.end(kid)
        self.clock.advance(END_NOTICE + 1)
        for _ in range(100):
            self.minute(services)
            if statuses(services)[kid] == "retired":
                return
        raise AssertionError("the key was never retired")

    def until_all_know(self) -> None:
        """Let so much time go by that no instance signs by what it knew before."""
        self.clock.advance(STALE)

    @property
    def alarms(self) -> list[str]:
        """Alerts of tampering, and what they say."""
        return [f"{each.event} {dict(each.fields)}" for each in self.alerts.raised]


def statuses(services: Services) -> dict[str, str]:
    """Status of each key as just read."""
    return {key.kid: key.status for key in services.credits.key_acts.registry.keys}


def sealers(documents: Documents, uids: Sequence[str]) -> set[str]:
    """The keys that sealed the states of these accounts."""
    found: list[Any] = documents.get_all([f"accounts/{uid}/sealed/state" for uid in uids])
    return {str(each.data["seal"]).partition(":")[0] for each in found if each is not None}


def kids_in(services: Services, uid: Uid) -> list[str]:
    """The key of each entry of an account, in order."""
    return [str(body["kid"]) for body in services.credits.ledger.bodies(uid, 1, 1_000)]
