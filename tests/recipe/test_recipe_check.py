"""Everything is checked before anything runs, and all problems are told at once."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_stages import TOYS, place

from penjing.base.errors import PenjingError
from penjing.recipe.check import check_recipe
from penjing.recipe.reading import parse_recipe
from penjing.recipe.runner import plan


def problems(tmp_path, text, **named):
    """The errors that a recipe gives, by code."""
    with pytest.raises(PenjingError) as caught:
        plan(place(tmp_path, text), tmp_path / "out", stages=TOYS, **named)
    assert not (tmp_path / "out").exists()
    found = [caught.value, *caught.value.others]
    assert all(error.text("zh") and error.text("en") for error in found)
    return found


def only(tmp_path, text, **named):
    found = problems(tmp_path, text, **named)
    assert len(found) == 1, [str(one) for one in found]
    return found[0]


STEP = "stages:\n  first:\n    do: make\n    source: in.txt\n"


@pytest.mark.parametrize(
    "text, code, line",
    [
        ("stages:\n  first: [1\n", "P-RECIPE-001", 3),
        ("stages:\n\tfirst:\n", "P-RECIPE-001", 2),
        ("", "P-RECIPE-002", 1),
        ("stages: []\n", "P-RECIPE-002", 1),
        ("- 1\n", "P-RECIPE-002", 1),
        ("stages:\n  a/b:\n    do: make\n    source: in.txt\n", "P-RECIPE-003", 2),
        ("name: ../up\n" + STEP, "P-RECIPE-003", 1),
        ("stages:\n  first: 3\n", "P-RECIPE-004", 2),
        (STEP + "    text: a\n    text: b\n", "P-RECIPE-005", 6),
        (STEP + "  first:\n    do: make\n    source: in.txt\n", "P-RECIPE-005", 5),
        ("stags: 1\n" + STEP, "P-OPTION-001", 1),
        ("stages:\n  first:\n    do: mkae\n", "P-OPTION-004", 2),
        (STEP + "    txt: a\n", "P-OPTION-001", 5),
        (STEP + "    seed: many\n", "P-OPTION-002", 5),
        (STEP + "    seed: true\n", "P-OPTION-002", 5),
        ("stages:\n  first:\n    do: make\n", "P-OPTION-003", 2),
        ("stages:\n  first:\n    do: make\n    source: im.txt\n", "P-FILE-001", 4),
        ("stages:\n  first:\n    do: lacking\n", "P-SYSTEM-001", 2),
        ("stages:\n  first:\n    do: copy\n    data: $first\n", "P-RECIPE-007", 4),
        (STEP + "  b:\n    do: copy\n    data: [$frist]\n", "P-RECIPE-008", 7),
        ("stages:\n  first:\n    do: picky\n    files: '*.csv'\n", "P-FILE-001", 4),
    ],
)
def test_each_mistake_has_its_code_and_line(tmp_path, text, code, line):
    error = only(tmp_path, text)
    assert (error.code, error.line) == (code, line)
    assert f"recipe.yaml:{line}" in error.text("en")


def test_nearest_names(tmp_path):
    assert only(tmp_path, "stages:\n  first:\n    do: mkae\n").nearest == "make"
    assert only(tmp_path, STEP + "    txt: a\n").nearest == "text"
    assert only(tmp_path, "stages:\n  first:\n    do: make\n    source: im.txt\n").nearest == "in.txt"
    assert only(tmp_path, STEP + "  b:\n    do: copy\n    data: $frist\n").nearest == "first"


def test_all_problems_at_once(tmp_path):
    text = "nam: x\nstages:\n  first:\n    do: make\n    source: im.txt\n    txt: 1\n  b:\n    do: cop\n"
    text += "  c:\n    do: copy\n    data: $d\n    times: x\n"
    codes = [error.code for error in problems(tmp_path, text, sets=["e.f=1", "x"])]
    expected = ["P-OPTION-001", "P-OPTION-004", "P-RECIPE-006", "P-OPTION-001", "P-FILE-001", "P-OPTION-004"]
    assert codes == [*expected, "P-RECIPE-008", "P-OPTION-002"]


def test_set_and_only_are_checked(tmp_path):
    assert only(tmp_path, STEP, sets=["frist.text=a"]).nearest == "first"
    assert only(tmp_path, STEP, sets=["first.text"]).code == "P-RECIPE-006"
    assert only(tmp_path, STEP, sets=["first.text=[a"]).code == "P-RECIPE-006"
    assert only(tmp_path, STEP, only="frist").nearest == "first"
    assert only(tmp_path, STEP + "  b:\n    do: copy\n    data: $first\n", only="b").code == "P-RECIPE-011"


def test_set_reads_yaml(tmp_path):
    recipe = place(tmp_path)
    sets = ["second.times=5", "second.names={a: b}", "first.text='7'", "second.order=down"]
    run = plan(recipe, tmp_path / "out", stages=TOYS, sets=sets)
    second = run.steps[1].options
    assert (second["times"], second["names"], second["order"]) == (5, {"a": "b"}, "down")
    assert run.steps[0].options["text"] == "7"


def test_not_utf8_and_not_there(tmp_path):
    recipe = place(tmp_path)
    recipe.write_bytes("name: 盆\n".encode("gb18030"))
    with pytest.raises(PenjingError, match="P-RECIPE-001"):
        plan(recipe, stages=TOYS)
    with pytest.raises(PenjingError, match="P-FILE-001"):
        plan(tmp_path / "nothing.yaml", stages=TOYS)


def test_plan_writes_nothing_and_names_folders(tmp_path):
    run = plan(place(tmp_path), tmp_path / "out", stages=TOYS)
    assert run.states == {"first": "to make", "second": "to make"}
    assert not (tmp_path / "out").exists()
    assert run.steps[0].folder.startswith("first-") and len(run.steps[0].folder) == len("first-") + 10


def test_a_folder_is_a_recipe_and_the_name_is_the_default_out(tmp_path):
    place(tmp_path)
    assert plan(tmp_path, stages=TOYS).out.as_posix() == "runs/toy"


@pytest.mark.parametrize(
    "text",
    ["stages:\n  1:\n    do: make\n", "stages:\n  true: {}\n", "stages:\n  null: {}\n", "stages: &a\n  b: *a\n",
     "a: &a {first: {do: make, source: in.txt}}\nstages:\n  <<: *a\n", "stages:\n  first: {1: 2}\n", "? [a]\n: b\n",
     "stages:\n  first: {do: [make]}\n", "stages: {first: {do: make, source: {a: $b}}}\n", "\0",
     "stages: !!python/name:os {}\n"],
)  # fmt: skip
def test_strange_yaml_is_one_clear_error(tmp_path, text):
    assert problems(tmp_path, text)


PIECES = [*"$[]{}-#'!|1盆 \n:", "stages:", "name:", "  ", "first", "do", "make", "&a", "*a", "<<", "null", "? "]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_any_text_gives_a_recipe_or_an_error_of_ours(tmp_path, words):
    try:
        recipe, _ = parse_recipe("".join(words), tmp_path / "recipe.yaml")
        check_recipe(recipe, TOYS)
    except PenjingError as error:
        assert error.code == "P-RECIPE-001"


@pytest.mark.parametrize(
    "old, path, new",
    [("tag", "tag.crf", {"tag": {"crf": 1}}), ({"tag": {"stride": 3}}, "tag.crf", {"tag": {"stride": 3, "crf": 1}}),
     ({"tag": {"stride": 3}}, "span.stride", {"span": {"stride": 1}}), (None, "tag.crf", {"tag": {"crf": 1}}),
     ({"text": "a"}, "label", {"text": "a", "label": 1}), ({"tag": None}, "tag.crf", {"tag": {"crf": 1}}),
     ("tag", "", 1), ("tag", "span.stride", {"span": {"stride": 1}})],
)  # fmt: skip
def test_a_value_is_put_inside_a_choice(old, path, new):
    from penjing.recipe.reading import Step, set_option

    step, problems = Step("one", "finetune", {} if old is None else {"task": old}), []
    set_option(step, "task" + (f".{path}" if path else ""), "1", problems)
    assert step.options == {"task": new} and not problems
