"""The stage `reinforce`: a generative network learns from rewards of its own answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from penjing.base.errors import PenjingError, TrainError, raise_all
from penjing.base.options import Choice, Choices
from penjing.train.rewards import spelled


def reinforce(
    out: Path,
    *,
    data: Annotated[
        Path, Field(description="a folder with train and, if need be, valid files: prompts, and what rewards need")
    ],
    model: Annotated[Path, Field(description="a causal or chat model: a step, a folder or a hub id")],
    reward: Annotated[
        Choice | list[Choice],
        AfterValidator(spelled),
        Field(
            description="what an answer is worth: exact, regex, json_schema, arithmetic, classifier, model, or file.py:function; "
            "several in a list, each with its weight"
        ),
    ] = "exact",
    method: Annotated[Choice, Field(description="grpo or rloo; '{grpo: {kl: 0.01}}' with options")] = "grpo",
    change: Annotated[
        Choices, Field(description="what alone is trained: lora, ia3, bitfit or freeze; a list stacks them")
    ] = None,
    steps: Annotated[int, Field(ge=1, description="how long: rounds of answers")] = 100,
    prompts: Annotated[int, Field(ge=1, description="prompts of a step")] = 16,
    group: Annotated[int, Field(ge=2, description="answers of each prompt")] = 8,
    max_new_tokens: Annotated[
        int, Field(ge=1, description="most tokens of an answer, the one that ends it included")
    ] = 64,
    temperature: Annotated[
        float, Field(gt=0, allow_inf_nan=False, description="of the answers, and of the probabilities that are learnt")
    ] = 1.0,
    batch_tokens: Annotated[
        int, Field(ge=16, description="tokens computed at once; changes memory, and only rounding")
    ] = 4096,
    learning_rate: Annotated[float, Field(gt=0, description="the highest learning rate")] = 1e-4,
    weight_decay: Annotated[float, Field(ge=0, description="decay of matrices; biases and norms have none")] = 0.0,
    warmup: Annotated[float, Field(ge=0, le=1, description="share of the steps in which the rate rises")] = 0.05,
    schedule: Annotated[Literal["constant", "linear", "cosine"], Field(description="how the rate falls")] = "constant",
    clip: Annotated[float, Field(ge=0, description="greatest norm of the gradient; 0: no limit")] = 1.0,
    validate_times: Annotated[int, Field(ge=0, description="validations in the run, beside one before it")] = 5,
    seed: Annotated[int, Field(ge=0, description="all chance follows from it")] = 0,
    save_seconds: Annotated[float, Field(ge=0, description="seconds between saved states")] = 60.0,
) -> dict[str, Any]:
    """Teach a generative network by rewards: it answers, answers are judged, the better ones become likelier."""
    options = dict(locals())
    from dataclasses import fields

    from penjing.changes import changes_of
    from penjing.recipe.learning import adapter_beside, folder_of, summary
    from penjing.tasks.model import Model
    from penjing.train.methods import method_of
    from penjing.train.reinforce import ReinforceOptions
    from penjing.train.reinforce import reinforce as learn
    from penjing.train.resume import drop_state

    rewards, how = rewards_and(options), method_of(method)
    train, valid = records_and(options, rewards)
    learner = Model.load(folder_of(model)).adapt(changes_of(change), seed)
    loop = ReinforceOptions(**{field.name: options[field.name] for field in fields(ReinforceOptions)})
    outcome = learn(learner, how, rewards, train, valid, loop, out)
    learner.lineage = learner.lineage | {"reinforce": {"records": len(train), "tokens": outcome["tokens"]}}
    learner.save(out / "model")
    if change:
        adapter_beside(learner, model, out / "adapter")
    drop_state(out)
    return summary(learner, outcome)


def rewards_and(options: dict[str, Any]) -> list[Any]:
    """The rewards that an option names, ready."""
    from penjing.train.rewards import rewards_of

    rewards = rewards_of(options["reward"])
    for one in rewards:
        one.prepare()
    return rewards


def records_and(options: dict[str, Any], rewards: list[Any]) -> tuple[list[Any], list[Any]]:
    """The records of train and valid; what rewards lack in them is told together."""
    from penjing.train.prepare import records_of

    train, valid = (records_of(options["data"], split) for split in ("train", "valid"))
    if not train:
        raise TrainError("P-TRAIN-003", what=f"{options['data']}/train.jsonl")
    raise_all([problem for one in rewards for records in (train, valid) for problem in one.check(records)])
    return train, valid


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything runs: rewards, method, changes, records."""
    from penjing.changes import changes_of
    from penjing.recipe.learning import problems_of
    from penjing.train.methods import method_of

    ready: list[Any] = []
    found = problems_of(lambda: method_of(options["method"]), lambda: changes_of(options["change"]))
    if "reward" in options:  # else a part of it is an earlier step's
        found += problems_of(lambda: ready.append(rewards_and(options)))
    if ready and "data" in options:
        found += problems_of(lambda: records_and(options, ready[0]))
    return found


def choices() -> dict[str, dict[str, Any]]:
    """Whose options live inside a choice of this stage."""
    from penjing.train.methods import METHODS, kind_of_method
    from penjing.train.rewards import REWARDS, kind_of_reward

    return {
        "method": {name: kind_of_method(name) for name in METHODS},
        "reward": {name: kind_of_reward(name) for name in REWARDS},
    }
