"""What answers are worth, by each reward and each method, worked out by hand; and what rewards refuse."""

import json

import numpy as np
import pytest
import torch
from toys import teach, toy_model

from penjing.base.errors import PenjingError, messages
from penjing.train.methods import METHODS, kind_of_method, method_of
from penjing.train.methods.method import Taken
from penjing.train.rewards import REWARDS, kind_of_reward, rewards_of
from penjing.train.rewards.arithmetic import computed, last_number

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1}, "way": {"enum": ["up", "down"]}, "s": {"minLength": 2}},
    "required": ["n"],
    "additionalProperties": False,
}


def worth(said, *pairs):
    """What a reward gives for (answer, record) pairs."""
    (reward,) = rewards_of(said)
    reward.prepare()
    return list(reward.of([answer for answer, _ in pairs], [record for _, record in pairs]))


def codes(found):
    return [one.code for one in found]


def test_files_and_words_agree():
    from penjing.train import methods, rewards

    for package, names, kind in ((rewards, REWARDS, kind_of_reward), (methods, METHODS, kind_of_method)):
        files = {path.stem for root in package.__path__ for path in __import__("pathlib").Path(root).glob("*.py")}
        assert files - {"__init__", "reward", "method"} == set(names)
        assert all(kind(name).__doc__ for name in names)


def test_exact():
    record = {"answer": "Yes"}
    assert worth("exact", (" Yes\n", record), ("yes", record), ("Yes.", record)) == [1, 0, 0]
    assert worth({"exact": {"lower": True}}, ("yes", record)) == [1]
    assert worth({"exact": {"field": "good"}}, ("b", {"good": ["a", "b"]}), ("3", {"good": 3})) == [1, 1]


def test_regex():
    assert worth({"regex": {"pattern": "[0-9]+"}}, ("a 12 b", {}), ("none", {})) == [1, 0]
    assert worth({"regex": {"pattern": "[0-9]+", "whole": True}}, ("a 12", {}), (" 12\n", {})) == [0, 1]


def test_json_schema():
    good = ['{"n": 1}', '{"n": 2.0, "way": "up", "s": "ab"}']
    bad = [
        "{}",
        '{"n": 0}',
        '{"n": true}',
        '{"n": 1, "way": "left"}',
        '{"n": 1, "more": 2}',
        "[1]",
        '{"n": 1, "s": "a"}',
    ]
    pairs = [(answer, {}) for answer in [*good, *bad, "no json"]]
    assert worth({"json_schema": {"schema": SCHEMA, "partly": 0.25}}, *pairs) == [1, 1, *[0.25] * len(bad), 0]
    one = {"json_schema": {"schema": {"oneOf": [{"type": "integer"}, {"minimum": 5}]}}}
    assert worth(one, ("3", {}), ("7", {}), ("7.5", {})) == [1, 0, 1]


@pytest.mark.parametrize(("text", "value"), [
    ("What is 12 + 7 * (3 - 1)?", 26), ("47+86=", 133), ("7 ÷ 2", "7/2"), ("-3 × 2 = ", -6), ("no sum", None), ("1/0", None),
    ("(1+", None), ("2**9", None),
])  # fmt: skip
def test_expressions_are_computed(text, value):
    from fractions import Fraction

    assert computed(text) == (None if value is None else Fraction(value))


def test_arithmetic():
    record = {"prompt": "0.1 + 0.2 = "}
    assert worth("arithmetic", ("it is 0.3", record), ("3/10", record), ("0.3 or 4", record), ("", record)) == [
        1,
        1,
        0,
        0,
    ]
    assert last_number("1,024 tons") == 1024 and last_number("−5") == -5 and last_number("1/0") is None
    (reward,) = rewards_of("arithmetic")
    assert codes(reward.check([record, {"prompt": "hello"}])) == ["P-TRAIN-039"]


def test_a_classifier_judges(tmp_path):
    model = toy_model()
    teach(model, 30)
    model.save(tmp_path / "judge" / "model")
    pairs = [("the tree was good", {}), ("the tree was awful", {})]
    found = worth({"classifier": {"file": str(tmp_path / "judge"), "label": "good"}}, *pairs)
    assert found == pytest.approx(model.probabilities([answer for answer, _ in pairs])[:, 1].tolist())
    assert found[0] > found[1]
    with pytest.raises(PenjingError, match="P-OPTION-004"):
        worth({"classifier": {"file": str(tmp_path / "judge"), "label": "god"}})


def test_a_function_of_ones_own(tmp_path):
    file = tmp_path / "own.py"
    file.write_text("def short(answer, record):\n    return record['most'] - len(answer)\n", "utf-8")
    assert worth(f"{file}:short", ("abc", {"most": 5})) == [2]
    with pytest.raises(PenjingError, match="P-OPTION-004"):
        worth(f"{file}:shrot")
    file.write_text("import nothing_of_this_name\n", "utf-8")
    with pytest.raises(PenjingError, match="P-TRAIN-035"):
        worth(f"{file}:short")


@pytest.mark.parametrize(("said", "code"), [
    ("exakt", "P-OPTION-004"), ({"exact": {"feild": "a"}}, "P-OPTION-001"), ({"regex": {"pattern": "("}}, "P-TRAIN-036"),
    ({"json_schema": {"schema": {"type": "objct"}}}, "P-TRAIN-036"), ({"regex": {}}, "P-OPTION-003"),
    ({"json_schema": {"schema": {"items": {"if": {}}}}}, "P-TRAIN-036"),
])  # fmt: skip
def test_what_is_refused(said, code):
    with pytest.raises(PenjingError) as error:
        worth(said)
    assert error.value.code == code and messages()[code]


def test_fields_that_lack_are_told_once_each():
    several = rewards_of(["exact", {"exact": {"field": "b", "weight": 0.5}}, "arithmetic"])
    records = [{"answer": "1", "prompt": "1+1"}, {"prompt": "1+1"}, {"prompt": "1+1"}]
    found = [problem for one in several for problem in one.check(records)]
    assert codes(found) == ["P-TRAIN-031"] * 2
    assert [(one.field, one.values["count"], one.line) for one in found] == [("answer", 2, 2), ("b", 3, 1)]


# ---- methods ----


REWARDED = np.asarray([[1.0, 0, 0, 0], [0.1, 0.1, 0.1, 0.1]])


def test_advantages_by_hand():
    still = np.zeros_like(REWARDED)
    found = method_of("grpo").advantages(REWARDED, still)
    assert (
        found[0] == pytest.approx(np.asarray([0.75, -0.25, -0.25, -0.25]) / 0.4331127, rel=1e-3) and not found[1].any()
    )
    plain = method_of({"grpo": {"deviation": False}}).advantages(REWARDED, still)
    assert plain[0] == pytest.approx([0.75, -0.25, -0.25, -0.25])
    rloo = method_of({"rloo": {"kl": 0.5}})
    assert (
        rloo.advantages(REWARDED, still)[0] == pytest.approx([1, *[-1 / 3] * 3])
        and not rloo.advantages(REWARDED, still)[1].any()
    )
    assert rloo.advantages(still[:1, :2], np.asarray([[1.0, 0.0]]))[0] == pytest.approx([-0.5, 0.5])


def taken(logs, old, reference=None, advantages=(2.0, 2.0, -1.0), lengths=(2, 2, 1)):
    def tensor(values):
        return torch.tensor(values, dtype=torch.float64)

    ours = tensor(logs).requires_grad_()
    return ours, Taken(
        ours, tensor(old), None if reference is None else tensor(reference), tensor(advantages), tensor(lengths)
    )


def test_losses_by_hand():
    logs, given = taken([-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0])
    loss = method_of("grpo").losses(given, 4).sum()
    assert float(loss.detach()) == pytest.approx(-(2 / 2 + 2 / 2 - 1))
    loss.backward()  # on the network that took them the gradient is that of the log-probabilities
    assert logs.grad.tolist() == pytest.approx([-1.0, -1.0, 1.0])
    assert float(method_of({"grpo": {"lengths": False}}).losses(given, 4).sum().detach()) == pytest.approx(
        -(2 + 2 - 1) / 4
    )
    logs, given = taken([-1.0, -2.0, -3.0], [-1.5, -2.0, -2.0])
    loss = method_of({"grpo": {"updates": 2, "clip": 0.1}}).losses(given, 4).sum()
    assert float(loss.detach()) == pytest.approx(-(1.1 * 2 / 2 + 2 / 2 - 0.9))
    loss.backward()
    assert logs.grad[0] == 0 and logs.grad[1] == -1 and logs.grad[2] == 0  # what went far enough is let alone
    _, given = taken([-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0], [-1.0, -2.0, -2.0])
    drift = np.e - 1 - 1
    assert float(method_of({"grpo": {"kl": 0.1}}).losses(given, 4).sum().detach()) == pytest.approx(-1 + 0.1 * drift)
    logs, given = taken([-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0])
    method_of("rloo").losses(given, 4).sum().backward()
    assert logs.grad.tolist() == pytest.approx([-2, -2, 1])


def test_options_without_effect_are_refused():
    with pytest.raises(PenjingError, match="P-TRAIN-007"):
        method_of({"grpo": {"clip": 0.1}})
    with pytest.raises(PenjingError, match="P-OPTION-001"):
        method_of({"rloo": {"clip": 0.1}})
    assert json.dumps(METHODS)
