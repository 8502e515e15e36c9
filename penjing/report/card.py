"""The model card: README.md with the metadata of the Hugging Face Hub, the numbers, the verdict and the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CARD_METRICS = {"accuracy": ("accuracy", "Accuracy"), "macro_f1": ("f1", "Macro F1"), "micro_f1": ("f1", "Micro F1"),
                "mcc": ("matthews_correlation", "MCC")}  # fmt: skip
USAGE = """```python
import penjing

model = penjing.Model.load("model")
print(model.answer(["your text"]))
```

```python
from transformers import pipeline

print(pipeline("text-classification", model="model")("your text"))
```
"""
LINEAR = """```console
$ penjing predict model "your text"
```

```python
from penjing.evaluate.linear import LinearModel

model = LinearModel.load("model")
print(model.answer(["your text"]))
```
"""
TAGS = {  # task -> what the Hub calls it
    "classify": "text-classification", "regress": "text-classification", "tag": "token-classification",
    "span": "question-answering", "seq2seq": "translation", "chat": "text-generation", "embed": "sentence-similarity",
    "preference": "text-generation", "reward": "text-classification",
}  # fmt: skip
ASKING = """```console
$ penjing predict model {typed}
```

```python
import penjing

model = penjing.Model.load("model")
print(model.answer([{asked}]))
```
"""
OTHER_LIMITS = {
    "en": [
        "It was measured on records like those it was trained on; on others expect less, and measure again.",
        "It repeats whatever is wrong or unfair in what it was trained on.",
    ],
    "zh": [
        "它是在与训练数据相似的记录上测得的；在其他数据上效果会更低，请重新测量。",
        "训练数据中的错误或偏见，它都会照样重复。",
    ],
}
LIMITS = {
    "en": [
        "It knows only the labels above, and gives one of them to any text, also to a text that fits none.",
        "It was measured on text like its training text; on other text expect less, and measure again.",
        "It repeats whatever is wrong or unfair in the labels it was trained on.",
        "A probability is an estimate: the calibration error above says how far to trust it.",
    ],
    "zh": [
        "它只认识上面的标签，对任何文本都会给出其中之一，即使都不合适。",
        "它是在与训练文本相似的文本上测得的；在其他文本上效果会更低，请重新测量。",
        "训练标签中的错误或偏见，它都会照样重复。",
        "概率只是估计：上面的校准误差说明它有多可信。",
    ],
}
TAUGHT = {
    "en": "Distilled{ways} from the teacher `{teacher}`: {families}, {parameters:,} parameters, weights {weights}.",
    "zh": "由教师 `{teacher}` 蒸馏而来{ways}：{families}，{parameters:,} 个参数，权重 {weights}。",
}
STUDENT = {
    "en": "A linear model of n-grams, taught by `{teacher}`.",
    "zh": "由教师 `{teacher}` 教出的线性 n-gram 模型。",
}
HEADS = {
    "en": ("Verdict", "Scores", "Use", "Labels", "Limits", "The full report is report.html.",
           "Trained with Penjing on the machine of its maker."),
    "zh": ("结论", "得分", "使用", "标签", "局限", "完整报告见 report.html。", "由 Penjing 在作者自己的机器上训练。"),
}  # fmt: skip


def front_matter(
    certificate: Mapping[str, Any], title: str, languages: Sequence[str], licence: str, datasets: Sequence[str],
    library: str = "transformers",
) -> dict[str, Any]:  # fmt: skip
    """The card's YAML as a dict; names and kinds are the Hub's."""
    tag = TAGS.get(certificate.get("task", "classify"), "text-generation")
    tag = "summarization" if certificate.get("metric") == "rouge_l" else tag
    found: dict[str, Any] = {
        "license": licence, "library_name": library,
        "pipeline_tag": tag, "tags": ["penjing", tag],
    }  # fmt: skip
    if languages:
        found["language"] = list(languages)
    if datasets:
        found["datasets"] = list(datasets)
    scores = certificate.get("candidates", {}).get("model", {}).get("scores", {})
    known = (
        CARD_METRICS
        if "labels" in certificate
        else {key: (key, key.replace("_", " ")) for key in scores if "." not in key}
    )
    metrics = [
        {"type": kind, "name": name, "value": round(scores[key]["value"], 5)}
        for key, (kind, name) in known.items() if key in scores
    ]  # fmt: skip
    if metrics:
        data = datasets[0] if datasets else title
        result = {
            "task": {"type": tag, "name": tag.replace("-", " ").title()},
            "dataset": {"name": data, "type": data, "split": certificate["split"]},
            "metrics": metrics,
        }
        found["metrics"] = sorted({one["type"] for one in metrics})
        found["model-index"] = [{"name": title, "results": [result]}]
    return found


def card(
    certificate: Mapping[str, Any],
    title: str,
    languages: Sequence[str],
    licence: str,
    datasets: Sequence[str],
    words: str,
    lineage: Mapping[str, Any] | None = None,
    linear: Mapping[str, Any] | None = None,
) -> str:
    """The whole README.md; `words` is the language of its text, `lineage` what the model says it comes from.

    linear: what a linear model says of itself; other models say nothing here.
    """
    import yaml

    library = "transformers" if linear is None else "penjing"
    about = front_matter(certificate, title, languages, licence, datasets, library)
    head = yaml.safe_dump(about, allow_unicode=True, sort_keys=False)
    verdict, scores, use, labels, limits, full, made = HEADS[words]
    found = [f"---\n{head}---\n", f"# {title}\n", made + "\n", *taught_by((lineage or {}).get("distil"), words)]
    found += [STUDENT[words].format(**linear) + "\n"] if linear and "teacher" in linear else []
    if certificate.get("verdict"):
        found.append(f"## {verdict}\n\n**{certificate['verdict'][words]}**\n")
    if certificate.get("ensemble_verdict"):
        found.append(f"Ensemble: {certificate['ensemble_verdict'][words]}\n")
    if certificate.get("candidates"):
        found += [f"## {scores}\n", score_table(certificate), ""]
        if "labels" in certificate:
            found += [f"## {labels}\n", ", ".join(f"`{label}`" for label in certificate["labels"]) + "\n"]
    other = bool(certificate) and "labels" not in certificate
    told = (OTHER_LIMITS if other else LIMITS)[words]
    found += [
        f"## {use}\n",
        asking(certificate["task"]) if other else USAGE if linear is None else LINEAR,
        f"## {limits}\n",
        *(f"- {limit}" for limit in told),
        "",
        full,
    ]
    return "\n".join(found) + "\n"


def taught_by(about: Mapping[str, Any] | None, words: str) -> list[str]:
    """A line that says who taught a distilled model."""
    if not about:
        return []
    ways = ", ".join(about["ways"])
    learnt = TAUGHT[words].format(**about | {"families": ", ".join(about["families"]), "ways": ways and f" ({ways})"})
    return [learnt + "\n"]


def asking(task: str) -> str:
    """How a model of a task is asked."""
    from penjing.tasks import TASKS, kind_of_task

    typed = kind_of_task(task).typed if task in TASKS else ("text",)
    words = [f'"your {name}"' for name in typed]
    return ASKING.format(typed=" ".join(words), asked=words[0] if len(words) == 1 else f"({', '.join(words)})")


def score_table(certificate: Mapping[str, Any]) -> str:
    """A Markdown table: all candidates, their metrics with intervals."""
    scores = certificate["candidates"]["model"]["scores"]
    metrics = [
        m
        for m in ((*CARD_METRICS, "calibration_error") if "labels" in certificate else scores)
        if m in scores and "." not in m
    ]
    share = f"{100 * certificate['confidence']:g} %"
    lines = [f"{certificate['split']}, {certificate['records']} records, {share} intervals\n"]
    lines.append("| | " + " | ".join(m.replace("_", " ") for m in metrics) + " |")
    lines.append("|---|" + "---|" * len(metrics))
    for name, about in certificate["candidates"].items():
        cells = []
        for metric in metrics:
            s = about["scores"].get(metric)
            if s is None:
                cells.append("")
                continue
            cells.append(f"{s['value']:.4f}" + (f" ({s['low']:.4f} – {s['high']:.4f})" if "low" in s else ""))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
