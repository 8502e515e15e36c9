"""What is seen in somebody's data, in any form that the readers know."""

import pytest
from advised import facts

from penjing.base.errors import PenjingError
from penjing.base.records import write_records
from penjing.recipe.advice_facts import Facts, Machine, learning_curve
from penjing.recipe.draft import answers, describe, recipe_text
from penjing.recipe.looking import look_at
from penjing.recipe.stages import BUILT_IN

TALK = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."}]
FORMS = {  # task: records of a form that it has
    "classify": {"text": "a good film", "label": "good"},
    "tag": {"tokens": ["Ann", "lives"], "tags": ["B-PER", "O"]},
    "span": {"question": "Who?", "context": "Ann.", "answers": []},
    "embed": {"sentence1": "a cat", "sentence2": "a dog", "score": 3.0},
    "seq2seq": {"document": "a long text", "summary": "short"},
    "chat": {"messages": TALK},
    "causal": {"text": "nothing but text"},
}


def made(folder, record, count=12, name="all.jsonl", **vary):
    """A file of records that differ in one field."""
    rows = [record | {key: change(n) for key, change in vary.items()} for n in range(count)]
    write_records(folder / name, rows)
    return folder / name


@pytest.mark.parametrize("task", FORMS)
def test_the_fields_say_the_task(tmp_path, task):
    vary = {"label": lambda n: "ab"[n % 2]} if task == "classify" else {}
    seen = look_at(made(tmp_path, FORMS[task], **vary))
    assert seen.task == task and seen.records == 12 and len(seen.lengths) == 12 and seen.lengths[0] >= 4
    assert all(any("\u4e00" <= c <= "\u9fff" for c in one.zh) for one in describe(seen))


def test_more_forms_of_the_same_tasks(tmp_path):
    (tmp_path / "a.conll").write_text("Ann B-PER\nlives O\n\nBern B-LOC\n")
    assert look_at(tmp_path / "a.conll").labels == {"PER": 1, "LOC": 1}
    entities = {"text": "Ann lives", "entities": [{"start": 0, "end": 3, "label": "PER"}]}
    assert look_at(made(tmp_path, entities)).labels == {"PER": 12}
    assert look_at(made(tmp_path, {"instruction": "Say.", "output": "Yes."})).answers == (1, 12)
    assert look_at(made(tmp_path, {"translation": {"en": "a word", "de": "ein Wort"}})).lengths[0] == len("a word")
    seen = look_at(made(tmp_path, {"premise": "it rains", "hypothesis": "it is wet"}, label=lambda n: "yn"[n % 2]))
    assert (seen.task, seen.text, seen.second, seen.label) == ("classify", "premise", "hypothesis", "label")
    assert seen.lengths[0] == len("it rains\nit is wet")
    several = look_at(made(tmp_path, {"text": "some text"}, labels=lambda n: ["a", "b"][: n % 3]))
    assert several.several and several.labels == {"a": 8, "b": 4}


def test_numbers_and_labels_are_told_apart(tmp_path):
    rated = {"text": "a good film"}
    assert look_at(made(tmp_path, rated, score=lambda n: n + 0.5)).task == "regress"
    assert look_at(made(tmp_path, rated, label=lambda n: f"{n / 2}")).label == "label"
    whole = made(tmp_path, rated, label=lambda n: n % 2)
    assert look_at(whole).task == "classify" and look_at(whole, "regress").labels == {}
    pair = look_at(made(tmp_path, {"premise": "it rains", "hypothesis": "it is wet"}, score=lambda n: n / 3))
    assert (pair.task, pair.second) == ("regress", "hypothesis")
    assert code_of(made(tmp_path, rated, count=12, label=lambda n: "ab"[n % 2]), "regress")[0] == "P-ADVISE-001"


def test_two_parallel_files(tmp_path):
    for split, count in (("train", 5), ("test", 2)):
        for name, word in (("en", "word"), ("de", "Wort")):
            (tmp_path / f"{split}.{name}").write_text("".join(f"{word} {n}\n" for n in range(count)))
    seen = look_at(tmp_path)
    assert seen.task == "seq2seq" and seen.records == 5 and seen.counts == {"test": 2} and seen.leaks == 2


def test_splits_duplicates_conflicts_and_leaks(tmp_path):
    texts = ["one text", "One  text", "one text", "another text", "a third text"]
    write_records(
        tmp_path / "train.jsonl", [{"text": t, "label": label} for t, label in zip(texts, "aabab", strict=True)]
    )
    write_records(tmp_path / "dev.jsonl", [{"text": "a third text", "label": "b"}] * 3)
    (tmp_path / "README.md").write_text("no data")
    seen = look_at(tmp_path)
    assert seen.files == {"train": "train.jsonl", "valid": "dev.jsonl"} and seen.counts == {"valid": 3}
    assert (seen.duplicates, seen.conflicts, seen.leaks) == (2, 1, 1)
    assert seen.rarest == ("b", 2) and seen.skew == 1.5


def test_text_without_labels_beside_the_splits(tmp_path):
    made(tmp_path, {"review": "a good film"}, name="train.jsonl", label=lambda n: "ab"[n % 2])
    alone = look_at(tmp_path)
    (tmp_path / "unsup.txt").write_text("\n\n".join(f"Text without a label, number {n}." for n in range(40)))
    seen = look_at(tmp_path)
    assert seen.files["raw"] == "unsup.txt" and seen.counts == {} and seen.characters > 5 * alone.characters
    found = Facts(seen, Machine(2, 8.0))
    assert "raw: unsup.txt" in recipe_text(found, answers(found), "toy", BUILT_IN)


def test_lengths_are_counted_in_tokens_of_the_language():
    english = facts(lengths=(40,) * 9 + (4000,)).data
    assert english.tokens(0.5) == 12 and english.longer(128) == 0.1 and english.longer(2000) == 0
    assert 0.4 < english.lost(512) < english.lost(128) < 1
    assert facts(lengths=(40,), languages={"zh": 3}).data.tokens(0.5) > 2 * english.tokens(0.5)


def code_of(*words, **named):
    with pytest.raises(PenjingError) as error:
        look_at(*words, **named)
    return error.value.code, error.value.text("en")


def test_bad_data_is_one_message(tmp_path):
    assert code_of(tmp_path / "absent")[0] == "P-FILE-001"
    (tmp_path / "empty.jsonl").write_text("")
    assert code_of(tmp_path / "empty.jsonl")[0] == "P-DATA-001"
    assert code_of(made(tmp_path, {"price": 2.5}))[0] == "P-RECIPE-021"
    assert code_of(made(tmp_path, {"text": None, "summary": None}))[0] == "P-ADVISE-002"
    code, text = code_of(made(tmp_path, FORMS["causal"]), "clasify")
    assert code == "P-OPTION-004" and "classify" in text
    code, text = code_of(made(tmp_path, FORMS["causal"]), "span")
    assert code == "P-ADVISE-001" and "context + question" in text
    assert code_of(made(tmp_path, FORMS["causal"]), "classify")[0] == "P-ADVISE-001"


def test_the_user_may_want_another_task(tmp_path):
    file = made(tmp_path, FORMS["classify"], label=lambda n: "ab"[n % 2])
    assert look_at(file, "masked").task == "masked" and look_at(file, "masked").label is None
    both = made(tmp_path, {"text": "a text", "summary": "it"}, label=lambda n: "ab"[n % 2])
    assert look_at(both).task == "seq2seq" and look_at(both, "classify").task == "classify"


def test_a_learning_curve_rises_with_records(tmp_path):
    words = [f"w{n}" for n in range(200)]
    rows = [{"text": f"it is {words[n % 200]} here {n}", "label": str(n % 200 // 50)} for n in range(800)]
    rows.sort(key=lambda row: row["label"])  # as many files are
    write_records(tmp_path / "all.jsonl", rows)
    curve = learning_curve(look_at(tmp_path / "all.jsonl"))
    assert curve.records == (160, 320, 640) and curve.scores[0] < curve.scores[-1] and curve.score == "accuracy"
    assert learning_curve(look_at(tmp_path / "all.jsonl", "causal")) is None
    write_records(tmp_path / "several.jsonl", [{"text": one["text"], "labels": [one["label"], "z"]} for one in rows])
    several = learning_curve(look_at(tmp_path / "several.jsonl"))
    assert several.score == "F1" and 0 < several.scores[0] <= 1
    assert Facts(look_at(tmp_path / "all.jsonl"), Machine(2, 8.0), curve=curve).each == 200


def test_answers_that_are_compared(tmp_path):
    rows = [{"prompt": f"what is the number {n}", "chosen": f"the number is {n}", "rejected": "No." if n % 3 else "a"} for n in
            range(30)]  # fmt: skip
    write_records(
        tmp_path / "train.jsonl", [*rows, rows[0] | {"rejected": rows[0]["chosen"]}, rows[1] | {"chosen": ""}]
    )
    seen = look_at(tmp_path)
    assert seen.task == "preference" and seen.sides == {"pairs": 30, "longer": 30, "useless": 2} and seen.gaps == 2
    assert look_at(tmp_path, "reward").task == "reward" and look_at(tmp_path, "causal").task == "causal"
    assert len(seen.lengths) == 30 and seen.lengths[0] == len("what is the number 0\nthe number is 0")
    judged = [{"prompt": "Hi", "completion": f"Hello {n}", "label": n % 4 == 0} for n in range(20)]
    seen = look_at(made(tmp_path, {}, 20, **{key: lambda n, key=key: judged[n][key] for key in judged[0]}))
    assert seen.task == "preference" and seen.sides == {"good": 5, "bad": 15} and seen.labels == seen.sides
    assert code_of(made(tmp_path, judged[0]))[0] == "P-ADVISE-046"
    assert code_of(made(tmp_path, judged[0], label=lambda n: n % 2), "reward")[0] == "P-ADVISE-001"
    assert look_at(made(tmp_path, judged[0], label=lambda n: "abc"[n % 3])).task == "chat", "no judgement"


def test_answers_that_can_be_checked(tmp_path):
    sums = {"prompt": lambda n: f"What is {n} + 2?", "answer": lambda n: n + 2}
    seen = look_at(made(tmp_path, {}, **sums))
    assert (seen.task, seen.verifier, seen.answers, seen.answered) == ("reinforce", "arithmetic", (12, 12), 2)
    wrong = look_at(made(tmp_path, {}, **sums | {"answer": lambda n: ["Bern", n]}))
    assert (wrong.verifier, wrong.answered) == ("exact", 4)
    long = made(tmp_path, {"prompt": "Tell me", "answer": "a long story " * 4})
    assert look_at(long).task == "chat" and code_of(long, "reinforce")[0] == "P-ADVISE-045"
    assert code_of(made(tmp_path, FORMS["causal"]), "reinforce")[0] == "P-ADVISE-001"
    assert look_at(made(tmp_path, {"answer": "x"}, prompt=lambda n: "why" if n else None)).task == "chat"


@pytest.mark.parametrize("odd", ["nan", "inf"])
def test_what_is_no_finite_number_is_no_number(odd, tmp_path):
    rows = "".join(f"some text {n},{odd if n % 2 else 1.5}\n" for n in range(30))
    (tmp_path / "all.csv").write_text("text,label\n" + rows)
    assert look_at(tmp_path / "all.csv").task == "classify"
