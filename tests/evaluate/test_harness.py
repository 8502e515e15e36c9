"""The lm-eval harness asks a model of Penjing what it asks transformers' own, on tasks written here: equal values."""

import json
import warnings

import pytest
import torch
from toys import RECORDS, toy_model

from penjing.base.errors import DataError, OptionError, TaskError
from penjing.model.batch import Batch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import lm_eval
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    from penjing.evaluate.harness import PenjingLM, main, options_of

WINDOW = 48
PAIRS = [
    ("the parcel was", " late today"),
    ("the tree", " box"),
    ("", "very late"),
    ("盆景 ", "and the tree"),
    ("a", "b c"),
]
LONG = ["the box was late " * 12, "盆景", "the parcel came today and was broken"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("harness") / "model"
    toy_model("causal", "llama", seed=1, max_tokens=WINDOW).save(place)
    return place


@pytest.fixture(scope="module")
def both(folder):
    """Ours and the harness's own on the same folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = HFLM(pretrained=str(folder), device="cpu", batch_size=4, dtype="float32")
    return PenjingLM(folder), theirs


def asked(kind, rows):
    return [Instance(kind, {}, row, number) for number, row in enumerate(rows)]


def same(ours, theirs):
    assert [greedy for _, greedy in ours] == [greedy for _, greedy in theirs]
    assert [value for value, _ in ours] == pytest.approx([value for value, _ in theirs], abs=1e-4)


def test_likelihoods_are_theirs(both):
    rows = [*PAIRS, *((f"{record['text']} =", f" {label}") for record in RECORDS[:12] for label in ("bad", "good"))]
    rows.append(("the tree " * 40, " box"))  # longer than the window
    ours, theirs = (model.loglikelihood(asked("loglikelihood", rows)) for model in both)
    same(ours, theirs)
    greedy = [(context, context) for context, _ in PAIRS[:2]]
    same(*(model.loglikelihood(asked("loglikelihood", greedy)) for model in both))


def test_rolling_likelihoods_are_theirs(both):
    ours, theirs = (
        model.loglikelihood_rolling(asked("loglikelihood_rolling", [(one,) for one in LONG])) for model in both
    )
    assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize(
    "options", [{"until": ["the", "\n"]}, {"until": "e"}, {}, {"until": ["late"], "temperature": 0.0}]
)
def test_written_answers_are_theirs(both, options):
    rows = [(context or "x", {**options, "max_gen_toks": 12}) for context, _ in PAIRS]
    rows.append(("the tree box " * 30, {**options, "max_gen_toks": 12}))
    ours, theirs = (model.generate_until(asked("generate_until", rows)) for model in both)
    assert ours == theirs and any(ours)


def test_values_do_not_depend_on_the_batch(folder):
    rows = [(record["text"] or "x", " late today") for record in RECORDS[:20]]
    one, many = (PenjingLM(folder, batch_size=size).loglikelihood(asked("loglikelihood", rows)) for size in (1, "auto"))
    same(one, many)


def task(name, kind, **more):
    """A task on the toy records."""
    from datasets import Dataset

    rows = [{"text": one["text"], "label": one["label"], "number": int(one["label"] == "good")} for one in RECORDS[:16]]
    base = {"task": name, "custom_dataset": lambda **given: {"test": Dataset.from_list(rows)}, "test_split": "test",
            "output_type": kind, "doc_to_text": "{{text}} ="}  # fmt: skip
    return base | more


def tasks():
    choice = {"doc_to_choice": ["bad", "good"], "doc_to_target": "number", "num_fewshot": 0}
    choice["metric_list"] = [
        {"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm")
    ]
    rolling = {"doc_to_text": "", "doc_to_target": "{{text}}"}
    rolling["metric_list"] = [{"metric": "byte_perplexity"}, {"metric": "bits_per_byte"}]
    writing = {"doc_to_target": "{{label}}", "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8}}
    writing["metric_list"] = [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}]
    return [
        task("toy_choice", "multiple_choice", **choice),
        task("toy_rolling", "loglikelihood_rolling", **rolling),
        task("toy_writing", "generate_until", **writing),
    ]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Without reading the harness's own thousands of tasks and the versions of all that is installed."""
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda found: None)
    monkeypatch.setattr(
        lm_eval.tasks, "TaskManager", lambda **given: TaskManager(**given | {"include_defaults": False})
    )


def results(model, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        manager = TaskManager(include_defaults=False)
        found = lm_eval.simple_evaluate(model=model, tasks=tasks(), task_manager=manager, bootstrap_iters=0, **more)
    return {
        f"{name} {key}": value
        for name, values in found["results"].items()
        for key, value in values.items()
        if isinstance(value, float)
    }


def test_the_harness_reports_the_same_numbers(both, folder):
    ours, theirs = (results(model) for model in both)
    assert len(ours) >= 5 and ours == pytest.approx(theirs, rel=1e-5)
    assert results("penjing", model_args=f"path={folder},batch_size=3") == pytest.approx(theirs, rel=1e-5)


YAML = """
task: toy_file
dataset_path: json
dataset_kwargs: {data_files: FOLDER/rows.json, cache_dir: FOLDER/cache}
test_split: train
output_type: multiple_choice
doc_to_text: "{{text}} ="
doc_to_choice: [bad, good]
doc_to_target: "{{label}}"
"""


def test_the_harness_command_knows_penjing(both, folder, tmp_path, monkeypatch):
    (tmp_path / "rows.json").write_text("\n".join(json.dumps(one) for one in RECORDS[:8]), "utf-8")
    (tmp_path / "toy_file.yaml").write_text(YAML.replace("FOLDER", str(tmp_path)), "utf-8")
    words = ["run", "--model", "penjing", "--model_args", f"path={folder}", "--tasks", str(tmp_path / "toy_file.yaml")]
    monkeypatch.setattr("sys.argv", ["lm_eval", *words, "--output_path", str(tmp_path / "out")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
    (file,) = (tmp_path / "out").rglob("results*.json")
    ours = json.loads(file.read_text("utf-8"))["results"]["toy_file"]["acc,none"]
    rows = [(f"{one['text']} =", f" {label}") for one in RECORDS[:8] for label in ("bad", "good")]
    theirs = [value for value, _ in both[1].loglikelihood(asked("loglikelihood", rows))]
    given = ["bad" if bad >= good else "good" for bad, good in zip(theirs[::2], theirs[1::2], strict=True)]
    right = [label == one["label"] for label, one in zip(given, RECORDS[:8], strict=True)]
    assert ours == pytest.approx(sum(right) / len(right))


def test_conversations_are_rendered(folder):
    model = PenjingLM(folder.parent)  # a step: the model lies inside
    talk = [{"role": "user", "content": "hi"}]
    assert model.apply_chat_template(talk) == model.writer.chat.render(talk, add_generation_prompt=True)
    begun = [*talk, {"role": "assistant", "content": "it is"}]
    assert model.apply_chat_template(begun, add_generation_prompt=False).endswith("it is")
    assert model.chat_template(True) and model.chat_template(False) is None and "/" not in model.tokenizer_name
    assert model.get_model_info()["model_num_parameters"] > 0


def test_an_encoder_decoder_is_asked(tmp_path):
    model = PenjingLM(writer=t5())
    ours = model.loglikelihood(asked("loglikelihood", PAIRS[:2]))
    for (context, continuation), (value, _) in zip(PAIRS[:2], ours, strict=True):
        writer = model.writer
        target = [writer.start, *writer.tokenizer.encode(continuation)]
        batch = Batch(torch.tensor([writer.prompt(context)]), target=torch.tensor([target]))
        assert value == pytest.approx(sum(writer.scored(batch, batch.target)), abs=1e-4)
    assert len(model.generate_until(asked("generate_until", [("the tree", {"max_gen_toks": 4})]))) == 1


def t5():
    from penjing.tasks.defaults import Defaults
    from penjing.tasks.writer import Writer

    model = toy_model("seq2seq", "t5", seed=1)
    return Writer(model.network, model.tokenizer, Defaults(decoder_start=model.tokenizer.pad))


def test_wrong_questions_are_told(folder):
    model = PenjingLM(folder)
    with pytest.raises(DataError) as told:
        model._loglikelihood_tokens([(None, [1], [])])
    assert told.value.code == "P-SHOT-014"
    with pytest.raises(TaskError) as told:
        model.generate_until(asked("generate_until", [("x", {"max_gen_toks": WINDOW})]))
    assert told.value.code == "P-SHOT-015"
    for call in (PenjingLM, lambda: PenjingLM(folder, max_batch_size=4), lambda: options_of({"strange": 1})):
        with pytest.raises(OptionError) as told:
            call()
        assert told.value.code in ("P-OPTION-001", "P-OPTION-003")
    assert options_of({"do_sample": True, "temperature": 0.5, "top_k": 3}) == {"temperature": 0.5, "top_k": 3}
