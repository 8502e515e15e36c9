"""A conversation that outgrows the window: the oldest turns go, what the system said stays."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from penjing.text.chat import Chat, Messages
from penjing.text.conversation import check_messages


def fitted(chat: Chat, messages: Messages, most: int, tools: Any = None, **options: Any) -> tuple[list[Any], int]:
    """The conversation, open for an answer, with its last turn and as many before as fit in `most` tokens; how many
    messages went.

    The last turn stays even where it does not fit.
    """

    def fits(found: list[Any]) -> bool:
        return len(chat.encode(found, tools, add_generation_prompt=True, **options)) <= most

    return without_oldest(check_messages(messages), fits)


def without_oldest(messages: list[Any], fits: Callable[[list[Any]], bool]) -> tuple[list[Any], int]:
    """The messages without the fewest of the oldest turns, so that they fit; how many went. The last turn stays.

    A turn begins with a user's message and holds all up to the next.
    """
    kept = [message for message in messages if message["role"] in ("system", "developer")]
    others = [message for message in messages if message["role"] not in ("system", "developer")]
    starts = [number for number, message in enumerate(others) if message["role"] == "user"] or [0]
    starts = ([0] if starts[0] else []) + starts
    if len(starts) == 1 or fits(messages):
        return messages, 0
    first = bisect_left(starts, True, 1, len(starts) - 1, key=lambda start: fits([*kept, *others[start:]]))
    return [*kept, *others[starts[first] :]], starts[first]
