"""Verse forms during generation: tokens that would break the form are forbidden, and a row stops when it is fulfilled.

    complete(network, prompts, options, rules=[VerseRule(FORMS["五言绝句"], tokenizer)])

A form reads the text character by character and says what may follow, so that each row can always be brought to its end.
Of the tokens, the 64 best that can be verse are read, more only where none fits: it chooses among the likely, as top-k.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from penjing.base.errors import GenerateError
from penjing.generate.rules import Rule
from penjing.text import verse_chinese, verse_english
from penjing.text.token_bytes import token_bytes
from penjing.text.tokenizer import Tokenizer
from penjing.text.verse import FREE, Form

READ = (64, 512, 4096)  # so many of the best tokens are read, and more where none fits
WRITTEN = {  # the bytes that may occur
    "chinese": frozenset([*range(0x80, 0x100), *b",.!?; \n"]),
    "english": frozenset([*range(65, 91), *range(97, 123), *b",.;:!?' \n"]),
}
STOPS = "，。！？；,.!?;"  # what may close a line
TIES = "'"  # within a word


class Place(NamedTuple):
    """Where a poem stands."""

    line: int = 0
    count: int = 0  # units of the line so far; the word that is being written is not counted
    word: str = ""  # the letters of that word; in Chinese the last character
    closed: bool = False  # a mark was just written
    gap: bool = False  # white space was just written
    endings: tuple[tuple[str, str, str], ...] = ()  # (letter, sound, last word) of the lines that rhyme


class Reader(Protocol):
    """Reads a poem of one form."""

    def step(self, place: Place, character: str) -> Place | None:
        """The place behind one more character; None if it may not come."""

    def starts(self, place: Place, piece: bytes) -> bool:
        """May a character begin with these bytes?"""

    def ends(self, place: Place) -> bool:
        """Is the form fulfilled?"""


def sound_wanted(form: Form, place: Place) -> tuple[str, str | None, set[str]]:
    """The letter of the present line, its sound if it has one, and the words already used for it."""
    letter = form.rhyme[place.line]
    found = [(sound, word) for other, sound, word in place.endings if other == letter]
    return letter, found[0][0] if found else None, {word for _, word in found}


class Chinese:
    """Reads Chinese verse. Lines are closed by a mark, a line break, or both."""

    def __init__(self, form: Form):
        self.form, self.last = form, len(form.lengths) - 1
        self.rhyme = {one: name for name, group in verse_chinese.rhyming().items() for one in group}
        self.beginning: dict[bytes, list[str]] = {}
        for character in [*self.rhyme, *STOPS]:
            written = character.encode()
            for end in range(1, len(written)):
                self.beginning.setdefault(written[:end], []).append(character)
        self.starts = lru_cache(maxsize=4096)(self.look)

    def step(self, place: Place, character: str) -> Place | None:
        if character == " ":
            return place
        if place.line > self.last:
            return None
        if verse_chinese.is_character(character):
            return self.grown(place, character)
        if character == "\n" and place.closed:
            return place._replace(closed=False)
        closing = character in STOPS or character == "\n" and place.line < self.last
        return self.closed(place, character != "\n") if closing and self.complete(place) else None

    def grown(self, place: Place, character: str) -> Place | None:
        after = place._replace(count=place.count + 1, word=character, closed=False)
        most = self.form.lengths[place.line][1]
        return after if after.count < most or after.count == most and self.complete(after) else None

    def complete(self, place: Place) -> bool:
        """May the line end here?"""
        low, high = self.form.lengths[place.line]
        if not low <= place.count <= high:
            return False
        letter, sound, used = sound_wanted(self.form, place)
        own = self.rhyme.get(place.word)
        return letter == FREE or own is not None and place.word not in used and sound in (None, own)

    def closed(self, place: Place, mark: bool) -> Place:
        letter = self.form.rhyme[place.line]
        ending = () if letter == FREE else ((letter, self.rhyme[place.word], place.word),)
        return Place(place.line + 1, closed=mark, endings=place.endings + ending)

    def look(self, place: Place, piece: bytes) -> bool:
        return any(self.step(place, character) is not None for character in self.beginning.get(piece, ()))

    def ends(self, place: Place) -> bool:
        return place.line > self.last or place.line == self.last and self.complete(place)


class English:
    """Reads English verse made of the words of the CMU dictionary, each in its usual pronunciation."""

    def __init__(self, form: Form):
        self.form, self.last = form, len(form.lengths) - 1
        self.words = verse_english.dictionary()
        self.possible = lru_cache(maxsize=65536)(self.look)

    def step(self, place: Place, character: str) -> Place | None:
        if place.line > self.last:
            return None
        if character.isascii() and character.isalpha() or character in TIES and place.word:
            return self.lettered(place, character)
        if character == " ":
            return self.spaced(place)
        done = self.finished(place)
        if character == "\n":
            return self.closed(done) if done and place.line < self.last and self.complete(done) else None
        if character not in ",.;:!?" or place.closed or done is None or not done.word:
            return None
        return done._replace(closed=True) if self.complete(done) or self.may_follow(done) else None

    def lettered(self, place: Place, character: str) -> Place | None:
        """A letter more; the word must lead to one of the dictionary that fits here."""
        if place.closed or character.isupper() and place.word and not place.gap:
            return None
        word = character.lower() if place.gap else place.word + character.lower()
        after = place._replace(word=word, gap=False)
        return after if self.possible(after) else None

    def spaced(self, place: Place) -> Place | None:
        if place.gap or not place.word:  # one space at the start of a line, and one between words
            return place._replace(gap=True, word="") if not place.word and not place.gap else None
        done = self.finished(place)
        return done._replace(gap=True, closed=False) if done and self.may_follow(done) else None

    def finished(self, place: Place) -> Place | None:
        """The place with its word counted; None if the word is none."""
        if place.closed or place.gap:
            return place if place.closed else None
        count = self.words.counts.get(place.word)
        return None if count is None else place._replace(count=place.count + count)

    def may_follow(self, done: Place) -> bool:
        return done.count < self.form.lengths[done.line][1]

    def complete(self, done: Place) -> bool:
        """May the line end with this word?"""
        low, high = self.form.lengths[done.line]
        if not low <= done.count <= high:
            return False
        letter, sound, used = sound_wanted(self.form, done)
        own = self.words.sound(done.word)
        return letter == FREE or done.word not in used and (own == sound if sound else own in self.words.rich)

    def closed(self, done: Place) -> Place:
        letter = self.form.rhyme[done.line]
        ending = () if letter == FREE else ((letter, self.words.sound(done.word), done.word),)
        return Place(done.line + 1, endings=done.endings + ending)

    def look(self, place: Place) -> bool:
        """Is there a word with this beginning, with which the line can still be fulfilled?"""
        low, high = self.form.lengths[place.line]
        letter, sound, used = sound_wanted(self.form, place)
        leads = bits(self.words.most.get(place.word, 0))
        if any(place.count + count < high for count in leads):  # a rhyming word of one syllable fits behind it
            return True
        closing = [count for count in leads if low <= place.count + count <= high]
        if letter == FREE or not closing:
            return bool(closing)
        if sound is None:
            return any(count in closing for count in bits(self.words.ends.get(place.word, 0)))
        fitting = (word for word in self.words.on(sound, place.word) if word not in used)
        return any(self.words.counts[word] in closing for word in fitting)

    def starts(self, place: Place, piece: bytes) -> bool:
        return False  # all that English verse needs is one byte

    def ends(self, place: Place) -> bool:
        done = self.finished(place) if place.line == self.last and place.word else None
        return done is not None and self.complete(done)


def bits(number: int) -> list[int]:
    """The places of the ones of a binary number."""
    return [place for place in range(number.bit_length()) if number >> place & 1]


READERS: dict[str, Any] = {"chinese": Chinese, "english": English}


class Row(NamedTuple):
    """What the rule knows of one row."""

    place: Place = Place()
    piece: bytes = b""  # the first bytes of a character
    begun: bool = False
    done: bool = False


class VerseRule(Rule):
    """Every row becomes a poem of the form, by itself: the prompt is no part of it.

    `stop`: the tokens that end a row, by default the tokenizer's end token. Raises P-GENERATE-031 (no stop token), -037
    (another option took a forbidden token) and -043 (no token of the vocabulary fits).
    """

    def __init__(self, form: Form, tokenizer: Tokenizer, stop: Sequence[int] | None = None):
        stop = [tokenizer.end] if stop is None and tokenizer.end is not None else list(stop or ())
        if not stop or not all(0 <= number < tokenizer.size for number in stop):
            raise GenerateError("P-GENERATE-031", given=stop)
        self.form, self.stop = form, frozenset(stop)
        self.reader: Reader = READERS[form.language](form)
        self.tokens, self.first_space = token_bytes(tokenizer)
        self.useful = torch.tensor([number for number, said in enumerate(self.tokens) if self.is_useful(number, said)])
        self.rows: list[Row] = []

    def is_useful(self, number: int, said: bytes) -> bool:
        """May the token occur at all?"""
        blank = not said.strip(b" ") and self.form.language == "chinese"
        return bool(said) and not blank and number not in self.stop and WRITTEN[self.form.language].issuperset(said)

    def start(self, prompts: Sequence[Sequence[int]]) -> None:
        self.rows = [Row() for _ in prompts]

    def apply(self, scores: Tensor) -> Tensor:
        """Forbid what breaks the form, in place."""
        for number, row in enumerate(self.rows):
            fitting = torch.tensor(self.fitting(row, scores[number, : len(self.tokens)], number), device=scores.device)
            kept = scores[number, fitting]
            scores[number] = float("-inf")
            scores[number, fitting] = kept
        return scores

    def fitting(self, row: Row, scores: Tensor, number: int) -> list[int]:
        """The best tokens that fit, and the stop tokens where the form is fulfilled."""
        if row.done:
            return sorted(self.stop)
        found = sorted(self.stop) if self.ends(row) else []
        useful, read = self.useful.to(scores.device), 0
        for most in (*READ, len(useful)):
            best = useful[scores[useful].topk(min(most, len(useful))).indices[read:]].tolist()
            read += len(best)
            found += [token for token in best if self.after(row, token) is not None]
            if found:
                break
        if not found:
            raise GenerateError("P-GENERATE-043", row=number, line_number=row.place.line + 1)
        return found

    def after(self, row: Row, token: int) -> Row | None:
        """The row with one more token; None if it breaks the form."""
        said = self.tokens[token]
        if not row.begun and self.first_space != "kept":
            said = said.removeprefix(b" ")
        text, piece = whole_characters(row.piece + said)
        place: Place | None = row.place
        for character in text or "":
            place = self.reader.step(place, character)
            if place is None:
                return None
        if text is None or piece and not self.reader.starts(place, piece):
            return None
        return Row(place, piece, True)

    def ends(self, row: Row) -> bool:
        return not row.piece and self.reader.ends(row.place)

    def accept(self, tokens: Sequence[int]) -> None:
        for number, (row, token) in enumerate(zip(self.rows, tokens, strict=True)):
            if row.done or token in self.stop and self.ends(row):
                self.rows[number] = row._replace(done=True)
                continue
            after = self.after(row, token) if self.is_useful(token, self.tokens[token]) else None
            if after is None:
                raise GenerateError(
                    "P-GENERATE-037", kind="verse form", row=number, token=token, given=f"line {row.place.line + 1}"
                )
            self.rows[number] = after

    def select(self, rows: Sequence[int]) -> None:
        self.rows = [self.rows[row] for row in rows]


def whole_characters(said: bytes) -> tuple[str | None, bytes]:
    """The whole characters, and the first bytes of one that is not whole; (None, …) for what can become none."""
    try:
        return said.decode(), b""
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return None, b""
        return said[: error.start].decode(), said[error.start :]
