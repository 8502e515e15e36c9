"""A conversation that outgrows the window: the oldest turns go, what the system said stays."""

from __future__ import annotations

from typing import Any

from penjing.text.chat import Chat, Messages
from penjing.text.conversation import check_messages


def fitted(chat: Chat, messages: Messages, most: int, tools: Any = None, **options: Any) -> tuple[list[Any], int]:
    """The conversation with its last turn and as many turns before as fit in `most` tokens, and how many messages went.

    A turn begins with a user's message and holds all up to the next. The last turn stays even where it does not fit.
    """
    messages = check_messages(messages)
    kept = [message for message in messages if message["role"] in ("system", "developer")]
    others = [message for message in messages if message["role"] not in ("system", "developer")]
    starts = [number for number, message in enumerate(others) if message["role"] == "user"] or [0]
    for start in ([0] if starts[0] else []) + starts:
        found = [*kept, *others[start:]]
        if start == starts[-1] or len(chat.encode(found, tools, add_generation_prompt=True, **options)) <= most:
            return found if start else messages, start
    return messages, 0
