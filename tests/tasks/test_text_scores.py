"""BLEU, chrF and ROUGE are those of sacrebleu and rouge-score, to the last digit, in odd cases too."""

import random

import numpy as np
import pytest
from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from penjing.tasks.scores import bleu, chrf, rouge
from penjing.tasks.scores.stems import stem
from penjing.tasks.seq2seq import Task

TEXT = 'the a man dog . , Haus Bäume don\'t 3.5 (x) "hi" 快递 盆景很好。 run-ning $5 über &amp; U.S. 1,000'
SENTENCE = "the running flies died generalization hopping relational formally tree trees be is on in a sky"
ENDINGS = "ational ies ied eed ed ing alli logi fulli bli ement ion tion sion ll y ness s e"
ODD = "skies dying lying news innings proceed ties died agreed feed falling hissing fizzed sky by"
WORDS, ENGLISH = TEXT.split(), SENTENCE.split()


def corpora(words, number, references, seed):
    """Texts and references, some empty, some with a space at the end."""
    chance = random.Random(seed)

    def text():
        return " ".join(chance.choices(words, k=chance.randint(0, 9))) + chance.choice(["", " "])

    for _ in range(number):
        size = chance.randint(1, 6)
        yield [text() for _ in range(size)], [[text() for _ in range(size)] for _ in range(references)]


@pytest.mark.parametrize("references", [1, 3])
@pytest.mark.parametrize("name", ["13a", "zh", "char"])
def test_bleu(name, references):
    theirs, words = BLEU(tokenize=name, force=True), bleu.cut(name)
    for texts, wanted in corpora(WORDS, 60, references, len(name)):
        expected = theirs.corpus_score(texts, wanted).score
        counts = [bleu.counts(text, [one[i] for one in wanted], words) for i, text in enumerate(texts)]
        assert float(bleu.score(np.asarray(counts, float).sum(0))) == expected
    assert bleu.signature(name, references) == theirs.get_signature().format()


@pytest.mark.parametrize("references", [1, 3])
def test_chrf(references):
    theirs = CHRF()
    for texts, wanted in corpora(WORDS, 100, references, 0):
        expected = theirs.corpus_score(texts, wanted).score
        counts = [chrf.counts(text, [one[i] for one in wanted]) for i, text in enumerate(texts)]
        assert float(chrf.score(np.asarray(counts, float).sum(0))) == expected
    assert chrf.signature(references) == theirs.get_signature().format()


@pytest.mark.parametrize("stemmed", [False, True])
def test_rouge(stemmed):
    names = ["rouge1", "rouge2", "rougeL"]
    theirs = RougeScorer(names, use_stemmer=stemmed)
    for texts, wanted in corpora(ENGLISH, 60, 3, 1):
        for i, text in enumerate(texts):
            references = [one[i] for one in wanted]
            found = theirs.score_multi(references, text)
            assert rouge.counts(text, references, stemmed)[1:] == [found[name].fmeasure for name in names]


def test_rouge_of_chinese_counts_characters():
    class Characters:
        def tokenize(self, text):
            return rouge.words(text)

    theirs = RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=Characters())
    for one, other in (("盆景艺术 2024", "盆景的艺术"), ("", "盆景"), ("GPT-4模型", "gpt 4 模型！")):
        found = theirs.score(other, one)
        assert rouge.counts(one, [other])[1:] == [found[n].fmeasure for n in ("rouge1", "rouge2", "rougeL")]
    assert rouge.words("盆景 GPT-4") == ["盆", "景", "gpt", "4"]


def test_stems():
    chance = random.Random(0)
    beginnings = ["".join(chance.choices("abcdeilorstuyz", k=chance.randint(1, 6))) for _ in range(400)]
    words = [one + end for one in beginnings for end in ENDINGS.split()] + ODD.split()
    theirs = PorterStemmer()
    assert [word for word in words if stem(word) != theirs.stem(word)] == []


def test_a_resample_is_the_corpus_of_its_records():
    texts, wanted = next(one for one in corpora(WORDS, 90, 1, 4) if len(one[0]) == 6)
    records = [{"source": "x", "target": target, "target_lang": "de"} for target in wanted[0]]
    answers = [{"text": text} for text in texts]
    weights = np.random.default_rng(0).multinomial(6, np.full(6, 1 / 6), size=20)
    found = Task().resampled(answers, records, weights.astype(float))
    for row, counts in enumerate(weights):
        drawn = np.repeat(np.arange(6), counts)
        chosen, goals = [texts[i] for i in drawn], [[wanted[0][i] for i in drawn]]
        assert found["bleu"][row] == BLEU().corpus_score(chosen, goals).score
        assert found["chrf"][row] == CHRF().corpus_score(chosen, goals).score


def test_words_are_cut_by_the_targets_language(monkeypatch):
    assert [bleu.cutter_name(one) for one in ("de", "zh", "zh_CN", "lzh", "th", "")] == [
        "13a",
        "zh",
        "zh",
        "zh",
        "char",
        "13a",
    ]
    assert bleu.cutter_name("ja") == "char"  # MeCab is not installed with the tests
    monkeypatch.setattr(bleu, "find_spec", lambda module: True)
    assert bleu.cutter_name("ja") == "ja-mecab" and bleu.cutter_name("ko") == "ko-mecab"


def test_without_sacrebleu(monkeypatch):
    import sys

    from penjing.base.errors import MachineError

    bleu.metric.cache_clear()
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(MachineError, match="P-SYSTEM-001"):
        bleu.cut("13a")
