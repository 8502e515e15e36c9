"""Several members of one finetune step: seeds, folds, soups; stopped and gone on; cross-validated scores."""

import json

import numpy as np
import pytest
import tagged
import toys_vectors
from toys import PAIRS, RECORDS, tokenizer, write_jsonl

from penjing.base.errors import PenjingError
from penjing.base.progress import listen
from penjing.recipe.call import call_stage
from penjing.recipe.check import check_step
from penjing.recipe.folder import part_of
from penjing.recipe.members import parted
from penjing.recipe.models import load_answerer
from penjing.recipe.stage import Stage
from penjing.recipe.stages import BUILT_IN
from penjing.tasks import kind_of_task
from penjing.tasks.committee import Committee
from penjing.tasks.model import Model
from penjing.text.folds import clusters_of

TINY = {"steps": 6, "batch_tokens": 256, "layers": 1, "width": 16, "max_tokens": 64, "validate_times": 1, "threads": 1,
        "measure_seconds": 0, "dtype": "float32", "baselines": False}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Records of which two in three are near duplicates of another, tagged ones, and a tokenizer."""
    folder = tmp_path_factory.mktemp("members")
    texts = [f"{one['text']} {number} the parcel of number {number}" for number, one in enumerate(RECORDS[:20])]
    alike = [{"text": text + more, "label": RECORDS[row]["label"]} for more in ("", "!", " ...") for row, text in
             enumerate(texts)]  # fmt: skip
    write_jsonl(folder / "alike" / "train.jsonl", alike)
    for name, records in (("classes", RECORDS), ("tags", tagged.RECORDS), ("vectors", toys_vectors.scored())):
        write_jsonl(folder / name / "train.jsonl", records[:36])
        write_jsonl(folder / name / "valid.jsonl", records[36:])
    write_jsonl(folder / "translations" / "train.jsonl", PAIRS)
    tokenizer().save(folder / "tokenizer")
    return folder


def finetune(place, out, **options):
    given = TINY | {"data": place / "classes", "tokenizer": place / "tokenizer"} | options
    return call_stage(Stage.of("finetune", BUILT_IN["finetune"]), out, given, place)["result"]


def read(path):
    return json.loads(path.read_text("utf-8"))


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_seeds_make_members_that_answer_as_one(place, tmp_path):
    found = finetune(place, tmp_path / "three", members=3)
    made = load_answerer(tmp_path / "three")
    assert isinstance(made, Committee) and len(made.models) == 3 and found["members"] == 3 and found["steps"] == 18
    alone = finetune(place, tmp_path / "alone")
    first = Model.load(tmp_path / "alone" / "model")
    assert (made.models[0].probabilities(RECORDS) == first.probabilities(RECORDS)).all()  # the usual seed
    assert (made.models[1].probabilities(RECORDS) != first.probabilities(RECORDS)).any()
    assert found["parameters"] == 3 * alone["parameters"]
    about = read(tmp_path / "three" / "members.json")
    assert about["valid"] == found["valid"] and len(about["members"]) == 3
    assert sorted(path.name for path in (tmp_path / "three" / "members").iterdir()) == ["1", "2", "3"]
    assert not list((tmp_path / "three" / "members").glob("*/model"))  # they stand in model/members
    assert read(tmp_path / "three" / "outcome.json")["steps"] == 18
    assert made.lineage["finetune"] == {"records": 36, "members": 3}


def test_folds_hold_out_whole_clusters_and_score_them(place, tmp_path):
    found = finetune(place, tmp_path / "folds", data=place / "alike", members=4, folds=True, baselines=True)
    about, held = read(tmp_path / "folds" / "folds.json"), lines(tmp_path / "folds" / "out_of_fold.jsonl")
    clusters = clusters_of([line["record"]["text"] for line in held])
    assert len(np.unique(clusters)) == 20 and len(held) == 60
    for number in np.unique(clusters):
        assert len({held[row]["fold"] for row in np.flatnonzero(clusters == number)}) == 1
    assert [part["records"] for part in about["by_fold"]] == [15] * 4 and about["records"] == 60
    right = np.mean([line["record"]["label"] == line["answer"]["label"] for line in held])
    score = about["scores"]["accuracy"]
    assert score["value"] == pytest.approx(right) == found["cross_validated"]["accuracy"]["value"]
    assert score["low"] <= score["value"] <= score["high"] and score["low"] < score["high"]
    made = load_answerer(tmp_path / "folds")
    for line in held[::7]:  # each is answered by the member that has not learnt from it
        assert made.models[line["fold"] - 1].answer([line["record"]])[0]["label"] == line["answer"]["label"]
    plans = [read(tmp_path / "folds" / "members" / str(number) / "plan.json") for number in range(1, 5)]
    assert [plan["made_from"]["pieces"] for plan in plans] == [45] * 4
    assert set(found["baselines"]) == {"majority", "tfidf", "nb_ngrams"}
    call_stage(
        Stage.of("report", BUILT_IN["report"]),
        tmp_path / "told",
        {"model": tmp_path / "folds", "language": "en"},
        place,
    )
    page = (tmp_path / "told" / "report.txt").read_text("utf-8")
    for words in ("4 models whose answers are averaged", "4 folds; intervals: 95 %", "taught on about 75 %",
                  f"{score['value']:.3f} ("):  # fmt: skip
        assert words in page, words


def test_a_paraphrase_stands_in_the_fold_of_its_text():
    """Else the member that is asked for a text has learnt from its paraphrase."""
    texts = [f"{one['text']} {number} parcels" for number, one in enumerate(RECORDS[:24])]
    made = [{"text": f"{n} what {n * 77} else {n * 99} it says {n**3}", "label": "good", "origin": text} for n, text in
            enumerate(texts)]  # fmt: skip
    train = [{"text": text, "label": "bad"} for text in texts] + made
    task = kind_of_task("classify").made(train)
    fold = parted(task, train, {"members": 4, "seed": 0})
    assert fold[:24].tolist() == fold[24:].tolist() and len(set(fold.tolist())) == 4


def test_taggers_are_cross_validated_too(place, tmp_path):
    found = finetune(place, tmp_path / "tags", data=place / "tags", task={"tag": {"crf": True}}, members=2, folds=True)
    assert 0 <= found["cross_validated"]["f1"]["value"] <= 1
    assert "disagreement" in load_answerer(tmp_path / "tags").answer(tagged.RECORDS[:1])[0]
    by_fold = read(tmp_path / "tags" / "folds.json")["by_fold"]
    assert {"fold", "records", "f1"} <= set(by_fold[0]) and not any("." in name for name in by_fold[0])


@pytest.mark.parametrize("way", ["soup", "greedy_soup"])
def test_members_of_a_soup_begin_alike(way, place, tmp_path):
    found = finetune(place, tmp_path / way, members=2, way=way, learning_rate=1e-6)
    made = load_answerer(tmp_path / way)
    assert isinstance(made, Model) and made.lineage["ensemble"]["way"] == way
    each = [Model.load(tmp_path / way / "members" / name / "model") for name in "12"]
    plans = [read(tmp_path / way / "members" / name / "plan.json")["made_from"] for name in "12"]
    assert plans[0]["model"] == plans[1]["model"] and plans[0]["seed"] != plans[1]["seed"]
    weights = [model.network.embedding.weight.detach() for model in (*each, made)]
    assert float((weights[0] - weights[1]).abs().max()) < 1e-4 and float((weights[2] - weights[0]).abs().max()) < 1e-4
    assert found["parameters"] == sum(p.numel() for p in made.parameters())


def test_a_soup_of_changed_networks_is_the_mean_of_what_they_do(place, tmp_path):
    """The changes are folded first: the result is an ordinary network."""
    finetune(place, tmp_path / "soup", members=2, way="soup", change={"lora": {"rank": 2}}, learning_rate=0.05)
    each = [Model.load(tmp_path / "soup" / "members" / name / "model") for name in "12"]
    assert all(model.changes for model in each)
    for model in each:
        model.changes.fuse()
    made, theirs = load_answerer(tmp_path / "soup"), [model.state_dict() for model in each]
    assert not made.changes and (theirs[0].keys() == made.state_dict().keys())
    for name, tensor in made.state_dict().items():
        assert np.allclose(tensor, (theirs[0][name] + theirs[1][name]) / 2, atol=1e-6), name
    assert any((theirs[0][name] != theirs[1][name]).any() for name in theirs[0] if "attention" in name)


class StopError(Exception):
    """As sudden as a kill."""


def test_what_is_whole_is_not_made_again(place, tmp_path, monkeypatch):
    from penjing.recipe import learning

    whole = finetune(place, tmp_path / "whole", members=3, folds=True)
    plain, taught = learning.taught, []

    def stopping(options, out, *given, **more):
        taught.append(out.name)
        if out.name == "3" and len(taught) == 3:
            raise StopError
        return plain(options, out, *given, **more)

    monkeypatch.setattr(learning, "taught", stopping)
    with pytest.raises(StopError):
        finetune(place, tmp_path / "cut", members=3, folds=True)
    (part,) = [path for path in tmp_path.iterdir() if path.name.endswith(".part")]
    assert sorted(path.parent.name for path in part.glob("members/*/model")) == ["1", "2"]
    events = []
    with listen(events.append):
        again = finetune(place, tmp_path / "cut", members=3, folds=True)
    assert taught == ["1", "2", "3", "3"] and "member 2 is there" in [event.text for event in events]
    passing = ("seconds", "tokens_per_second")
    assert {k: v for k, v in again.items() if k not in passing} == {k: v for k, v in whole.items() if k not in passing}
    one, other = (load_answerer(tmp_path / name).probabilities(RECORDS) for name in ("whole", "cut"))
    assert (one == other).all() and not (tmp_path / "cut" / "resume.json").exists()


def codes(place, **options):
    given = {k: v for k, v in (TINY | {"data": "classes", "tokenizer": "tokenizer"} | options).items() if v is not None}
    with pytest.raises(PenjingError) as caught:
        check_step("finetune", BUILT_IN["finetune"], given, place)
    return [one.code for one in (caught.value, *caught.value.others)]


def test_what_cannot_be_is_told_before_anything_runs(place, tmp_path):
    assert codes(place, folds=True) == ["P-TRAIN-007"] and codes(place, way="soup", folds=True) == ["P-TRAIN-007"] * 2
    assert codes(place, data="translations", task="seq2seq", family="t5", members=2) == ["P-EVAL-044"]
    assert codes(place, data="vectors", task="embed", members=2, way="soup", folds=True) == ["P-TRAIN-021"]
    assert codes(place, data="alike", members=2, way="greedy_soup") == ["P-EVAL-046"]
    with pytest.raises(PenjingError, match="P-TRAIN-020"):
        finetune(place, tmp_path / "many", data=place / "alike", members=21, folds=True)
    assert not part_of(tmp_path / "many", "").exists()


def test_what_a_record_asks():
    kinds = {name: kind_of_task(name) for name in ("classify", "tag", "span", "chat", "seq2seq")}
    asked = {
        "classify": ({"text": "one", "text_b": "two", "label": "x"}, "one\ntwo"), "tag": ({"tokens": ["a", "b"]}, "a b"),
        "span": ({"question": "who", "context": "Ann saw"}, "Ann saw"), "seq2seq": ({"source": "one", "target": "x"}, "one"),
        "chat": ({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"},
                               {"role": "user", "content": "who"}]}, "hi\nwho"),
    }  # fmt: skip
    for name, (record, text) in asked.items():
        assert kinds[name].subject(kinds[name], record) == text, name
