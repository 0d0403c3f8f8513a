"""Paths of the documents of a conversation."""

COLLECTION = "conversations"
STATES = "conversation_states"
MESSAGES = "messages"


def conversation_path(conversation_id: str) -> str:
    """Return the path of the document that the owner listens to."""
    return f"{COLLECTION}/{conversation_id}"


def state_path(conversation_id: str) -> str:
    """Return the path of the document that the server alone reads."""
    return f"{STATES}/{conversation_id}"


def messages_path(conversation_id: str) -> str:
    """Return the path of the collection that holds the messages behind the tail."""
    return f"{conversation_path(conversation_id)}/{MESSAGES}"


def message_path(conversation_id: str, document_id: str) -> str:
    """Return the path of a document with messages."""
    return f"{messages_path(conversation_id)}/{document_id}"
