"""Linear models: features equal scikit-learn's, saving is exact, Chinese and several labels work."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.base.errors import DataError, EvaluateError, MachineError, OptionError
from penjing.evaluate.baselines import fit_baselines
from penjing.evaluate.fitting import fit_linear, worth
from penjing.evaluate.linear import LinearModel
from penjing.evaluate.ngrams import View, alphabet_of, characters, words, words_and_characters
from penjing.evaluate.targets import labels_of, targets_of

GOOD = [
    "a fine film , great cast",
    "great fun and warm",
    "loved this great little story",
    "fine acting , warm and funny",
]
BAD = ["a dull film , poor cast", "boring and cold", "hated this dull long story", "poor acting , cold and flat"]
TEXTS, TARGETS = GOOD * 5 + BAD * 5, np.array([1] * 20 + [0] * 20)
CHINESE = [
    "这个手机很好用",
    "质量很好，喜欢",
    "非常满意，好评",
    "很好，会再来",
    "质量太差了",
    "很差，退货",
    "不好用，差评",
    "太差，失望",
]


@pytest.mark.parametrize("cutter, analyzer", [("words", words), ("characters", characters)])
@given(texts=st.lists(st.text("ab 我好.'", max_size=12), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_counts_equal_scikit_learn(cutter, analyzer, texts):
    from sklearn.feature_extraction.text import CountVectorizer

    high = 3 if cutter == "words" else 4
    joint = " " if cutter == "words" else ""

    def grams(text):
        units = list(analyzer(text))
        return [joint.join(units[i : i + n]) for n in range(1, high + 1) for i in range(len(units) - n + 1)]

    view, frequency = View.fit(texts, cutter, 1, high, least=1, most=10**6)
    counts, names = view.counts(texts), [view.name(i) for i in range(len(view.keys))]
    if not any(grams(text) for text in texts):
        assert not names
        return
    theirs = CountVectorizer(analyzer=grams).fit(texts)
    assert sorted(names) == sorted(theirs.vocabulary_)
    matrix = theirs.transform(texts).toarray()[:, [theirs.vocabulary_[name] for name in names]]
    assert ((matrix > 0).sum(0) == frequency).all()
    for row in range(len(texts)):
        part = slice(counts.starts[row], counts.starts[row + 1])
        ours = np.zeros(len(names))
        ours[counts.columns[part]] = counts.values[part]
        assert (ours == matrix[row]).all()


def test_tfidf_equals_scikit_learn():
    from sklearn.feature_extraction.text import TfidfVectorizer

    model = fit_linear("tfidf", TEXTS, TARGETS, ["bad", "good"])
    theirs = TfidfVectorizer(analyzer=lambda t: [" ".join(words(t)[i : i + n]) for n in (1, 2)
                                                 for i in range(len(words(t)) - n + 1)], sublinear_tf=True)  # fmt: skip
    matrix = theirs.fit_transform(TEXTS)
    rows, names = model.features(TEXTS), [model.views[0].name(i) for i in range(len(model.views[0].keys))]
    for row in range(len(TEXTS)):
        part = slice(rows.starts[row], rows.starts[row + 1])
        ours = np.zeros(len(names))
        ours[rows.columns[part]] = rows.values[part]
        assert np.allclose(ours, matrix[row].toarray()[0, [theirs.vocabulary_[n] for n in names]], atol=1e-6)


@pytest.mark.parametrize("kind", ["tfidf", "nb_ngrams"])
@pytest.mark.parametrize("labels", [["bad", "good"], ["bad", "good", "other"]])
def test_learns_and_saves_exactly(kind, labels, tmp_path):
    texts, targets = list(TEXTS), TARGETS
    if len(labels) == 3:
        texts, targets = texts + ["where is my parcel", "the parcel is late"] * 5, np.append(TARGETS, [2] * 10)
    model = fit_linear(kind, texts, targets, labels)
    chances = model.probabilities(texts)
    assert (chances.argmax(1) == targets).mean() > 0.95
    assert np.allclose(chances.sum(1), 1)
    model.save(tmp_path / "m")
    again = LinearModel.load(tmp_path / "m")
    assert (again.probabilities([{"text": t} for t in texts]) == chances).all()
    assert (again.probabilities(texts[3:4]) == chances[3:4]).all()
    assert again.answer(["great"])[0]["label"] == "good"
    assert not list(tmp_path.rglob("*.pkl"))
    assert "great" in [name for name, _ in model.strongest("good", 12)]


def test_text_with_no_known_word_and_no_text():
    model = fit_linear("nb_ngrams", TEXTS, TARGETS, ["bad", "good"])
    assert model.probabilities(["", "zzz"]).shape == (2, 2)
    assert model.probabilities([]).shape == (0, 2)


def test_chinese_by_characters():
    targets = np.array([1] * 4 + [0] * 4)
    model = fit_linear("nb_ngrams", CHINESE * 3, np.tile(targets, 3), ["差", "好"])
    assert model.facts["alphabet"] == "characters" and model.facts["cjk_share"] == 1
    assert model.answer(["很好"])[0]["label"] == "好" and model.answer(["太差"])[0]["label"] == "差"
    assert alphabet_of(["hello there my friend 你好"])[0] == "mixed" and alphabet_of(["hello"])[0] == "words"
    assert words_and_characters("我要refund了") == ["我", "要", "refund", "了"]
    mixed = fit_linear("tfidf", (CHINESE + TEXTS[:20]) * 2, np.tile(np.append(targets, [1] * 20), 2), ["差", "好"])
    assert len(mixed.views) == 2 and mixed.answer(["很好 great"])[0]["label"] == "好"


@pytest.mark.parametrize("kind", ["majority", "tfidf", "nb_ngrams"])
def test_several_labels(kind):
    train = [
        {"text": t, "labels": ["praise"] if y else ["blame", "short"]} for t, y in zip(TEXTS, TARGETS, strict=True)
    ]
    train.append({"text": "nothing here", "labels": []})
    labels = labels_of(train)
    model = fit_baselines(train, None, labels, [kind])[kind]
    chances = model.probabilities(TEXTS)
    assert labels == ["blame", "praise", "short"] and chances.shape == (40, 3)
    if kind != "majority":
        assert model.answer(["boring and cold"])[0]["labels"] == ["blame", "short"]


@pytest.mark.parametrize("kind", ["tfidf", "nb_ngrams"])
@pytest.mark.parametrize("labels", [["bad", "good"], ["bad", "good", "other"]])
def test_a_teachers_chances_are_learnt_as_they_are(kind, labels):
    hard = fit_linear(kind, TEXTS, TARGETS, labels, strength=10.0)
    sure = fit_linear(kind, TEXTS, np.eye(len(labels))[TARGETS], labels, strength=10.0, several=False)
    assert np.abs(sure.probabilities(TEXTS) - hard.probabilities(TEXTS)).max() < 0.02 and sure.link == hard.link
    said = np.full((len(TEXTS), len(labels)), 0.3 / (len(labels) - 1))
    said[np.arange(len(TEXTS)), TARGETS] = 0.7
    unsure = fit_linear(kind, TEXTS, said, labels, several=False)
    assert np.abs(unsure.probabilities(TEXTS) - said).max() < 0.05 and not unsure.several
    assert unsure.facts["chosen_on"] == "a tenth of train" and min(unsure.facts["loss_by_strength"].values()) > 0.5
    hardly = fit_linear(
        kind, TEXTS, np.eye(len(labels))[TARGETS] * 0.995 + 0.0025, labels, strength=10.0, several=False
    )
    assert (hardly.weights == sure.weights).all()


@pytest.mark.parametrize("kind", ["tfidf", "nb_ngrams"])
def test_a_teachers_chances_of_several_labels(kind):
    labels, truth = ["good", "never", "short"], np.stack([TARGETS == 1, TARGETS == 2, TARGETS == 0], 1)
    hard = fit_linear(kind, TEXTS, truth, labels, strength=10.0)
    sure = fit_linear(kind, TEXTS, truth.astype(float), labels, strength=10.0, several=True)
    assert np.abs(sure.probabilities(TEXTS) - hard.probabilities(TEXTS)).max() < 0.02 and sure.several
    unsure = fit_linear(kind, TEXTS, np.where(truth, 0.8, 0.1) * [1, 0, 1], labels, several=True)
    assert np.abs(unsure.probabilities(TEXTS) - np.where(truth, 0.8, 0.1) * [1, 0, 1]).max() < 0.06


def test_a_teacher_that_knows_one_label_teaches_nothing():
    with pytest.raises(EvaluateError, match="P-EVAL-051.*good"):
        fit_linear("tfidf", TEXTS, np.tile([0.001, 0.999], (40, 1)), ["bad", "good"], several=False)
    likely = fit_linear("majority", TEXTS, np.tile([0.25, 0.75], (40, 1)), ["bad", "good"], several=False)
    assert np.allclose(likely.probabilities(["x"]), [[10.5 / 41, 30.5 / 41]])


def test_a_label_without_training_text_is_unlikely():
    for kind in ("tfidf", "nb_ngrams", "majority"):
        model = fit_linear(kind, TEXTS, TARGETS, ["bad", "good", "never"])
        assert model.probabilities(TEXTS)[:, 2].max() < 0.05


def test_options_have_an_effect():
    weak = fit_linear("tfidf", TEXTS, TARGETS, ["bad", "good"], strength=1000.0)
    strong = fit_linear("tfidf", TEXTS, TARGETS, ["bad", "good"], strength=0.01)
    assert weak.probabilities(["great"])[0, 1] > strong.probabilities(["great"])[0, 1]
    chosen = fit_linear("tfidf", TEXTS, TARGETS, ["bad", "good"], valid=(GOOD, np.ones(4, int)))
    assert chosen.facts["chosen_on"] == "valid" and weak.facts["chosen_on"] == "nothing"
    first = fit_linear("tfidf", TEXTS, TARGETS, ["bad", "good"], seed=1)
    other = fit_linear("tfidf", TEXTS, TARGETS, ["bad", "good"], seed=2)
    assert first.facts["loss_by_strength"] != other.facts["loss_by_strength"]
    few, _ = View.fit(TEXTS, "words", 1, 1, least=1, most=3)
    assert len(few.keys) == 3


def test_mistakes_are_told(tmp_path, monkeypatch):
    with pytest.raises(EvaluateError, match="P-EVAL-001"):
        fit_linear("tfidf", [], np.zeros(0, int), ["a"])
    with pytest.raises(EvaluateError, match="P-EVAL-002"):
        fit_linear("tfidf", ["x", "y"], np.zeros(2, int), ["a", "b"])
    with pytest.raises(OptionError, match="P-OPTION-004"):
        fit_linear("tfdif", ["x", "y"], np.arange(2), ["a", "b"])
    with pytest.raises(EvaluateError, match="P-EVAL-005") as error:
        targets_of(
            [{"text": "x", "label": "refnud"}, {"text": "x", "label": "?"}, {"text": "y"}], ["refund", "b"], False
        )
    assert error.value.nearest == "refund" and len(error.value.others) == 2
    with pytest.raises(EvaluateError, match="P-EVAL-004"):
        targets_of([{"label": "a"}], ["a"], False)
    fit_linear("tfidf", TEXTS, TARGETS, ["bad", "good"]).save(tmp_path / "m")
    weights = tmp_path / "m" / "linear.safetensors"
    weights.write_bytes(weights.read_bytes()[:50])
    with pytest.raises(EvaluateError, match="P-EVAL-003"):
        LinearModel.load(tmp_path / "m")
    monkeypatch.setitem(__import__("sys").modules, "sklearn.linear_model", None)
    with pytest.raises(MachineError, match="P-SYSTEM-001"):
        fit_linear("tfidf", TEXTS, TARGETS, ["bad", "good"])


@pytest.mark.parametrize("one", ["a fine film", {"text": "a fine film"}, b"a fine film"])
def test_one_text_is_no_list_of_texts(one):
    with pytest.raises(DataError, match="P-DATA-032"):
        fit_linear("tfidf", TEXTS, TARGETS, ["bad", "good"]).answer(one)


def test_an_unsure_teacher_of_many_labels_stays_unsure():
    chances = np.random.default_rng(0).dirichlet(np.ones(150) * 500, 3)
    assert np.allclose(worth(chances, False), chances)
    sure = np.full((1, 150), 0.001 / 149)
    sure[0, 7] = 0.999
    assert np.count_nonzero(worth(sure, False)) == 1
    with pytest.raises(TypeError, match="several"):
        fit_linear("tfidf", TEXTS[:3], chances, list(map(str, range(150))))
