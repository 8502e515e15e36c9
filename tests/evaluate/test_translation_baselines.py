"""The classical models of translation and summaries: aligned phrases, a translation memory, the beginning of a text."""

import random

import numpy as np
import pytest

from penjing.evaluate.alignments import aligned, joined, learn, links_of
from penjing.evaluate.classical import load_classical
from penjing.evaluate.classical.lead import Baseline as Lead
from penjing.evaluate.classical.lead import beginning
from penjing.evaluate.classical.phrase_translation import Baseline as PhraseTranslation
from penjing.evaluate.classical.phrase_translation import numbered
from penjing.evaluate.classical.translation_memory import Baseline as TranslationMemory
from penjing.evaluate.phrases import WordModel, phrase_pairs, words
from penjing.tasks.seq2seq import Task
from penjing.tasks.two_sides import in_our_form

ENGLISH, GERMAN = (line.split() for line in (
    "the red house of my old friend is near a small green tree and big river",
    "das rote Haus von meinem alten Freund ist nahe einem kleinen grünen Baum und großen Fluss",
))  # fmt: skip


def sentences(number, seed=0):
    """English words, and the German ones in the same order."""
    chance, found = random.Random(seed), []
    for _ in range(number):
        chosen = chance.sample(range(len(ENGLISH)), chance.randint(3, 8))
        source, target = (" ".join(words[i] for i in chosen) for words in (ENGLISH, GERMAN))
        found.append({"source": source + ".", "target": target + ".", "source_lang": "en", "target_lang": "de"})
    return found


TRAIN, VALID, TEST = sentences(300), sentences(20, 1), sentences(30, 2)


def test_the_model_of_links_is_expectation_and_maximisation():
    """The textbook's example: house is found by what the other sentences leave."""
    sources = numbered([["das", "Haus"], ["das", "Buch"], ["ein", "Buch"]])
    targets = numbered([["the", "house"], ["the", "book"], ["a", "book"]])
    links = links_of(sources, targets)
    chances = learn(links, 20)
    best = {int(s): int(t) for s, t, c in zip(links.sources, links.targets, chances, strict=True) if c > 0.7 and s}
    assert best == {1: 1, 2: 2, 3: 3, 4: 4}
    for source in set(links.sources.tolist()):
        assert chances[links.sources == source].sum() == pytest.approx(1)


def test_links_and_phrases():
    assert joined(np.array([0, 1, -1]), np.array([0, 1])) == {(0, 0), (1, 1)}
    found = aligned(*(numbered([record[side][:-1].split() for record in TRAIN]) for side in ("source", "target")))
    right = sum(
        (i, i) in links
        for links, record in zip(found, TRAIN, strict=True)
        for i in range(len(record["source"].split()))
    )
    assert right / sum(len(record["source"].split()) for record in TRAIN) > 0.95
    pairs = set(phrase_pairs({(0, 1), (1, 0)}, 2, 3))
    assert pairs == {(0, 1, 1, 2), (0, 1, 1, 3), (1, 2, 0, 1), (0, 2, 0, 2), (0, 2, 0, 3)}


def test_words_are_the_text():
    for text in ("Ein Haus, das (alt) ist.", "我 爱GPT-4模型。", "a  b", "", "é😀_x"):
        assert "".join(words(text)).strip() == " ".join(text.split())
    model = WordModel.fit([["a", "b"], ["a", "b"], ["a", "c"]])
    assert model.log(("", "a"), "b") > model.log(("", "a"), "c") > model.log(("", "a"), "z")


def test_phrases_translate_and_are_saved(tmp_path):
    task = Task.made(TRAIN)
    found = PhraseTranslation.fit(task, TRAIN, VALID)
    answers = found.answer(TEST)
    assert task.score(answers, TEST)["bleu"] > 95 and found.facts["phrases"] > 16
    unknown = found.answer([{"source": "the Penjing house", "target_lang": "de"}, {"source": ""}])
    assert "Penjing" in unknown[0]["text"] and unknown[1]["text"] == ""
    found.save(tmp_path / "b")
    again = load_classical(tmp_path / "b")
    assert again.answer(TEST) == answers and again.facts == found.facts and again.weights == found.weights


def test_the_memory_answers_with_what_it_saw(tmp_path):
    task = Task.made(TRAIN)
    found = TranslationMemory.fit(task, TRAIN, VALID)
    assert task.score(found.answer(TRAIN[:20]), TRAIN[:20])["bleu"] > 90
    found.save(tmp_path / "m")
    assert load_classical(tmp_path / "m").answer(TEST) == found.answer(TEST)
    assert isinstance(found.answer([{"source": "qqq", "target_lang": "xx"}])[0]["text"], str)


def test_the_beginning(tmp_path):
    assert beginning("A: Hi. Yes!\nB: No 3.5 of it. End", "sentences", 3) == "A: Hi. Yes! B: No 3.5 of it."
    assert beginning("盆景很好。是吗？“对！”完", "sentences", 2) == "盆景很好。是吗？"
    assert beginning("我爱GPT-4 模型", "words", 3) == "我爱GPT-4" and beginning("", "words", 3) == "" == beginning(
        "", "sentences", 1
    )
    records = [
        in_our_form({"document": f"Word{i} is first. Then {i} other things. And more.", "summary": f"Word{i} is first"})
        for i in range(30)
    ]
    task = Task.made(records)
    found = Lead.fit(task, records, [])
    assert task.score(found.answer(records), records)["rouge_l"] == 100.0
    found.save(tmp_path / "l")
    again = load_classical(tmp_path / "l")
    assert again.answer(records) == found.answer(records) and again.facts == found.facts
