"""Every stage is a file and a word in STAGES; every option says what it is and can be written in YAML and as a flag."""

import inspect
from pathlib import Path

from penjing.base.options import options_of
from penjing.cli.stage import flag, value_of
from penjing.export import TARGETS
from penjing.recipe import stages
from penjing.recipe.records import KINDS, kind_named
from penjing.recipe.stages import BUILT_IN, STAGES, headline
from penjing.tasks import OBJECTIVES, USES
from penjing.train.methods import METHODS
from penjing.train.rewards import REWARDS

FOLDER = Path(stages.__file__).parent


def written():
    return [name for name in STAGES if (FOLDER / f"{name}.py").exists()]


def test_files_and_words_agree():
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert files <= set(STAGES), f"add to STAGES: {files - set(STAGES)}"


def test_the_help_names_every_choice():
    for stage, choice, names in (
        ("finetune", "task", USES),
        ("pretrain", "task", OBJECTIVES),
        ("clean", "records", KINDS),
        ("reinforce", "reward", REWARDS[:-1]),  # the last one is said as file.py:function
        ("reinforce", "method", METHODS),
        ("export", "to", TARGETS),
    ):
        told = options_of(BUILT_IN[stage].function)[choice].description.replace(",", " ").replace(";", " ").split()
        assert set(names) <= set(told), stage


def test_files_and_kinds_of_records_agree():
    files = {path.stem for path in (FOLDER.parent / "records").glob("*.py")} - {"__init__"}
    assert files == set(KINDS)
    for name in KINDS:
        for option in options_of(kind_named(name)).values():
            assert option.description, f"{name}.{option.name} has no description"


def test_every_option_of_every_stage_has_a_description():
    for name in written():
        assert headline(name), f"{name} has no docstring"
        for option in options_of(BUILT_IN[name].function).values():
            assert option.description, f"{name}.{option.name} has no description"
            assert option.name != "lang", "--lang belongs to the command line"


def test_the_first_parameter_is_out():
    for name in written():
        first, *rest = inspect.signature(BUILT_IN[name].function).parameters.values()
        assert first.name == "out"
        assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in rest), name


def test_every_option_is_a_flag():
    for name in written():
        for option in options_of(BUILT_IN[name].function).values():
            assert flag(option).help.startswith(option.description)
            value_of(option, ["1"] if option.default == [] else "1")
