"""Commands `log-key`, `log-status` and `restore-log`: the transparency log, its key and its anchors."""

import argparse

from shared.bootstrap import Services
from shared.bootstrap.log import kms_vkey
from shared.ledger.log.restores import LogLoss
from shared.ledger.log.signed_heads import read_signed_head
from shared.ledger.log.tile_reader import read_head


def log_key(asked: argparse.Namespace, services: Services) -> None:
    """Print the verifier key of a key in Cloud KMS, or the policy for auditors with the keys of the settings."""
    if asked.version:
        print(kms_vkey(services.settings.ledger_log_origin, asked.version))
        return
    for key in services.log.keys:
        print(f"log {key}")
    for number, (vkey, url) in enumerate(services.settings.ledger_witnesses, 1):
        print(f"witness witness-{number} {vkey} {url}")
    names = [f"witness-{number}" for number in range(1, len(services.settings.ledger_witnesses) + 1)]
    if names:
        print(f"group witnesses any {' '.join(names)}")
    print(f"quorum {'witnesses' if names else 'none'}")


def log_status(asked: argparse.Namespace, services: Services) -> None:
    """Compare the log with the served checkpoint and the newest anchored one. Fails if the log is another one."""
    del asked
    head, served = read_head(services.ports.documents()), read_signed_head(services.ports.documents())
    print(f"The log has {0 if head is None else head.size} leaves.")
    print(f"The served checkpoint has {0 if served is None else served.checkpoint.size}.")
    loss = services.log.restore.loss()
    print("The log has all leaves that were anchored." if loss is None else _told(loss))


def restore_log(asked: argparse.Namespace, services: Services) -> None:
    """Bring the log back to its newest anchored checkpoint, and queue the leaf that names the loss."""
    loss = services.log.restore.restore(by=asked.by, reason=asked.reason)
    print(_told(loss))
    print(f"The log has {loss.anchored.size} leaves again. The leaf that names the loss is appended within a minute.")


def _told(loss: LogLoss) -> str:
    return (
        f"The database has the log up to leaf {loss.stored.size}; {loss.anchored.size} are anchored: "
        f"{loss.leaves} leaves have no entry any more."
    )
