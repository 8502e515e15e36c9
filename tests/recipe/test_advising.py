"""`penjing.advise`: from data, machine and wish to answers, and to a recipe that runs as it is."""

import json

import pytest
from advised import EVERY

import penjing
from penjing.base.errors import PenjingError
from penjing.base.records import write_records
from penjing.model.size import fresh_config
from penjing.recipe.advice_facts import changes_here, measured_machine
from penjing.recipe.draft import draft
from penjing.recipe.runner import plan, run_recipe
from penjing.tasks import task_named
from penjing.tasks.model import Model
from penjing.text.tokenizer_training import train_tokenizer

QUICK = ("measure_seconds=0", "threads=1", "dtype=float32", "steps=2", "width=32")
WORDS = ["parcel", "refund", "card", "late", "lost", "paid", "Bern", "Ann", "house", "train"]
TOYS = {  # task: a record, and what varies in record n
    "classify": lambda n: {"text": f"where is my {WORDS[n % 10]} {n}", "label": "ab"[n % 2]},
    "tag": lambda n: {"tokens": ["Ann", "saw", WORDS[n % 10], str(n)], "tags": ["B-PER", "O", "O", "O"]},
    "chat": lambda n: {"question": f"Where is {WORDS[n % 10]} {n}?", "answer": f"It is in {WORDS[n % 7]}."},
    "causal": lambda n: {"text": f"The {WORDS[n % 10]} went to {WORDS[n % 7]} and was {n} days late. " * 3},
}


def toy(folder, task, count=60):
    folder.mkdir(parents=True, exist_ok=True)
    write_records(folder / "all.jsonl", [TOYS[task](n) for n in range(count)])
    return folder / "all.jsonl"


@pytest.mark.parametrize("task", ["classify", "tag", "causal"])
def test_the_recipe_runs_as_it_is(tmp_path, task):
    found = penjing.advise(toy(tmp_path, task), measure=False)
    path = found.write(tmp_path / "mine")
    run = plan(path, tmp_path / "run")
    steps = [one.name for one in run.steps]
    sets = [f"{step}.{option}" for step in ("pretrain", "finetune") if step in steps for option in QUICK]
    sets = [one for one in sets if one != "finetune.width=32"]
    sets += [
        f"{step}.{long}=null" for step in ("pretrain", "finetune") if step in steps for long in ("epochs", "minutes")
    ]
    heads = ["pretrain.heads=2"] if task == "causal" else []
    made = run_recipe(path, tmp_path / "run", sets=[*sets, *heads])
    assert list(made.manifests) == steps and steps[-1] == ("pretrain" if task == "causal" else "report")


ANSWERED = {  # a record of answers that are compared, judged or checked, and the steps that learn from it
    "pairs": (lambda n: {"prompt": f"Where {n}?", "chosen": f"Here {n}.", "rejected": "No."}, "orpo", ["finetune"]),
    "judged": (lambda n: {"prompt": f"Where {n}?", "completion": f"Here {n}.", "label": n % 3 == 0}, "kto", ["finetune"]),
    "checked": (lambda n: {"prompt": f"{n} + 1 =", "answer": f"{n + 1}"}, "arithmetic", ["finetune", "reinforce"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ANSWERED)
def test_a_recipe_for_answers(tmp_path, kind):
    record, word, taught = ANSWERED[kind]
    write_records(tmp_path / "mine" / "train.jsonl", [record(n) for n in range(40)])
    path = penjing.advise(tmp_path / "mine", measure=False).write(tmp_path / "recipe")
    steps = [one.name for one in plan(path, tmp_path / "run").steps]
    assert [one for one in steps if one in ("finetune", "reinforce")] == taught and word in path.read_text()
    if kind == "checked":
        with pytest.raises(PenjingError, match="P-ADVISE-003"):  # prompts are read as they lie
            penjing.advise(tmp_path / "mine" / "train.jsonl", measure=False).write(tmp_path / "other")


def test_init_drafts_what_advice_would_without_a_wish(tmp_path):
    file = toy(tmp_path, "chat")
    one, _ = draft(file, tmp_path / "init" / "same")
    two = penjing.advise(file, measure=False).write(tmp_path / "advise" / "same")
    assert one.read_text() == two.read_text()
    with pytest.raises(PenjingError, match="P-RECIPE-013"):
        penjing.advise(file, measure=False).write(tmp_path / "advise" / "same")


def test_minutes_rule_the_recipe(tmp_path):
    file = toy(tmp_path, "classify")
    text = penjing.advise(file, measure=False, minutes=10).write(tmp_path / "mine").read_text()
    assert "minutes: 6.0" in text and "minutes: 3.0" in text and "epochs" not in text
    for wrong in ({"minutes": -1}, {"minuts": 3}):
        with pytest.raises(PenjingError, match="P-OPTION-00"):
            penjing.advise(file, **wrong)


def test_a_checkpoint_at_hand(tmp_path):
    file = toy(tmp_path, "classify")
    texts = [TOYS["classify"](n)["text"] for n in range(60)]
    tokenizer = train_tokenizer(texts, kind="wordpiece", size=300)
    sizes = {"width": 32, "layers": 1, "heads": 2, "max_tokens": 64}
    config = fresh_config("bert", vocab_size=tokenizer.size, purpose="masked", **sizes)
    Model.new(config, "bert", task_named("masked"), tokenizer, 0).save(tmp_path / "known")
    found = penjing.advise(file, measure=False, model=tmp_path / "known")
    given = found.facts.given
    assert (
        given.able and given.family == "bert" and given.unknown == 0 and given.window == 64 and 1 < given.per_token < 9
    )
    assert given.working <= given.parameters - tokenizer.size * 32
    text = found.write(tmp_path / "mine").read_text()
    assert "tokenizer" not in text and "pretrain" not in text and f"model: {(tmp_path / 'known').as_posix()}" in text
    assert not plan(tmp_path / "mine", tmp_path / "run").out.exists()
    chinese = tmp_path / "zh.jsonl"
    write_records(chinese, [{"text": f"包裹在哪里{n}", "label": "ab"[n % 2]} for n in range(60)])
    alien = penjing.advise(chinese, measure=False, model=tmp_path / "known")
    assert (
        alien.answers["pretrained"].rule == "foreign_words" and "tokenizer" in alien.write(tmp_path / "zh").read_text()
    )
    with pytest.raises(PenjingError, match="P-RECIPE-020|P-FILE-001"):
        penjing.advise(file, measure=False, model=tmp_path)


def test_tasks_that_read_a_folder_say_so(tmp_path):
    write_records(tmp_path / "all.jsonl", [EVERY] * 3)
    found = penjing.advise(tmp_path / "all.jsonl", measure=False, task="span")
    assert found.answers["splits"].rule == "split_by_hand"
    with pytest.raises(PenjingError, match="P-ADVISE-003"):
        found.write(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_the_machine_is_measured_in_a_second(tmp_path):
    machine = measured_machine(0.05)
    assert machine.cores >= 1 and machine.memory > 0.5 and machine.rate > 0
    assert measured_machine(0).rate == 0
    assert {"lora", "freeze"} <= set(changes_here())


def test_all_of_it_is_json(tmp_path):
    found = penjing.advise(toy(tmp_path, "classify"), minutes=5)
    told = json.loads(json.dumps(found.as_dict()))
    assert told["facts"]["curve"]["records"] == [12, 24, 48] and told["facts"]["data"]["labels"] == {"a": 30, "b": 30}
    assert {one["topic"] for one in told["advice"]} == set(found.answers)
    assert all(one["because"] and one["evidence"] and one["text"] for one in told["advice"])
