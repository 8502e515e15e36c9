"""Messages about generation."""

from penjing.base.messages.message import Message

MESSAGES: dict[str, Message] = {}
