"""Parts of the transparency log: anchors, the signer of checkpoints, and the gate before new leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.credits import CreditServices
from shared.bootstrap.parts import part
from shared.bootstrap.ports import Ports
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings, SettingsError

if TYPE_CHECKING:
    from shared.ledger.log.anchors import Anchors
    from shared.ledger.log.notes import NoteSigner, VerifierKey
    from shared.ledger.log.restores import LogRestore
    from shared.ledger.log.signer import AnchorGate, CheckpointSigner


@dataclass(eq=False)
class LogServices:
    """Parts of the transparency log."""

    settings: Settings
    clock: Clock
    ports: Ports
    credits_: CreditServices

    @part
    def keys(self) -> "Sequence[VerifierKey]":
        """Return all keys that ever signed checkpoints of this log, the present one first."""
        from shared.ledger.log.notes import parse_vkey

        return (self.ports.log_signer().vkey, *map(parse_vkey, self.settings.ledger_log_former_keys))

    @part
    def anchors(self) -> "Anchors | None":
        """Build the anchors of the log, None if the settings name no bucket."""
        from shared.ledger.log.anchors import Anchors

        objects = self.ports.anchors()
        return None if objects is None else Anchors(objects, self.settings.ledger_log_origin, self.keys)

    @part
    def gate(self) -> "AnchorGate":
        """Build the check of the head before leaves are appended."""
        from shared.ledger.log.signer import AnchorGate

        return AnchorGate(self.ports.documents(), self.anchors)

    @part
    def signer(self) -> "CheckpointSigner":
        """Build the signer of checkpoints."""
        from shared.ledger.log.notes import parse_vkey
        from shared.ledger.log.signer import CheckpointSigner, SigningParts
        from shared.ledger.log.witnesses import LogWitness, Witnesses

        asked = [LogWitness(vkey=parse_vkey(vkey), url=url) for vkey, url in self.settings.ledger_witnesses]
        return CheckpointSigner(
            SigningParts(
                documents=self.ports.documents(),
                origin=self.settings.ledger_log_origin,
                signer=self.ports.log_signer(),
                former_keys=self.keys[1:],
                anchors=self.anchors,
                witnesses=Witnesses(self.ports.witness_calls(), asked, self.ports.alerts()),
                alerts=self.ports.alerts(),
            )
        )

    @part
    def restore(self) -> "LogRestore":
        """Build the restore of the log from the bucket."""
        from shared.ledger.log.restores import LogRestore

        return LogRestore(self.ports.documents(), self.anchors, self.credits_.keys, self.clock)


def kms_vkey(origin: str, key_version: str) -> str:
    """Return the verifier key of a key in Cloud KMS, with one call. Raises LogKeyUnavailable."""
    from shared.ledger.log.notes import ED25519, VerifierKey
    from shared.platform.kms.signer import kms_public_key

    return str(VerifierKey(name=origin, kind=ED25519, public_key=kms_public_key(key_version)))


def seed_signer(settings: Settings) -> "NoteSigner":
    """Return the signer with the seed of LEDGER_LOG_KEY. Raises SettingsError without one."""
    from shared.ledger.log.notes import SeedSigner

    if settings.ledger_log_key is None:
        raise SettingsError("LEDGER_LOG_KEY is not set")
    return SeedSigner(settings.ledger_log_origin, settings.ledger_log_key)
