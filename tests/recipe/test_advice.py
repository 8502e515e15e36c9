"""The rules: whatever the facts, one answer to each question, no two that disagree, and evidence that is there."""

import dataclasses
import importlib.util
import re
import string
from functools import cache
from pathlib import Path

import pytest
from advised import (
    CHECKED,
    CURVE,
    FILES,
    FLAT,
    JUDGED,
    PAIRED,
    TRIALS,
    any_facts,
    checkpoint,
    facts,
    folder_for_every_task,
)
from hypothesis import Phase, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from penjing.base.options import options_of
from penjing.recipe import advice_evidence
from penjing.recipe.advice_evidence import TRIALS_IN, Evidence
from penjing.recipe.advice_facts import changes_here
from penjing.recipe.advice_training import TOPICS
from penjing.recipe.advice_words import WORDS
from penjing.recipe.check import check_recipe
from penjing.recipe.draft import answers, recipe_text, steps_of
from penjing.recipe.reading import parse_recipe
from penjing.recipe.stages import BUILT_IN

ROOT = Path(__file__).parents[2]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
FIGURE = re.compile(r"\d+\.\d+|\d+ min \d+ s")
QUICK = (Phase.explicit, Phase.generate)  # a failure is not made smaller: facts are readable as they are
LORA = {"changes": ("lora", "freeze")}
HUGE = checkpoint(parameters=2_000_000_000)

WRITER, TALKER = checkpoint(family="llama", writes=True), checkpoint(family="llama", writes=True, talks=True)
PREFERRED = facts(given=TALKER, task="preference", sides=PAIRED, **LORA)
PROMPTED = facts(given=checkpoint(family="llama", writes=True), records=8)

CASES = {  # rule: facts for which it speaks
    "better_answers": PREFERRED,
    "better_answers_anew": facts(given=WRITER, task="preference", sides=PAIRED),
    "good_answers": facts(task="preference", sides=JUDGED),
    "judge": facts(task="reward", sides=PAIRED),
    "checked_answers": facts(given=TALKER, **CHECKED),
    "examples_first": facts(**CHECKED),
    "few_shots": PROMPTED,
    "only_prompts": PROMPTED,
    "nothing_learnt": PROMPTED,
    "in_the_prompt": PROMPTED,
    "measured_change": facts(given=checkpoint(), trials=TRIALS, **LORA),
    "low_rank_of_checkpoint": PREFERRED,
    "all_of_checkpoint": facts(given=checkpoint()),
    "part_of_checkpoint": facts(given=HUGE, **LORA),
    "head_of_checkpoint": facts(given=checkpoint(), records=100, **LORA),
    "vectors_of_checkpoint": facts(given=checkpoint(), task="embed"),
    "reading_on": facts(given=checkpoint(), task="masked"),
    "whole_checkpoint": facts(given=checkpoint()),
    "no_time": facts(minutes=1.0),
    "few_labels": facts(records=8),
    "long_reviews": facts(length=1200),
    "labelled_texts": facts(),
    "numbers": facts(task="regress"),
    "tagged_texts": facts(task="tag"),
    "contexts": facts(task="span"),
    "vectors": facts(task="embed"),
    "repeated_answers": facts(task="chat", answers=(3, 300)),
    "talks": facts(task="chat", answers=(300, 300)),
    "two_sides": facts(task="seq2seq"),
    "little_text": facts(task="causal", records=10),
    "raw_text": facts(task="masked"),
    "cannot_do_it": facts(given=checkpoint(able=False)),
    "foreign_words": facts(given=checkpoint(unknown=0.4)),
    "too_large": facts(given=HUGE),
    "at_hand": facts(given=checkpoint()),
    "public": facts(),
    "own_network": facts(given=checkpoint()),
    "tagger": facts(task="tag"),
    "near_decoder": facts(task="causal"),
    "decoder": facts(task="chat", records=10**6),
    "encoder_decoder": facts(task="seq2seq"),
    "encoder": facts(),
    "own_tokenizer": facts(given=checkpoint()),
    "bytes_of_verse": facts(task="causal"),
    "fresh_tokenizer": facts(),
    "already_learnt": facts(given=checkpoint()),
    "nothing_before": facts(task="seq2seq"),
    "next_token": facts(task="causal"),
    "hidden_words": facts(task="tag"),
    "hidden_tokens": facts(),
    "rounds_of_answers": facts(given=TALKER, minutes=30.0, **CHECKED),
    "from_checkpoint": facts(given=checkpoint(), minutes=30.0),
    "granted_minutes": facts(minutes=30.0),
    "by_epochs": facts(),
    "longer_answers": facts(given=TALKER, task="preference", sides={"pairs": 100, "longer": 90}),
    "slow_preference": PREFERRED,
    "watched_rewards": facts(given=TALKER, **CHECKED),
    "few_epochs": facts(given=checkpoint()),
    "seen_once": facts(task="causal", records=10**7),
    "drop_much": facts(task="chat"),
    "drop_of_tags": facts(task="tag"),
    "drop_of_pairs": facts(task="seq2seq"),
    "drop_of_labels": facts(),
    "best_validation": facts(records=10**6),
    "both_judgements": facts(task="preference", sides=JUDGED, labels={"good": 300, "bad": 100}),
    "several_labels": facts(several=True),
    "lonely_labels": facts(labels={"a": 3000, "b": 2}),
    "heavy_labels": facts(labels={"a": 3000, "b": 200}),
    "uneven_labels": facts(labels={"a": 3000, "b": 600}),
    "even_labels": facts(),
    "more_labels": facts(curve=CURVE),
    "enough_labels": facts(curve=FLAT),
    "unknown_amount": facts(),
    "room_in_rounds": facts(given=TALKER, **CHECKED),
    "window_of_checkpoint": facts(given=checkpoint()),
    "overlapping": facts(task="span"),
    "short_pieces": facts(task="causal"),
    "whole_answers": facts(task="chat"),
    "both_ends": facts(length=4000),
    "all_of_it": facts(),
    "contradictions": facts(conflicts=500),
    "split_by_hand": facts(task="embed"),
    "valid_by_hand": facts(given=TALKER, **CHECKED),
    "split_off": facts(),
    "held_back": facts(task="causal"),
    "as_split": facts(files={"train": "train.jsonl", "test": "test.jsonl"}),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return folder_for_every_task(tmp_path_factory.mktemp("every"))


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_speaks_for_its_facts(rule):
    topic = next(topic for topic in TOPICS if rule in {one.__name__ for one in topic.rules})
    found = topic.answer(CASES[rule])
    assert found is not None and found.rule == rule and found.because, found


def test_every_rule_has_a_case_and_words():
    rules = [rule.__name__ for topic in TOPICS for rule in topic.rules]
    assert len(rules) == len(set(rules)) and set(rules) == set(CASES) == set(WORDS)


def blanks(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("rule", WORDS)
def test_the_words_of_a_rule_are_the_same_in_both_languages(rule):
    en, zh = WORDS[rule]
    assert CHINESE.search(zh) and not CHINESE.search(en) and blanks(en) == blanks(zh)
    said = next(one for one in answers(CASES[rule]).values() if one.rule == rule)
    assert all(CHINESE.search(text.zh) and not CHINESE.search(text.en) for text in said.because)
    assert set(FIGURE.findall(said.text.en)) == set(FIGURE.findall(said.text.zh))


def evidence():
    return [one for one in vars(advice_evidence).values() if isinstance(one, Evidence)]


@pytest.mark.parametrize("one", [one for one in evidence() if one.section], ids=lambda one: one.text.en)
def test_every_figure_stands_in_its_section_of_the_results(one):
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    heading, body = re.search(rf"^## {one.section}\. (.*?)$(.*?)(?=^## |\Z)", text, re.M | re.S).groups()
    assert one.title.lower() in heading.lower()
    for said in one.text:
        assert not [figure for figure in FIGURE.findall(said) if figure not in body], said
    assert sorted(FIGURE.findall(one.text.en)) == sorted(FIGURE.findall(one.text.zh))


def test_what_is_not_measured_says_so():
    for case in CASES.values():
        for one in answers(case).values():
            known = one.evidence.section or one.evidence in evidence()
            assert known or "unmeasured here" in one.evidence.text.en


@cache
def known_options(step):
    return set(options_of(BUILT_IN[step].function))


@settings(max_examples=100, phases=QUICK)
@drawn(st.data())
def test_one_answer_to_each_question_and_no_option_twice(place, data):
    known = data.draw(any_facts(place))
    found = answers(known)
    silent = (set() if known.data.labels else {"labels"}) | (
        set() if known.start and not known.prompted else {"change"}
    )
    assert set(found) == {topic.name for topic in TOPICS} - silent
    places = [option for one in found.values() for option in one.sets]
    assert len(places) == len(set(places))
    assert not [(a, b) for a in places for b in places if b.startswith(a + ".")]
    assert {option.split(".")[0] for option in places} <= set(steps_of(known))
    assert all(option.split(".")[1] in known_options(option.split(".")[0]) for option in places)


@settings(max_examples=15, phases=QUICK)
@drawn(st.data())
def test_every_recipe_passes_the_check(place, data):
    known = data.draw(any_facts(place))
    assert sound_recipe(known, place) == steps_of(known)


def sound_recipe(known, place):
    """The steps of the recipe for these facts, when nothing is wrong with it."""
    text = recipe_text(known, answers(known), "toy", BUILT_IN)
    recipe, problems = parse_recipe(text, place / "recipe.yaml")
    problems += check_recipe(recipe, BUILT_IN)[1]
    assert not problems, "\n".join(one.text("en") for one in problems) + "\n" + text
    assert all("#" in line for line in text.splitlines() if line.startswith("    "))
    return list(recipe.steps)


def test_the_recipe_of_prompts(place):
    known = facts(place=place, files=FILES, given=checkpoint(place, "llama", writes=True), records=8)
    assert sound_recipe(known, place) == ["clean", "fewshot"]


def test_the_recipe_with_a_change(place):
    huge = checkpoint(place, parameters=2_000_000_000)
    known = facts(place=place, files=FILES, given=huge, changes=changes_here())
    assert answers(known)["change"].rule == "part_of_checkpoint" and sound_recipe(known, place)[-1] == "report"
    few = facts(place=place, files=FILES, given=checkpoint(place), records=100, changes=changes_here())
    assert answers(few)["change"].rule == "head_of_checkpoint" and "change: {freeze: {top: 0}}" in recipe_text(
        few, answers(few), "toy", BUILT_IN
    )


@settings(max_examples=60, phases=QUICK)
@drawn(st.data())
def test_more_minutes_are_never_less_training(place, data):
    known = data.draw(any_facts(place))
    shorter, longer = (dataclasses.replace(known, minutes=minutes) for minutes in (5.0, 50.0))
    both = [{k: v for k, v in answers(f)["budget"].sets.items() if k.endswith(".minutes")} for f in (shorter, longer)]
    rounds = known.data.task == "reinforce" and known.start is not None  # counts steps, not minutes
    assert both[0].keys() == both[1].keys() and bool(both[0]) != (known.prompted or rounds)
    assert all(both[0][name] < both[1][name] for name in both[0])
    assert sum(both[1].values()) <= 50


@drawn(st.floats(0, 0.5), st.integers(10**5, 10**11), st.booleans())
def test_a_checkpoint_is_begun_from_only_where_nothing_stands_against_it(unknown, parameters, able):
    known = facts(given=checkpoint(unknown=unknown, parameters=parameters, able=able))
    taken = answers(known)["way"].sets.get("finetune.model")
    assert (taken is not None) == (able and unknown <= 0.02 and 16 * parameters <= 16e9)
    assert ("tokenizer" in steps_of(known)) == (taken is None)


# ---- which change: by the trials, if there are some ----


def changed(**more):
    """What is trained and how fast, and where that is known from."""
    found = answers(facts(given=checkpoint(), changes=("lora", "freeze"), **more))
    sets = found["change"].sets | found["budget"].sets
    evidence = found["change"].evidence, found["budget"].evidence
    return sets.get("finetune.change"), sets["finetune.learning_rate"], {one.section for one in evidence}


def test_the_trials_choose_the_change_by_records_memory_and_minutes():
    cited, lora = {TRIALS_IN[0]}, {"lora": {"rank": 8}}
    assert changed(trials=TRIALS, records=1000) == (lora, 1e-3, cited)
    assert changed(trials=TRIALS, records=10_000) == (None, 1e-4, cited)
    assert changed(trials=TRIALS, records=10_000, memory=0.3) == (lora, 1e-3, cited)  # all weights need 0.352 GB
    assert changed(trials=TRIALS, records=10_000, memory=0.15) == ({"freeze": {"top": 0}}, 3e-3, cited)
    epoch = facts(given=checkpoint(), records=10_000).epoch_minutes
    assert changed(trials=TRIALS, records=10_000, minutes=2.5 * epoch) == (lora, 1e-3, cited)
    assert changed(trials=TRIALS[1:], records=1000)[2] == {None}, "nothing to hold the others against"
    assert changed(trials=(), records=1000) == (None, 5e-5, {None}), "no table, no citation"
    assert changed(trials=TRIALS, task="span")[2] == {None}, "nothing like it was tried"


def test_the_trials_are_the_ones_of_the_results_and_of_the_benchmark():
    spec = importlib.util.spec_from_file_location("changes_table", ROOT / "benchmarks" / "changes_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert {way: change for way, (change, _) in module.WAYS.items()} == advice_evidence.WAYS
    assert module.lines([{"way": "lora", "rate": 1e-3, "accuracy": 0.9, "half": 0.01, "runs": [
        {"trained": 5, "seconds": 90.0, "memory": 512.4}]}])[-1] == (
        "    Trial('lora', 5, 1.5, 512, 0.9, 0.01, 0.001),")  # fmt: skip
    number, title = TRIALS_IN
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {number}\. (.*?)$(.*?)(?=^## |\Z)", text, re.M | re.S)
    for one in advice_evidence.TRIALS:
        assert found and title.lower() in found[1].lower(), f"docs/results.md has no section {number} on {title}"
        rows = [[cell.strip(" *") for cell in row.strip("|").split("|")] for row in found[2].splitlines()]
        assert any(set(one.cells()) <= set(row) for row in rows), one


def test_what_is_advised_for_answers_follows_their_shape():
    """Pairs: DPO on a model that answers, else ORPO; judged: KTO, both sides of equal weight; checked: GRPO."""
    dpo, orpo = answers(PREFERRED), answers(facts(given=WRITER, task="preference", sides=PAIRED))
    assert dpo["way"].sets["finetune.task.preference.method"] == "dpo" and dpo["budget"].sets["finetune.epochs"] == 2
    assert dpo["change"].sets == {"finetune.change": {"lora": {"rank": 8}}} and "300 pairs" in dpo["way"].because[0].en
    assert orpo["way"].sets["finetune.task.preference.method"] == "orpo" and not orpo["change"].sets
    assert orpo["budget"].sets["finetune.learning_rate"] < dpo["budget"].sets["finetune.learning_rate"]
    kto = answers(CASES["both_judgements"])
    assert kto["way"].sets["finetune.task.preference.method"] == "kto"
    assert kto["labels"].sets == {"finetune.task.preference.undesirable": 3.0}
    slow, quick = (answers(facts(given=TALKER, minutes=m, **CHECKED))["budget"].sets for m in (1.0, 60.0))
    assert slow["reinforce.steps"] < quick["reinforce.steps"] and quick["reinforce.max_new_tokens"] == 128
    assert answers(facts(**CHECKED))["budget"].sets["reinforce.max_new_tokens"] == 8
    assert answers(facts(given=TALKER, **CHECKED))["way"].sets["reinforce.reward"] == "arithmetic"
