"""Users come and go: greet a new one, forget a leaving one."""

from functions.edge import DocumentEvent, UserEvent, on_document, on_user
from shared.bootstrap import Services
from shared.kernel.ids import Uid


@on_document("users/{uid}")
def on_user_created(event: DocumentEvent, services: Services) -> None:
    """Greet the user whose profile was created; see `Greeting.greet`."""
    services.users.greeting.greet(Uid(event.params["uid"]))


@on_user
def on_user_deleted(event: UserEvent, services: Services) -> None:
    """Let the user of a deleted login leave now. The app, an operator, or this backend has deleted the login."""
    services.leaving.leave(event.uid)
