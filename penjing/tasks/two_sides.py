"""Records of a source and a target: the field's own forms made ours, and the rows that an encoder-decoder reads.

N records, P pieces
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from penjing.base.records import Record
from penjing.tasks.pieces import InMemory, Pieces

if TYPE_CHECKING:
    from penjing.text.tokenizer import Tokenizer

FORMS = (  # fields of a source and of its target, as data sets call them
    ("source", "target"),
    ("document", "summary"),
    ("dialogue", "summary"),
    ("article", "highlights"),
    ("text", "summary"),
)
SUMMARIES = ("document", "summary", "highlights")  # fields that tell that targets are summaries
SPARE = re.compile(r"\[unused(\d+)\]|<\|reserved_(\d+)\|>|<extra_id_(\d+)>")


def in_our_form(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record with the fields source and target beside its own; it keeps its file and line."""
    if "source" in record:
        return record
    if isinstance(record.get("translation"), Mapping) and len(record["translation"]) == 2:  # as OPUS and WMT on the hub
        (one, source), (other, target) = record["translation"].items()
        found = {"source": source, "target": target, "source_lang": one, "target_lang": other}
    else:
        theirs = next((form for form in FORMS if set(form) <= set(record)), None)
        theirs = theirs or next((form for form in FORMS if form[0] in record), None)
        if theirs is None:
            return record
        target = record.get(theirs[1], next(iter(record.get("references") or ()), None))
        found = {"source": record[theirs[0]]} | ({} if target is None else {"target": target})
    return Record({**record, **found}, getattr(record, "file", None), getattr(record, "line", None))


def references_of(record: Mapping[str, Any]) -> list[str]:
    """What an answer is measured on: the references, or the one target."""
    return list(record.get("references") or [record["target"]])


def pair_of(record: Mapping[str, Any]) -> str:
    """The languages of a record: `en-de`, or only the target's."""
    return "-".join(str(record[name]) for name in ("source_lang", "target_lang") if record.get(name))


def drawn_more(pairs: Sequence[str], temperature: float) -> np.ndarray:
    """Which records an epoch goes through, by number: of a small pair each several times.

    A pair with the share q of all records is drawn in proportion to q ** (1 / temperature) (arXiv:1907.05019); the
    pair that loses most by that is read once.
    """
    counts = Counter(pairs)
    wanted = {pair: count ** (1 / temperature) for pair, count in counts.items()}
    least = min(wanted[pair] / count for pair, count in counts.items())
    chosen, names = [], np.asarray(pairs)
    for pair, count in counts.items():
        numbers = np.flatnonzero(names == pair)
        total = round(wanted[pair] / least)
        chosen.append(numbers[np.arange(total) * count // total if total < count else np.arange(total) % count])
    return np.sort(np.concatenate(chosen), kind="stable")


def tag_of(tokenizer: Tokenizer, languages: Sequence[str], language: str) -> int | None:
    """The token that asks for a language: `<2de>`, else the spare special token in the language's place."""
    named = tokenizer.inner.token_to_id(f"<2{language}>")
    if named is not None:
        return named
    spare = sorted(
        (int(next(filter(None, found.groups()))), token)
        for token, name in tokenizer.inner.get_added_tokens_decoder().items()
        if (found := SPARE.fullmatch(name.content))
    )
    place = list(languages).index(language)
    return spare[place][1] if place < len(spare) else None


def whole_texts(records: Sequence[Mapping[str, Any]], field: str) -> list[str]:
    """A field of records without half surrogate pairs, which no tokenizer takes."""
    return [record[field].encode("utf-8", "replace").decode("utf-8") for record in records]


class Sides(Pieces):
    """One piece for each record: its source, cut at the end where it is too long, and its target with the end token.

    chosen: the records of an epoch by number, where they are not all, each once.
    """

    def __init__(
        self, sources: InMemory, answers: InMemory | None, tokenizer: Tokenizer, window: int,
        chosen: np.ndarray | None = None,
    ):  # fmt: skip
        super().__init__(sources, tokenizer, window, "head")
        self.answers = answers
        if answers is not None:
            self.lengths = np.stack([self.lengths, answers.lengths], axis=1)  # each is padded by itself
        if chosen is not None:
            for name in ("owner", "part", "parts", "start", "stop", "lengths"):
                setattr(self, name, getattr(self, name)[chosen])

    def target(self, piece: int) -> np.ndarray:
        """The tokens that are to be written, the end among them."""
        assert self.answers is not None
        return self.answers.document(int(self.owner[piece]))

    def fingerprint(self) -> str:
        """What decides the batches, and all tokens of both sides."""
        both = self.documents.fingerprint() + ("" if self.answers is None else self.answers.fingerprint())
        return hashlib.sha256(self.lengths.tobytes() + self.owner.tobytes() + both.encode()).hexdigest()
