"""The report of a run from its step folders. A step that was not given leaves its section out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penjing.report.figures import bars, curves, heat_map, reliability
from penjing.report.members import member_parts
from penjing.report.report import Code, Figure, Finding, Part, Report, Score, Section, Table, Tone
from penjing.report.shots import shot_parts
from penjing.report.steps import Step, flat, rules_of
from penjing.report.words import Words

TONES: dict[str, Tone] = {"worth_it": "good", "not_worth_it": "bad", "no_clear_difference": "unclear"}
METRICS = ("accuracy", "macro_f1", "micro_f1", "mcc")
LOSSES = ("log_loss", "brier", "calibration_error")
KEY = 4  # scores at the top, where the task has no labels
MISTAKES, LONGEST, CONFUSED, FOLD = 10, 240, 12, 16
CANDIDATES = ("model", "ensemble")


def build(steps: Mapping[str, Step], title: str, words: Words, recipe: str | None = None) -> Report:
    """Everything that the steps say."""
    certificate = steps["evaluate"].json("certificate.json") if "evaluate" in steps else {}
    details = steps["evaluate"].json("scores.json") if "evaluate" in steps else {}
    sections = [
        Section(words("scores"), score_parts(certificate, words) if certificate else []),
        Section(words("mistakes" if "labels" in certificate else "worst"),
                mistake_parts(steps["evaluate"], words) if certificate else []),
        *(detail_sections(details["model"], certificate["labels"], words) if details else []),
        Section(words("fewshot"), shot_parts(steps["fewshot"], words) if "fewshot" in steps else []),
        Section(words("data"), data_parts(steps["clean"], words) if "clean" in steps else []),
        Section(words("tokenizer"), tokenizer_parts(steps["tokenizer"], words) if "tokenizer" in steps else []),
        *(Section(words("training", step=name), training_parts(steps[name], words))
          for name in ("pretrain", "finetune") if name in steps),
        Section(words("members"), member_parts(steps["finetune"], words) if "finetune" in steps else []),
        Section(words("done"), done_parts(steps, words)),
        Section(words("reproduce"), reproduce_parts(steps, words, recipe)),
    ]  # fmt: skip
    kept = [section for section in sections if section.parts]
    shots = steps["fewshot"].json("fewshot.json") if "fewshot" in steps else {}
    return Report(title, words.language, verdicts(certificate, shots, words), key_scores(certificate, words), kept)


def verdicts(certificate: Mapping[str, Any], shots: Mapping[str, Any], words: Words) -> list[Finding]:
    """What stands at the top."""
    found = []
    verdict, ensemble = certificate.get("verdict"), certificate.get("ensemble_verdict")
    if verdict:
        found.append(Finding(verdict[words.language], TONES[verdict["outcome"]]))
    elif certificate:
        found.append(Finding(words("no_baseline"), "unclear"))
    if ensemble:
        found.append(Finding(words("ensemble", text=ensemble[words.language])))
    if certificate.get("split") == "valid":
        found.append(Finding(words("on_valid")))
    if verdict := shots.get("verdict"):
        found.append(Finding(verdict[words.language], TONES[verdict["outcome"]]))
    return found or [Finding(words("no_verdict"), "unclear")]


def score_of(name: str, found: Mapping[str, float]) -> Score:
    return Score(name, found["value"], found.get("low"), found.get("high"))


def key_scores(certificate: Mapping[str, Any], words: Words) -> list[Score]:
    """The model's main numbers."""
    scores = certificate.get("candidates", {}).get("model", {}).get("scores", {})
    if "labels" in certificate:
        return [score_of(words(m), scores[m]) for m in (*METRICS, "calibration_error") if m in scores]
    return [score_of(words.name(m), scores[m]) for m in metrics_of(certificate)[:KEY]]


def metrics_of(certificate: Mapping[str, Any]) -> list[str]:
    """The scores in the order of a table: the main one first."""
    scores, main = certificate.get("candidates", {}).get("model", {}).get("scores", {}), certificate.get("metric")
    if "labels" in certificate:
        return [metric for metric in (*METRICS, *LOSSES) if metric in scores]
    return [main, *(metric for metric in scores if metric != main)] if scores else []


def score_parts(certificate: Mapping[str, Any], words: Words) -> list[Part]:
    """Bars with intervals, all numbers, differences."""
    candidates, main = certificate["candidates"], certificate["metric"]
    sign = 1 if main in certificate.get("lower", ()) else -1
    shown = sorted(candidates, key=lambda name: sign * candidates[name]["scores"][main]["value"])
    note = words("measured_on", records=certificate["records"], split=certificate["split"],
                 confidence=f"{100 * certificate['confidence']:g}", resamples=certificate["resamples"])  # fmt: skip
    figure = bars([score_of(n, candidates[n]["scores"][main]) for n in shown], CANDIDATES, words.name(main))
    whole, single = ([m for m in metrics_of(certificate) if ("." in m) is part] for part in (False, True))
    parts: list[Part] = [Figure(figure, words.name(main), note), candidate_table(candidates, shown, whole, words)]
    if single:
        parts.append(single_table(candidates, shown, single, words))
    parts += [Finding(f"{words.name(name)}: {text}") for name, text in certificate.get("notes", {}).items()]
    members = candidates.get("ensemble", {}).get("members", [])
    if members:
        weights = ", ".join(f"{m['name']} {m['weight']:.2f}" for m in members)
        parts.append(Finding(words("weights", weights=weights)))
    if certificate["differences"]:
        parts.append(difference_table(certificate, words))
    return parts


def candidate_table(candidates: Mapping[str, Any], shown: list[str], metrics: list[str], words: Words) -> Table:
    """One row per candidate."""
    rows = []
    for name in shown:
        about = candidates[name]
        scores = about["scores"]
        row: list[Any] = [name, *(score_of(metric, scores[metric]) if metric in scores else None for metric in metrics)]
        size = about.get("bytes")
        rows.append([*row, about.get("texts_per_second"), about.get("fit_seconds"), size and round(size / 1e6, 1)])
    names = [words("candidate"), *(words.name(metric) for metric in metrics)]
    return Table([*names, words("texts_per_second"), words("fit_seconds"), words("size")], rows)


def single_table(candidates: Mapping[str, Any], shown: list[str], metrics: list[str], words: Words) -> Table:
    """The scores of single types, such as `f1.PER`: one row each."""
    rows = [[words.name(m), *(score_of(m, found[m]) if m in found else None
                              for found in (candidates[name]["scores"] for name in shown))] for m in metrics]  # fmt: skip
    return Table([words("metric"), *shown], rows, words("single"), folded=True)


def difference_table(certificate: Mapping[str, Any], words: Words) -> Table:
    """Each pair and metric, with McNemar's p beside accuracy."""
    tests = {(t["of"], t["to"]): t["p"] for t in certificate.get("mcnemar", [])}
    rows = [
        [d["of"], d["to"], words.name(d["metric"]), score_of("", d),
         f"{tests[d['of'], d['to']]:.2g}" if d["metric"] == "accuracy" and (d["of"], d["to"]) in tests else None]
        for d in certificate["differences"] if "." not in d["metric"]
    ]  # fmt: skip
    names = [words(key) for key in ("of", "to", "metric", "difference", "p")]
    return Table(names, rows, words("differences"), folded=True)


def detail_sections(details: Mapping[str, Any], labels: list[str], words: Words) -> list[Section]:
    """Per label, confusion, calibration of the model."""
    keys = ("label", "precision", "recall", "f1", "support")
    ordered = sorted(details["per_label"], key=lambda row: row["f1"])
    rows = [[row[key] for key in keys] for row in ordered]
    names = [words(key) for key in keys]
    tables: list[Part] = [Table(names, rows[:FOLD])]
    if len(rows) > FOLD:
        tables.append(Table(names, rows[FOLD:], f"{words('more')} ({len(rows) - FOLD})", folded=True))
    found = [Section(words("labels"), tables)]
    if details.get("confusion"):
        found.append(Section(words("confusion"), confusion_parts(details["confusion"], labels, words)))
    if details.get("reliability"):
        names2 = (words("confidence"), words("share_right"))
        figure = Figure(reliability(details["reliability"], names2), words("calibration"), words("calibration_note"))
        found.append(Section(words("calibration"), [figure]))
    return found


def confusion_parts(matrix: list[list[int]], labels: list[str], words: Words) -> list[Part]:
    """The heat map and the pairs most often confused."""
    pairs = [(count, labels[i], labels[j]) for i, row in enumerate(matrix) for j, count in enumerate(row)
             if i != j and count]  # fmt: skip
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    figure = heat_map(matrix, labels, (words("true"), words("given")))
    parts: list[Part] = [Figure(figure, words("confusion"), words("confusion_note"), wide=True)]
    if pairs and len(labels) > 2:
        rows = [[true, given, count] for count, true, given in pairs[:CONFUSED]]
        parts.append(Table([words("true"), words("given"), words("times")], rows, words("most_confused")))
    return parts


def mistake_parts(step: Step, words: Words) -> list[Part]:
    """The wrong answers of the model that it was surest of; of other tasks those with the lowest scores."""
    lines = list(step.lines("predictions.jsonl"))
    if lines and "record" in lines[0]:
        return worst_parts(lines, step.json("certificate.json"), words)
    wrong = [row for row in lines if row["candidates"]["model"]["predicted"] != row["true"]]
    if not wrong:
        return [Finding(words("no_mistakes"), "good")]
    wrong.sort(key=lambda row: -row["candidates"]["model"]["probability"])
    rows = []
    for row in wrong[: 3 * MISTAKES]:
        answer, text = row["candidates"]["model"], " ".join(row["text"].split())
        text = text if len(text) <= LONGEST else text[:LONGEST] + " …"
        rows.append([answer["probability"], listed(row["true"]), listed(answer["predicted"]), text])
    names = [words(key) for key in ("confidence", "true", "given", "text")]
    parts: list[Part] = [Finding(words("mistakes_note")), Table(names, rows[:MISTAKES])]
    if len(rows) > MISTAKES:
        parts.append(Table(names, rows[MISTAKES:], f"{words('more')} ({len(rows) - MISTAKES})", folded=True))
    return parts


def worst_parts(lines: list[dict[str, Any]], certificate: Mapping[str, Any], words: Words) -> list[Part]:
    """The answers with the lowest scores of their own, as the task writes them."""
    main, sign = certificate["metric"], -1 if certificate["metric"] in certificate.get("lower", ()) else 1
    kept = sorted((row for row in lines if row.get("score") is not None), key=lambda row: sign * row["score"])
    kept = [row for row in kept if row["score"] != kept[-1]["score"]] or kept  # the best are not among the worst
    rows = [[row["score"], cut("\n".join(row["lines"])), cut(row["true"])] for row in kept[: 3 * MISTAKES]]
    names = [words.name(main), words("given"), words("true")]
    if not rows:
        return []
    parts: list[Part] = [Table(names, rows[:MISTAKES])]
    if len(rows) > MISTAKES:
        parts.append(Table(names, rows[MISTAKES:], f"{words('more')} ({len(rows) - MISTAKES})", folded=True))
    return parts


def cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"


def listed(labels: str | list[str]) -> str:
    """One label, or several in one cell."""
    return labels if isinstance(labels, str) else ", ".join(labels) or "–"


def data_parts(step: Step, words: Words) -> list[Part]:
    """The rules with their counts, then every other fact of clean.json."""
    rules, rest = rules_of(step.json("clean.json"))
    parts: list[Part] = []
    if facts := flat(rest):
        parts.append(Table([words("fact"), words("value")], [list(row) for row in facts]))
    if rules:
        rows = [[name.replace("_", " "), rule["changed"], rule["dropped"]] for name, rule in rules.items()]
        parts.append(Table([words("rule"), words("changed"), words("dropped")], rows, words("rules")))
    return parts


def tokenizer_parts(step: Step, words: Words) -> list[Part]:
    rows = [list(row) for row in flat(step.json("report.json"))]
    return [Table([words("fact"), words("value")], rows)] if rows else []


def training_parts(step: Step, words: Words) -> list[Part]:
    """Loss curves, plan beside outcome."""
    series: dict[str, list[tuple[float, float]]] = {words("train_loss"): [], words("valid_loss"): []}
    for row in step.lines("log.jsonl"):
        for key, name in (("loss", "train_loss"), ("valid_loss", "valid_loss")):
            if isinstance(row.get(key), (int, float)):
                series[words(name)].append((row["step"], row[key]))
    parts: list[Part] = []
    if drawing := curves(series, words("steps"), words("loss")):
        parts.append(Figure(drawing, words("loss")))
    outcome = step.json("outcome.json")
    planned = outcome.get("planned") or step.json("plan.json")
    rows = [[key.replace("_", " "), scalar(planned.get(key)), scalar(value)] for key, value in outcome.items()
            if not isinstance(value, (dict, list))]  # fmt: skip
    if rows:
        parts.append(Table([words("plan"), words("planned"), words("actual")], rows))
    return parts


def scalar(value: Any) -> Any:
    return None if isinstance(value, (dict, list)) else value


def done_parts(steps: Mapping[str, Step], words: Words) -> list[Part]:
    """Each stage with time and memory, then its options, folded."""
    rows, options = [], list[Part]()
    for name, step in steps.items():
        manifest = step.manifest
        if not manifest:
            continue
        memory = manifest.get("peak_memory_bytes")
        size = sum(entry.get("bytes", 0) for entry in manifest.get("outputs", []))
        rows.append([name, manifest.get("seconds"), memory and round(memory / 1e6), round(size / 1e6, 1)])
        if found := flat(manifest.get("options", {})):
            title = words("all_options", step=name)
            options.append(Table([words("option"), words("value")], [list(row) for row in found], title, folded=True))
    names = [words(key) for key in ("step", "seconds", "memory", "size")]
    return [Table(names, rows), *options] if rows else []


def commands(folders: Sequence[Path], recipe: str | None) -> list[str]:
    """How to make it again and how to check it; steps that no recipe has made are only checked, one by one."""
    around = folders[0].parent
    made = Step("", around).json("run.json").get("recipe")
    recipe = recipe or (made and last_two(Path(made)))
    if recipe is None:
        return [f"penjing verify {folder.name}" for folder in folders]
    return [f"penjing run {recipe}", f"penjing verify {last_two(around)}"]


def last_two(path: Path) -> str:
    """The end of a path: enough to know it by, without the machine that it was on."""
    return "/".join(path.parts[-2:])


def reproduce_parts(steps: Mapping[str, Step], words: Words, recipe: str | None) -> list[Part]:
    """Commands, versions, hashes."""
    manifests = {name: step.manifest for name, step in steps.items()}
    known = {name: m for name, m in manifests.items() if m}
    if not known:
        return []
    last = list(known.values())[-1]
    code = last.get("code", {})
    code = str(code.get("sha256", code))[:16] if isinstance(code, Mapping) else str(code)
    about = {key: last.get(key, "?") for key in ("python", "torch", "platform")}
    rows = [[name, entry.get("path", ""), entry.get("sha256", "")[:16]] for name, m in known.items()
            for side in ("inputs", "outputs") for entry in m.get(side, [])]  # fmt: skip
    steps_table = Table([words("step"), words("hash")], [[name, m.get("hash", "")] for name, m in known.items()])
    hashes = Table([words("step"), words("file"), "SHA-256"], rows, words("hashes"), folded=True)
    return [
        Code("\n".join(commands([steps[name].folder for name in known], recipe))),
        Finding(words("code", code=code, **about)),
        steps_table,
        hashes,
    ]
