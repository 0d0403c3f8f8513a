"""Acts of operators that move a journal to the bucket and back, on record."""

from shared.kernel.deadline import Deadline
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.ledger.archiving import ArchiveStep, JournalArchiver
from shared.users.audit import AuditTrail
from shared.users.operator_acts import AdminCheck, require_another
from shared.users.ports import Identity
from shared.users.principal import Principal


class JournalMoves:
    """Acts on the place of a journal. They change no balance."""

    def __init__(self, identity: Identity, audit: AuditTrail, archiver: JournalArchiver) -> None:
        self._check = AdminCheck(identity)
        self._audit = audit
        self._archiver = archiver

    def archive(self, actor: Principal, uid: Uid, reason: str, deadline: Deadline) -> ArchiveStep:
        """Do the next step of archiving a user's journal, and return the progress.

        Raises Forbidden, OwnAccount, InvalidValue without a reason, and the errors of `JournalArchiver.archive`.
        """
        why = self._admitted(actor, uid, reason)
        with self._audit.recording(actor.uid, "archive_journal", uid, reason=why, operation=f"archive:{uid}") as act:
            step = self._archiver.archive(uid, deadline)
            act.after = {"last": step.last, "progress": step.progress}
        return step

    def bring_back(self, actor: Principal, uid: Uid, reason: str, deadline: Deadline) -> bool:
        """Do the next part of bringing a journal back, and return True if the whole journal is back.

        Raises Forbidden, OwnAccount, InvalidValue without a reason, and the errors of `JournalArchiver.bring_back`.
        """
        why = self._admitted(actor, uid, reason)
        with self._audit.recording(actor.uid, "unarchive_journal", uid, reason=why, operation=f"back:{uid}") as act:
            is_done = self._archiver.bring_back(uid, deadline)
            act.after = {"is_done": is_done}
        return is_done

    def _admitted(self, actor: Principal, uid: Uid, reason: str) -> str:
        """Return the reason if the actor may move this journal. Users who left have journals, too."""
        self._check.require_admin(actor)
        if not reason.strip():
            raise InvalidValue("reason", "must say why")
        require_another(actor, uid)
        return reason.strip()
