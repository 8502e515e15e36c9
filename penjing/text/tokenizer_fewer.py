"""A tokenizer with only some of its tokens, under new numbers: what is spelled in those that are left is cut as before.

WordPiece and Unigram lose pieces simply; a piece of BPE is only made when all that it is merged from is there.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import tokenizers
from tokenizers import pre_tokenizers

from penjing.base.errors import TextError
from penjing.text.tokenizer import Tokenizer

Characters = Literal["all", "used"]
BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def needed(tokenizer: Tokenizer, wanted: Iterable[int], characters: Characters = "all") -> list[int]:
    """The tokens that must be left for these ones: with the special ones, and all that a piece is merged from.

    characters: `all` that are tokens stay too, so that any text can be spelled as it could; `used`: bytes alone do.
    """
    names = {number: name for inner in inners(tokenizer) for name, number in inner.get_vocab(True).items()}
    found = set(tokenizer.special) | {number for number in wanted if number in names}
    for inner in inners(tokenizer):
        about = json.loads(inner.to_str())
        model, numbers = about["model"], inner.get_vocab(True)
        found |= set(framing(about.get("post_processor"))) | {numbers[name] for name in basis(about, characters)}
        if model["type"] == "Unigram":
            scores = [score for _, score in model["vocab"]]
            found |= {scores.index(min(scores)), *unknown_of(model, numbers)}  # the worst one says what is unknown
        else:
            found |= set(unknown_of(model, numbers))
        if model["type"] == "BPE":
            merged = Merges(model)
            own = [names[number] for number in found if names[number] in model["vocab"]]
            found |= {numbers[part] for name in own for part in merged.parts(name) if part in numbers}
    return sorted(found)


def inners(tokenizer: Tokenizer) -> list[tokenizers.Tokenizer]:
    """The tokenizer's own, and the one of what is written, where that is another: their numbers are the same."""
    return [tokenizer.inner, *([] if tokenizer.target is None else [tokenizer.target.inner])]


def unknown_of(model: Mapping[str, Any], numbers: Mapping[str, int]) -> list[int]:
    """The number of what stands for unknown text, if there is one."""
    found = model.get("unk_id") if model["type"] == "Unigram" else numbers.get(model.get("unk_token") or "")
    return [] if found is None else [found]


def spells_all(tokenizer: Tokenizer) -> bool:
    """Whether a text whose characters are no tokens can still be read: in bytes, or as unknown."""
    about = json.loads(tokenizer.inner.to_str())
    return by_bytes(about) or tokenizer.unknown is not None or bool(about["model"].get("byte_fallback"))


def by_bytes(about: Mapping[str, Any]) -> bool:
    """Whether texts are turned into bytes first, each written as a letter."""
    return '"ByteLevel"' in json.dumps([about.get("pre_tokenizer"), about.get("normalizer")])


def basis(about: Mapping[str, Any], characters: Characters) -> Iterator[str]:
    """The tokens that other texts are spelled by: bytes, and characters at the beginning of a word and within."""
    model = about["model"]
    vocabulary = [name for name, _ in model["vocab"]] if model["type"] == "Unigram" else model["vocab"]
    marks = (model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or "")
    letters = set(pre_tokenizers.ByteLevel.alphabet()) if by_bytes(about) else set()
    for name in vocabulary:
        bare = name.removeprefix(marks[0]).removesuffix(marks[1]) or name
        if BYTE.fullmatch(name) or bare in letters or (characters == "all" and len(bare) == 1):
            yield name


class Merges:
    """The merges of a BPE model, and what stands on the way from characters to a piece."""

    def __init__(self, model: Mapping[str, Any]):
        pairs = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
        self.ranks = {pair: rank for rank, pair in reversed(list(enumerate(pairs)))}
        self.prefix, self.suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""

    def made(self, first: str, second: str) -> str:
        """What two pieces are merged to."""
        return first + second.removeprefix(self.prefix)

    def letters(self, piece: str) -> list[str]:
        """The characters that a piece begins as."""
        last = bool(self.suffix) and piece.endswith(self.suffix) and piece != self.suffix
        bare = piece.removesuffix(self.suffix) if last else piece
        inside = bool(self.prefix) and bare.startswith(self.prefix) and bare != self.prefix
        found = list(bare.removeprefix(self.prefix) if inside else bare)
        found = [self.prefix + one if inside or at else one for at, one in enumerate(found)]
        return [*found[:-1], found[-1] + self.suffix] if last else found

    def parts(self, piece: str) -> set[str]:
        """The piece, its characters, and all between: merged two by two, the earliest merge first, then the leftmost."""
        row = self.letters(piece)
        after, found = list(range(1, len(row) + 1)), {piece, *row}  # where the next one begins
        pairs = enumerate(zip(row, row[1:], strict=False))
        queue = [(self.ranks[pair], at, pair) for at, pair in pairs if pair in self.ranks]
        heapq.heapify(queue)
        before = list(range(-1, len(row) - 1))
        while queue:
            _, at, pair = heapq.heappop(queue)
            then = after[at]
            if then >= len(row) or (row[at], row[then]) != pair:
                continue
            found.add(whole := self.made(*pair))
            row[at], row[then], after[at] = whole, "", after[then]
            if after[at] < len(row):
                before[after[at]] = at
            for one, other in ((before[at], at), (at, after[at])):
                if one >= 0 and other < len(row) and (row[one], row[other]) in self.ranks:
                    heapq.heappush(queue, (self.ranks[row[one], row[other]], one, (row[one], row[other])))
        return found


def fewer(tokenizer: Tokenizer, left: Sequence[int]) -> Tokenizer:
    """The tokenizer with these of its tokens, in ascending order, numbered from 0. P-CHANGE-123 where that cannot be."""
    found = Tokenizer(only(tokenizer.inner, left), dict(tokenizer.config))
    if tokenizer.target is not None:
        found.target = Tokenizer(only(tokenizer.target.inner, left), dict(tokenizer.target.config))
    return found


def only(inner: tokenizers.Tokenizer, left: Sequence[int]) -> tokenizers.Tokenizer:
    """The same of what a tokenizer wraps."""
    number = {old: new for new, old in enumerate(left)}
    wanted = {name: number[old] for name, old in inner.get_vocab(True).items() if old in number}
    about = json.loads(inner.to_str())
    try:
        about["model"] |= left_of(about["model"], number)
        added = [one | {"id": number[one["id"]]} for one in about["added_tokens"] if one["id"] in number]
        about |= {"added_tokens": added, "post_processor": reframed(about.get("post_processor"), number)}
        found = tokenizers.Tokenizer.from_str(json.dumps(about))
        same = found.get_vocab(True) == wanted
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises a bare Exception, or panics with a BaseException
        raise TextError("P-CHANGE-123", reason=error) from error
    if not same:
        raise TextError("P-CHANGE-123", reason="what is left gets other numbers than were meant for it")
    return found


def left_of(model: Mapping[str, Any], number: Mapping[int, int]) -> dict[str, Any]:
    """What is left of a model's vocabulary, and of its merges."""
    if model["type"] == "Unigram":
        unknown = model.get("unk_id")
        kept = [pair for old, pair in enumerate(model["vocab"]) if old in number]
        return {"vocab": kept, "unk_id": None if unknown is None else number[unknown]}
    vocabulary = {name: number[old] for name, old in model["vocab"].items() if old in number}
    if model["type"] != "BPE":
        return {"vocab": vocabulary}
    merges = Merges(model)
    return {"vocab": vocabulary, "merges": [list(pair) for pair in sorted(merges.ranks, key=merges.ranks.__getitem__)
                                            if vocabulary.keys() >= {*pair, merges.made(*pair)}]}  # fmt: skip


def framing(processor: Any) -> Iterator[int]:
    """The numbers of the tokens that a post-processor puts around texts."""
    for one in (processor or {}).get("processors", [processor] if processor else []):
        for token in (one.get("special_tokens") or {}).values():
            yield from token["ids"]
        yield from (one[end][1] for end in ("sep", "cls") if end in one)


def reframed(processor: Any, number: Mapping[int, int]) -> Any:
    """The post-processor with the new numbers; those of its tokens that it needs are all left."""
    if not processor:
        return processor
    if "processors" in processor:
        return processor | {"processors": [reframed(one, number) for one in processor["processors"]]}
    ends = {end: [processor[end][0], number[processor[end][1]]] for end in ("sep", "cls") if end in processor}
    tokens = {name: token | {"ids": [number[old] for old in token["ids"]]}
              for name, token in (processor.get("special_tokens") or {}).items()}  # fmt: skip
    return processor | ends | ({"special_tokens": tokens} if "special_tokens" in processor else {})
