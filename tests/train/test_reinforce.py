"""Reinforcement: rewards rise, the reference stays, everything is logged, a stopped run ends in the same bits."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import same_weights, toy_model, write_jsonl

import penjing
from penjing.base.errors import PenjingError
from penjing.base.progress import listen
from penjing.base.readers.source import Record
from penjing.changes import changes_of
from penjing.generate.loop import complete
from penjing.recipe.check import check_recipe
from penjing.recipe.reading import read_recipe
from penjing.recipe.stages import BUILT_IN
from penjing.tasks.model import Model
from penjing.train.methods import method_of
from penjing.train.methods.method import Taken, estimate
from penjing.train.reinforce import ReinforceOptions, Run, learn, reinforce
from penjing.train.rewards import rewards_of
from penjing.train.rollouts import Asker, Group, Reference, Rollout, answer_batch, logs_of, taken_logs

TEXTS = (
    "the tree",
    "the box was",
    "parcel",
    "today the tree was very",
    "late",
    "the box and the parcel",
    "very",
    "came",
)
RECORDS = [Record({"prompt": text, "answer": "good"}, "some.jsonl", n) for n, text in enumerate(TEXTS, 1)]
OPTIONS = ReinforceOptions(
    steps=4, prompts=4, group=4, max_new_tokens=3, learning_rate=1e-2, validate_times=2, save_seconds=0
)
VOWEL = {"regex": {"pattern": "[aeiou]"}}
TIMES = ("seconds", "tokens_per_second")


class CutError(Exception):
    """As sudden as a kill."""


def run(
    folder, *, model=None, reward=VOWEL, method="grpo", change=None, valid=RECORDS[:3], cut=None, watch=None, **options
):
    folder.mkdir(exist_ok=True, parents=True)
    model = (model or toy_model("causal", "llama")).adapt(changes_of(change), 1)

    def look(event):
        if watch is not None:
            watch(event)
        if event.kind == "step" and event.done == cut:
            raise CutError

    with listen(look):
        outcome = reinforce(
            model, method_of(method), rewards_of(reward), RECORDS, valid, replace(OPTIONS, **options), folder
        )
    return model, outcome


def lines(file):
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def fails_at(seed, step, place):
    """The line of the record that is asked in this place of a step: two steps are an epoch."""
    order = np.random.Generator(np.random.PCG64([seed, step // 2])).permutation(len(RECORDS))
    return RECORDS[order[4 * (step % 2) + place]].line


def steps_of(folder):
    return [{k: v for k, v in line.items() if k not in TIMES} for line in lines(folder / "log.jsonl")]


@pytest.mark.parametrize(
    "method", ["grpo", {"grpo": {"kl": 0, "updates": 2, "deviation": False, "lengths": False}}, "rloo"]
)
@pytest.mark.parametrize(("family", "pattern"), [("llama", "[aeiou]"), ("lstm", "tree|late|box|very")])
def test_rewards_rise(tmp_path, method, family, pattern):
    _, outcome = run(tmp_path, model=toy_model("causal", family), reward={"regex": {"pattern": pattern}}, method=method,
                     steps=25, group=8, validate_times=1)  # fmt: skip
    log = [line for line in lines(tmp_path / "log.jsonl") if "loss" in line]
    first, last = (np.mean([line["reward"] for line in part]) for part in (log[:3], log[-3:]))
    assert last > first + 0.15 and last > 0.85
    assert outcome["best_score"] >= 0.8 and outcome["steps"] == 25


def test_log_probabilities_are_those_of_the_answers():
    model = toy_model("causal", "llama").eval()
    asker = Asker(model, 5)
    prompts = asker.prompts(RECORDS)
    found = asker.answers(prompts, 3, 1.0, 7)
    assert found == asker.answers(prompts, 3, 1.0, 7) != asker.answers(prompts, 3, 1.0, 8)
    assert [one.prompt for one in found] == [prompt for prompt in prompts for _ in range(3)]
    asked = asker.writer.asked({"temperature": 1.0, "max_new_tokens": 5, "returns": 3, "seed": 7})
    made = [one for several in complete(model.network, prompts, asked.options, asked.rules) for one in several]
    for one, logs, answer in zip(found, logs_of(model, found, 1.0, 64), made, strict=True):
        assert one.tokens[: len(answer.tokens)] == answer.tokens
        assert logs.tolist()[: len(answer.tokens)] == pytest.approx(answer.log_probabilities, abs=1e-4)
    with torch.no_grad():
        batch = answer_batch(found, model.tokenizer.pad)
        hot = taken_logs(model, batch, 0.5)
        scores = model.network.logits(model.network(batch)) / 0.5
    one = found[0]
    wanted = [float(scores[0, len(one.prompt) - 1 + n].log_softmax(-1)[token]) for n, token in enumerate(one.tokens)]
    assert hot[: len(one.tokens)].tolist() == pytest.approx(wanted, abs=1e-5)


def test_equal_prompts_have_answers_of_their_own():
    asker = Asker(toy_model("causal", "llama").eval(), 6)
    one, other = asker.prompts(RECORDS[:2])
    found = asker.answers([one, other, one], 3, 1.0, 7)
    assert found[:6] == asker.answers([one, other], 3, 1.0, 7)
    assert [answer.prompt for answer in found[6:]] == [one] * 3 and found[6:] != found[:3]
    likeliest = asker.answers([one, other, one], 1, 0.0, 0)
    assert likeliest[0] == likeliest[2] != likeliest[1]


@pytest.mark.parametrize("method", [{"grpo": {"kl": 0.3, "updates": 2}}, {"grpo": {"kl": 0}}, {"rloo": {"kl": 0.3}}])
def test_equal_answers_are_computed_once_and_count_as_often_as_they_came(method):
    model = toy_model("causal", "llama").eval()
    asked, (a, b, c) = [5, 6], ([7, 8], [9], [7, 8, 9])
    said = [a, b, a, a, a, c, b, c]  # of two prompts
    rollouts = [Rollout(asked if row < 4 else asked[:1], tokens, "", "stop") for row, tokens in enumerate(said)]
    total = np.asarray([[1.0, 0, 1, 0.5], [1, 0, 0, 0]])  # the first prompt's equal answers are worth unlike
    group, method = Group(RECORDS[:2], rollouts, {}, total), method_of(method)
    reference = Reference(model) if method.kl else None
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02
    seen = Seen(model)
    options = replace(OPTIONS, clip=0.0, temperature=1.0)
    values, advantages = learn(Run(Asker(model, 3), method, [], [], [], options, None, {}, seen, reference), group, 0)
    model.zero_grad()
    logs = [taken_logs(model, answer_batch([one], 0), 1.0) for one in rollouts]
    before = [one.detach() for one in logs]
    if reference is not None:
        with reference.within():
            before = [taken_logs(model, answer_batch([one], 0), 1.0).detach() for one in rollouts]
        drift = np.asarray([float((one.detach() - other).sum()) for one, other in zip(logs, before, strict=True)])
        kl = torch.cat([estimate(one, other) for one, other in zip(logs, before, strict=True)])
        assert values["kl"] == pytest.approx(float(kl.mean().detach()), rel=1e-4)
        assert advantages == pytest.approx(method.advantages(total, drift.reshape(2, 4)), abs=1e-5)
    for one, other, advantage in zip(logs, before, advantages.ravel(), strict=True):
        each = torch.full((len(one),), float(advantage))
        taken = Taken(one, one.detach(), other if method.kl else None, each, torch.full_like(each, len(one)))
        (method.losses(taken, 3).sum() / 8).backward()
    wanted = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    assert len(seen.gradients) == method.updates
    assert all(torch.allclose(found, wanted, atol=1e-6) for found in seen.gradients)


class Seen:
    """Optimizers that move nothing and keep the gradients."""

    def __init__(self, model):
        self.model, self.gradients = model, []

    def set_rate(self, factor):
        pass

    def step(self):
        self.gradients.append(torch.cat([parameter.grad.flatten() for parameter in self.model.parameters()]))


@pytest.mark.parametrize("change", [None, {"lora": {"rank": 2}}])
def test_the_reference_is_the_model_as_it_came_in(tmp_path, change):
    start = toy_model("causal", "llama").eval()
    answers = Asker(start, 4).answers(Asker(start, 4).prompts(RECORDS), 2, 1.0, 0)
    truth = logs_of(start, answers, 1.0, 4096)
    model = copy.deepcopy(start).adapt(changes_of(change), 1)
    reference, frozen = Reference(model), [p.clone() for p in model.parameters() if not p.requires_grad]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1
    moved = torch.cat(logs_of(model, answers, 1.0, 4096))
    with reference.within():
        assert torch.allclose(torch.cat(logs_of(model, answers, 1.0, 4096)), torch.cat(truth), atol=1e-5)
    assert torch.equal(torch.cat(logs_of(model, answers, 1.0, 4096)), moved)
    whole = sum(p.numel() for p in start.parameters())
    assert sum(one.numel() for one in reference.start) < whole / 2 if change else not frozen
    run(tmp_path, model=copy.deepcopy(start), change=change, method={"grpo": {"kl": 0.1}})
    kl = [line["kl"] for line in lines(tmp_path / "log.jsonl") if "kl" in line]
    assert kl[0] == pytest.approx(0, abs=1e-6) and kl[-1] > 0


def test_everything_is_logged(tmp_path):
    events = []
    run(tmp_path, reward=[VOWEL, {"exact": {"weight": 0.5}}, VOWEL], watch=events.append)
    rollouts = lines(tmp_path / "rollouts.jsonl")
    assert [line["step"] for line in rollouts] == [step for step in range(1, 5) for _ in range(16)]
    for line in rollouts:
        parts = line["rewards"]
        assert line["reward"] == pytest.approx(parts["regex"] + 0.5 * parts["exact"] + parts["regex_2"])
        assert line["prompt"] in [record["prompt"] for record in RECORDS] and line["ended"] in ("stop", "length")
    for first in range(0, 64, 4):
        group = rollouts[first : first + 4]
        assert len({line["prompt"] for line in group}) == 1
        assert sum(line["advantage"] for line in group) == pytest.approx(0, abs=1e-9)
    steps = [event.values for event in events if event.kind == "step"]
    wanted = {"loss", "reward", "kl", "length", "silent", "ended", "gradient_norm", "reward_regex", "reward_exact"}
    assert len(steps) == 4 and all(wanted <= set(values) for values in steps)
    log = steps_of(tmp_path)
    assert [line["step"] for line in log if "valid_score" in line] == [0, 2, 4]
    assert {"valid_regex", "valid_exact"} <= set(log[0])
    first, second = ({line["prompt"] for line in rollouts[a:b]} for a, b in ((0, 16), (16, 32)))
    assert not first & second  # an epoch has each record once


@pytest.mark.parametrize("cut", [1, 3])
@pytest.mark.parametrize("method", ["grpo", {"grpo": {"kl": 0, "updates": 2}}, "rloo"])
def test_a_cut_run_goes_on_to_the_same_bits(tmp_path, method, cut):
    whole, outcome = run(tmp_path / "whole", method=method)
    with pytest.raises(CutError):
        run(tmp_path / "cut", method=method, cut=cut)
    for name in ("log.jsonl", "rollouts.jsonl", "state-00000009.safetensors.part"):  # what a kill leaves half written
        with open(tmp_path / "cut" / name, "ab") as file:
            file.write(b'{"step": 9, "pro')
    again, other = run(tmp_path / "cut", method=method)
    assert same_weights(whole, again) and other["best_score"] == outcome["best_score"]
    assert steps_of(tmp_path / "whole") == steps_of(tmp_path / "cut")
    texts = [(tmp_path / name / "rollouts.jsonl").read_bytes() for name in ("whole", "cut")]
    assert texts[0] == texts[1]


def test_an_unfinished_run_of_other_options_is_refused(tmp_path):
    with pytest.raises(CutError):
        run(tmp_path, cut=2)
    for other in ({"seed": 5}, {"method": "rloo"}, {"reward": "exact"}):
        with pytest.raises(PenjingError, match="P-TRAIN-004"):
            run(tmp_path, **other)
    (tmp_path / "plan.json").unlink()
    with pytest.raises(PenjingError, match="P-TRAIN-004"):
        run(tmp_path)


def test_the_best_weights_are_kept_those_of_the_start_too(tmp_path):
    start = toy_model("causal", "llama")
    worse = {"regex": {"pattern": "[aeiou]", "weight": 1.0}}
    model, outcome = run(tmp_path / "a", model=copy.deepcopy(start), reward=worse, learning_rate=3.0, steps=2, clip=0.0)
    assert outcome["best_step"] == 0 or outcome["best_score"] > 0
    scores = [line["valid_score"] for line in lines(tmp_path / "a" / "log.jsonl") if "valid_score" in line]
    assert outcome["best_score"] == max(scores)
    if outcome["best_step"] == 0:
        assert same_weights(model, start)
    last, _ = run(tmp_path / "b", model=copy.deepcopy(start), valid=[])
    assert not same_weights(last, start)


def test_where_groups_agree_nothing_moves(tmp_path):
    start = toy_model("causal", "llama")
    model, _ = run(
        tmp_path, model=copy.deepcopy(start), reward={"regex": {"pattern": "^"}}, method={"grpo": {"kl": 0}}, valid=[]
    )
    assert same_weights(model, start)
    assert {line["silent"] for line in lines(tmp_path / "log.jsonl")} == {1.0}


# ---- bad input ----


@pytest.mark.parametrize(("body", "code"), [
    ("raise ValueError('three')", "P-TRAIN-033"), ("return float('nan')", "P-TRAIN-034"), ("return None", "P-TRAIN-034"),
    ("return 'much'", "P-TRAIN-034"), ("return [1, 2]", "P-TRAIN-034"),
])  # fmt: skip
def test_a_reward_that_fails_loses_nothing(tmp_path, body, code):
    file, sound = tmp_path / "own.py", "def worth(answer, record):\n    return float('e' in answer)\n"
    late = f"    calls.append(1)\n    if len(calls) > 40:\n        {body}\n    return float('e' in answer)\n"
    count = f"calls = []\n\ndef worth(answer, record):\n{late}"
    file.write_text(count, "utf-8")
    with pytest.raises(PenjingError) as error:
        run(tmp_path / "run", reward=f"{file}:worth", save_seconds=1e9, valid=[])
    assert error.value.code == code and "worth" in error.value.text("en")
    assert (error.value.file, error.value.line) == ("some.jsonl", fails_at(0, 2, 8 // 4))  # two steps of 16 went well
    assert json.loads((tmp_path / "run" / "resume.json").read_text())["state"]["step"] == 2
    file.write_text(sound, "utf-8")
    model, _ = run(tmp_path / "run", reward=f"{file}:worth", save_seconds=1e9, valid=[])
    whole, _ = run(tmp_path / "whole", reward=f"{file}:worth", valid=[])
    assert same_weights(model, whole)


def test_prompts_that_do_not_fit_are_told_together(tmp_path):
    asker = Asker(toy_model("causal", "llama"), 4)
    long = {"prompt": "the tree " * 80}
    with pytest.raises(PenjingError) as error:
        asker.prompts([RECORDS[0], long, {"text": "no prompt"}, {"prompt": ""}])
    assert [one.code for one in (error.value, *error.value.others)] == ["P-TRAIN-032", "P-TASK-009", "P-TASK-009"]
    assert error.value.line == 2
    with pytest.raises(PenjingError, match="P-TRAIN-037"):
        Asker(toy_model("masked", "bert"), 4)
    with pytest.raises(PenjingError, match="P-TRAIN-038"):
        run(tmp_path, prompts=9)


def test_conversations_are_asked_in_their_template():
    asker = Asker(toy_model("chat", "llama", max_tokens=256), 4)
    asked, said = {"role": "user", "content": "the tree"}, {"role": "assistant", "content": "good"}
    one, *others = asker.prompts(
        [{"prompt": "the tree"}, {"messages": [asked]}, {"prompt": [asked]}, {"messages": [asked, said]}]
    )
    assert all(one == other for other in others) and len(one) > len(asker.model.tokenizer.encode("the tree"))
    plain = Asker(toy_model("causal", "llama"), 4)
    assert plain.prompts([{"prompt": "the tree"}]) == [plain.writer.prompt("the tree")]


def test_rows_have_labels_where_the_answer_is():
    batch = answer_batch([Rollout([5, 6], [7, 8], "", "stop"), Rollout([5], [9], "", "stop")], 0)
    assert batch.tokens.tolist() == [[5, 6, 7, 8], [5, 9, 0, 0]]
    assert batch.labels.tolist() == [[-100, 7, 8], [9, -100, -100]]


# ---- the stage ----


def test_from_files_to_a_folder_and_an_adapter(tmp_path):
    toy_model("chat", "llama", max_tokens=256).save(tmp_path / "base")
    write_jsonl(tmp_path / "data" / "train.jsonl", RECORDS)
    write_jsonl(tmp_path / "data" / "valid.jsonl", RECORDS[:2])
    (tmp_path / "own.py").write_text("def worth(answer, record):\n    return -len(answer) / 10\n", "utf-8")
    found = penjing.reinforce(
        tmp_path / "out", data=tmp_path / "data", model=tmp_path / "base", reward=["exact", f"{tmp_path}/own.py:worth"],
        change="lora", steps=3, prompts=4, group=3, max_new_tokens=4, learning_rate=1e-2,
    )  # fmt: skip
    assert found["steps"] == 3 and 0 < found["trained"] < found["parameters"]
    out = tmp_path / "out"
    assert len(lines(out / "rollouts.jsonl")) == 36 and not (out / "resume.json").exists()
    model = Model.load(out / "model")
    assert model.task.name == "chat" and model.lineage["reinforce"]["records"] == 8
    assert (out / "adapter" / "adapter_config.json").exists() and model.answer(["the tree"])


def test_a_recipe_whose_judge_is_an_earlier_step_passes_the_check(tmp_path):
    toy_model("causal", "llama").save(tmp_path / "base")
    write_jsonl(tmp_path / "data" / "train.jsonl", RECORDS)
    write_jsonl(
        tmp_path / "labels" / "train.jsonl", [{"text": "good", "label": "a"}, {"text": "bad", "label": "b"}] * 4
    )
    (tmp_path / "recipe.yaml").write_text(
        "stages:\n  judge: {do: finetune, data: labels, model: base, steps: 3, task: classify}\n"
        "  taught: {do: reinforce, data: data, model: base, reward: {classifier: {file: $judge, label: a}}}\n", "utf-8"
    )  # fmt: skip
    recipe, problems = read_recipe(tmp_path / "recipe.yaml")
    assert not problems and not check_recipe(recipe, BUILT_IN)[1]


def test_all_that_is_wrong_is_told_before_anything_runs(tmp_path):
    toy_model("causal", "llama").save(tmp_path / "base")
    write_jsonl(tmp_path / "data" / "train.jsonl", [{"prompt": "1 + 1"}] * 3)
    with pytest.raises(PenjingError) as error:
        penjing.reinforce(
            tmp_path / "out", data=tmp_path / "data", model=tmp_path / "base", method={"grpo": {"clip": 0.5}}
        )
    assert {one.code for one in (error.value, *error.value.others)} == {"P-TRAIN-007", "P-TRAIN-031"}
    with pytest.raises(PenjingError, match="P-OPTION-008") as error:  # it says where the option belongs
        penjing.reinforce(tmp_path / "out", data=tmp_path / "data", model=tmp_path / "base", kl=0.1)
    assert "method: {rloo: {kl: ...}}" in str(error.value)
    with pytest.raises(PenjingError, match="P-FILE-001"):
        penjing.reinforce(tmp_path / "out", data=tmp_path / "data", model=tmp_path / "base", reward="none.py:worth")
    write_jsonl(tmp_path / "data" / "train.jsonl", [])
    with pytest.raises(PenjingError, match="P-TRAIN-003"):
        penjing.reinforce(tmp_path / "out", data=tmp_path / "data", model=tmp_path / "base")
