"""Migrations of stored documents: the one table of all of them, for the command `migrate`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.schemas import SCHEMAS

if TYPE_CHECKING:
    from shared.bootstrap.services import Services
    from shared.kernel.documents import Document
    from shared.sagas.engine.migrations import Migration


@dataclass(frozen=True, slots=True)
class MigrationEntry:
    """Row of the table: the name for the command, the purpose for operators, and the migration, built when needed."""

    name: str
    purpose: str
    build: "Callable[[Services], Migration]"


def _schema_versions(services: "Services") -> "Migration":
    from shared.sagas.engine.migrations import Migration
    from shared.sagas.engine.renewal import DocumentRenewal

    renewal = DocumentRenewal(services.ports.documents(), SCHEMAS, services.clock, _beside)
    kinds = frozenset(kind for kind, schema in SCHEMAS.items() if not schema.is_sealed)
    return Migration(
        name="schema-versions",
        kinds=kinds,
        is_due=renewal.is_due,
        move=renewal.move,
        move_together=renewal.move_together,
    )


def _beside(path: str) -> str | None:
    """Return the path of the other document of an account, for the two that always have one version."""
    from shared.kernel.schemas import kind_of
    from shared.ledger.account_documents import account_path, state_path, uid_of

    if kind_of(path) == "accounts":
        return state_path(uid_of(path))
    return account_path(uid_of(path)) if kind_of(path) == "accounts/*/sealed" else None


def _accounts(services: "Services") -> "Migration":
    from shared.ledger.account_documents import uid_of

    def move(document: "Document") -> bool:
        services.credits.ledger.move(uid_of(document.path))
        return True

    return _split("accounts", "accounts", move)


def _conversations(services: "Services") -> "Migration":
    from shared.kernel.ids import Uid

    def move(document: "Document") -> bool:
        services.chat.conversations.move(Uid(str(document.data["uid"])), document.id)
        return True

    return _split("conversations", "conversations", move)


def _conversation_tails(services: "Services") -> "Migration":
    from shared.kernel.ids import Uid

    def move(document: "Document") -> bool:
        services.chat.conversations.move_tail(Uid(str(document.data["uid"])), document)
        return True

    return _split("conversation-tails", "conversation_states", move)


def _image_tasks(services: "Services") -> "Migration":
    tasks = services.images.tasks
    return _split("image-tasks", "image_tasks", _unless_leased(services, lambda each: tasks.for_work(each.id)))


def _agent_tasks(services: "Services") -> "Migration":
    from shared.ai.agents.store import AgentTaskStore

    tasks = AgentTaskStore(services.ports.documents())
    return _split("agent-tasks", "agent_tasks", _unless_leased(services, lambda each: tasks.for_work(each.id)))


def _payments(services: "Services") -> "Migration":
    from shared.sagas.payments.views import PaymentViews

    views = PaymentViews(services.ports.documents(), services.clock)
    return _split("payments", "payments", lambda document: views.renew(document.id))


def _markers(services: "Services") -> "Migration":
    """Return the migration of markers without a field for the relay, which no index finds."""
    from shared.ledger.markers import RELAY, renewed_marker
    from shared.sagas.engine.migrations import Migration

    documents = services.ports.documents()

    def move(document: "Document") -> bool:
        documents.commit([renewed_marker(document)])
        return True

    return Migration(
        name="markers",
        kinds=frozenset({"accounts/*/outbox"}),
        is_due=lambda document: RELAY not in document.data,
        move=move,
    )


def _split(name: str, kind: str, move: "Callable[[Document], bool]") -> "Migration":
    """Return the migration of a kind's documents of version 1, in which owner and server shared one document."""
    from shared.sagas.engine.migrations import Migration

    def is_due(document: "Document") -> bool:
        return SCHEMAS[kind].written(document.data) == 1

    return Migration(name=name, kinds=frozenset({kind}), is_due=is_due, move=move)


def _unless_leased(services: "Services", work: "Callable[[Document], object]") -> "Callable[[Document], bool]":
    """Return the move that does the `work`, unless a worker has the document."""
    from shared.sagas.engine.leases import is_leased

    def move(document: "Document") -> bool:
        if is_leased(document.data, services.clock.now()):
            return False
        work(document)
        return True

    return move


MIGRATIONS: tuple[MigrationEntry, ...] = (
    MigrationEntry(
        "schema-versions",
        "Write the schema version into every document that has none, and convert the forms that are known as older.",
        _schema_versions,
    ),
    MigrationEntry("accounts", "Give old accounts a document for the sealed state of their own.", _accounts),
    MigrationEntry("markers", "Let the job `relay` find markers that an earlier release has written.", _markers),
    MigrationEntry("conversations", "Give old conversations a document for the server of their own.", _conversations),
    MigrationEntry(
        "conversation-tails",
        "Collect the newest messages of old conversations in the document that each turn writes.",
        _conversation_tails,
    ),
    MigrationEntry("image-tasks", "Give old image tasks a document for workers of their own.", _image_tasks),
    MigrationEntry("agent-tasks", "Give old agent tasks documents for workers of their own.", _agent_tasks),
    MigrationEntry("payments", "Write the documents that owners of old payments read in the present form.", _payments),
)
"""Migrations in the order in which an operator runs them."""
