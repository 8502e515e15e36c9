"""The rules: whatever the facts, one answer to each question, no two that disagree, and evidence that is there."""

import dataclasses
import re
import string
from functools import cache
from pathlib import Path

import pytest
from advised import CURVE, FILES, FLAT, any_facts, checkpoint, facts, folder_for_every_task
from hypothesis import Phase, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from penjing.base.options import options_of
from penjing.recipe import advice_evidence
from penjing.recipe.advice_evidence import Evidence
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

PROMPTED = facts(given=checkpoint(family="llama", writes=True), records=8)

CASES = {  # rule: facts for which it speaks
    "few_shots": PROMPTED,
    "only_prompts": PROMPTED,
    "nothing_learnt": PROMPTED,
    "in_the_prompt": PROMPTED,
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
    "from_checkpoint": facts(given=checkpoint(), minutes=30.0),
    "granted_minutes": facts(minutes=30.0),
    "by_epochs": facts(),
    "few_epochs": facts(given=checkpoint()),
    "seen_once": facts(task="causal", records=10**7),
    "drop_much": facts(task="chat"),
    "drop_of_tags": facts(task="tag"),
    "drop_of_pairs": facts(task="seq2seq"),
    "drop_of_labels": facts(),
    "best_validation": facts(records=10**6),
    "several_labels": facts(several=True),
    "lonely_labels": facts(labels={"a": 3000, "b": 2}),
    "heavy_labels": facts(labels={"a": 3000, "b": 200}),
    "uneven_labels": facts(labels={"a": 3000, "b": 600}),
    "even_labels": facts(),
    "more_labels": facts(curve=CURVE),
    "enough_labels": facts(curve=FLAT),
    "unknown_amount": facts(),
    "window_of_checkpoint": facts(given=checkpoint()),
    "overlapping": facts(task="span"),
    "short_pieces": facts(task="causal"),
    "whole_answers": facts(task="chat"),
    "both_ends": facts(length=4000),
    "all_of_it": facts(),
    "contradictions": facts(conflicts=500),
    "split_by_hand": facts(task="embed"),
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
    assert set(found) == {topic.name for topic in TOPICS} - (set() if known.data.labels else {"labels"})
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
    known = facts(place=place, files=FILES, given=checkpoint(place, parameters=2_000_000_000), changes=changes_here())
    assert answers(known)["way"].rule == "part_of_checkpoint" and sound_recipe(known, place)[-1] == "report"
    few = facts(place=place, files=FILES, given=checkpoint(place), records=100, changes=changes_here())
    assert answers(few)["way"].rule == "head_of_checkpoint" and "change: freeze" in recipe_text(
        few, answers(few), "toy", BUILT_IN
    )


@settings(max_examples=60, phases=QUICK)
@drawn(st.data())
def test_more_minutes_are_never_less_training(place, data):
    known = data.draw(any_facts(place))
    shorter, longer = (dataclasses.replace(known, minutes=minutes) for minutes in (5.0, 50.0))
    both = [{k: v for k, v in answers(f)["budget"].sets.items() if k.endswith(".minutes")} for f in (shorter, longer)]
    assert both[0].keys() == both[1].keys() and bool(both[0]) != known.prompted
    assert all(both[0][name] < both[1][name] for name in both[0])
    assert sum(both[1].values()) <= 50


@drawn(st.floats(0, 0.5), st.integers(10**5, 10**11), st.booleans())
def test_a_checkpoint_is_begun_from_only_where_nothing_stands_against_it(unknown, parameters, able):
    known = facts(given=checkpoint(unknown=unknown, parameters=parameters, able=able))
    taken = answers(known)["way"].sets.get("finetune.model")
    assert (taken is not None) == (able and unknown <= 0.02 and 16 * parameters <= 16e9)
    assert ("tokenizer" in steps_of(known)) == (taken is None)
