"""A model of Penjing in EleutherAI's lm-eval harness, with the values of the harness's own `hf` model.

lm_eval.simple_evaluate(model=PenjingLM("runs/stories/pretrain"), tasks=["arc_easy"])
python -m penjing.evaluate.harness run --model penjing --model_args path=FOLDER --tasks arc_easy

The harness has no plugins: its own command `lm_eval` knows no models but its own, so ours is registered when this file is
imported, and the second line is the harness's command with that done before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from penjing.base.errors import DataError, OptionError, TaskError, needs_extra
from penjing.base.progress import tell
from penjing.generate.scoring import Likelihood, likelihoods
from penjing.tasks.defaults import SAME
from penjing.tasks.writer import Ending, Writer

try:
    from lm_eval.api.model import TemplateLM
    from lm_eval.api.registry import model_registry
    from lm_eval.models.utils import normalize_gen_kwargs, postprocess_generated_text
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
except ImportError:
    needs_extra("lm_eval", "harness", "the lm-eval harness")

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

NAME = "penjing"
USUAL_ROWS = 8  # texts of the longest kind in a batch, where nothing is said
NEW_TOKENS = 256  # of an answer, where a task does not say; as the harness's own models
OPTIONS = ("path", "batch_size", "max_length", "dtype", "device")
HANDLED = ("do_sample", "temperature", "until")

Request = tuple[Any, list[int], list[int]]  # what was asked, tokens of the context and of the continuation


class PenjingLM(TemplateLM):
    """A writer as the harness asks it. `path`: a model folder or a step with one in it; or give a `writer` itself.

    batch_size: texts of the longest kind that are computed together; it changes no value. max_length: tokens of a
    window, the network's where left out.
    """

    def __init__(
        self, path: str | Path | None = None, *, writer: Writer | None = None, batch_size: int | str | None = None,
        max_length: int | None = None, dtype: Literal["float32", "bfloat16"] = "float32", device: str | None = None,
        **strange: Any,
    ):  # fmt: skip
        super().__init__()
        if path is None and writer is None:
            raise OptionError("P-OPTION-003", owner="PenjingLM", option="path")
        if wrong := [name for name, value in strange.items() if value is not None]:
            raise OptionError("P-OPTION-001", owner="PenjingLM", given=wrong[0], known=OPTIONS)
        self.writer = writer or Writer.load(folder_of(path), dtype=dtype)  # type: ignore[arg-type]
        if device is not None:
            self.writer.network.to(usable(device))
        self.name = str(path or "writer")
        self.max_length = min(
            max_length or self.writer.network.config.max_tokens, self.writer.network.config.max_tokens
        )
        rows = int(batch_size) if str(batch_size or "").isdecimal() else USUAL_ROWS  # `auto` as well
        self.batch_tokens = rows * self.max_length
        self.backend = "seq2seq" if self.writer.encoder_decoder else "causal"

    # ---- tokens ----

    @property
    def eot_token_id(self) -> int:
        end = self.writer.tokenizer.end
        return self.writer.tokenizer.pad if end is None else end

    @property
    def prefix_token_id(self) -> int:
        begin = self.writer.tokenizer.begin
        return self.eot_token_id if begin is None else begin

    @cached_property
    def prefix(self) -> str:
        return self.writer.tokenizer.token(self.prefix_token_id)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """As transformers: with the special tokens around a text, unless it begins with one or none are wanted."""
        tokens = self.writer.tokenizer.encode(string)
        wanted = not string.startswith(self.prefix) if add_special_tokens is None else add_special_tokens
        return self.writer.tokenizer.build(tokens) if wanted else tokens

    # ---- likelihoods ----

    def _loglikelihood_tokens(
        self, requests: Sequence[Request], disable_tqdm: bool = False, **kwargs: Any
    ) -> list[tuple[float, bool]]:
        """For each request the log-probability of its continuation, and whether it is what greedy decoding says."""
        found: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        places: dict[tuple[int, ...], list[int]] = {}
        for place, (_, context, continuation) in enumerate(requests):
            places.setdefault(self.window(context, continuation), []).append(place)
        answers = self.likelihoods(list(places), [[requests[place][2] for place in some] for some in places.values()])
        for some, likely in zip(places.values(), answers, strict=True):
            for place, one in zip(some, likely, strict=True):
                found[place] = one.total, one.greedy
                if requests[place][0] is not None:
                    self.cache_hook.add_partial("loglikelihood", requests[place][0], found[place])
        return found

    def likelihoods(
        self, prompts: Sequence[Sequence[int]], endings: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[Likelihood]]:
        start = [] if self.backend == "causal" else [self.writer.start]
        return likelihoods(
            self.writer.network, prompts, endings, start=start, batch_tokens=self.batch_tokens
        )  # fmt: skip

    def window(self, context: Sequence[int], continuation: Sequence[int]) -> tuple[int, ...]:
        """The newest tokens of a context that fit the window before its continuation, whose last is not read."""
        if not continuation:
            raise DataError("P-SHOT-014")
        if len(continuation) > self.max_length:
            raise TaskError("P-SHOT-015", given=len(continuation), most=self.max_length)
        room = self.max_length if self.backend == "seq2seq" else self.max_length + 1 - len(continuation)
        return tuple(context[-room:])

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """The log-probability of whole texts; a long one in windows that guess each token once."""
        pieces: list[Request] = []
        owners: list[int] = []
        for number, request in enumerate(requests):
            tokens = self.tok_encode(request.args[0])
            for window in get_rolling_token_windows(tokens, self.prefix_token_id, self.max_length, 1):
                pieces.append((None, *make_disjoint_window(window)))
                owners.append(number)
        totals = [0.0] * len(requests)
        for number, (value, _) in zip(owners, self._loglikelihood_tokens(pieces), strict=True):
            totals[number] += value
        for request, value in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, value)
        return totals

    # ---- answers ----

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answers up to one of the texts that end them; those that are asked alike are written together."""
        alike: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            alike.setdefault(repr(request.args[1]), []).append(place)
        found: dict[int, str] = {}
        for places in alike.values():
            contexts = [requests[place].args[0] for place in places]
            answers = self.written(contexts, requests[places[0]].args[1])
            for place, answer in zip(places, answers, strict=True):
                found[place] = answer
                self.cache_hook.add_partial("generate_until", requests[place].args, answer)
        return [found[place] for place in range(len(requests))]

    def written(self, contexts: Sequence[str], asked: Mapping[str, Any]) -> list[str]:
        """The answers to contexts, all asked in one way."""
        given = dict(normalize_gen_kwargs(dict(asked), NEW_TOKENS))
        most = int(given.pop("max_gen_toks"))
        until = given.get("until") or []
        stops = tuple(text for text in ([until] if isinstance(until, str) else until) if text)
        room = self.max_length - (most if self.backend == "causal" else 0)
        if room < 1:
            raise TaskError("P-SHOT-015", given=most, most=self.max_length)
        prompts = [self.tok_encode(context)[-room:] for context in contexts]
        options = self.writer.asked(options_of(given) | {"max_new_tokens": most})
        answers = self.writer.complete(prompts, Ending(stops), options)
        texts = (self.writer.tokenizer.decode(answer.tokens) for (answer,) in answers)
        return [postprocess_generated_text(text, list(stops), None) for text in texts]

    # ---- conversations ----

    @property
    def tokenizer_name(self) -> str:
        return self.name.replace("/", "__")

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The template in use; another one by its name."""
        if isinstance(chat_template, str):
            self.writer.template = chat_template
            self.writer.__dict__.pop("chat", None)
        return self.writer.chat.source() if chat_template else None

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        open_end = {"continue_final_message": True} if not add_generation_prompt else {"add_generation_prompt": True}
        return self.writer.chat.render(chat_history, **open_end)

    def get_model_info(self) -> dict[str, Any]:
        """What the harness keeps beside its results."""
        weights = list(self.writer.network.parameters())
        return {"model_num_parameters": sum(one.numel() for one in weights), "model_dtype": str(weights[0].dtype)}


def options_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The harness's words for decoding, which are transformers', as options of ours."""
    strange = [name for name in given if name not in SAME and name not in HANDLED]
    if strange:
        raise OptionError("P-OPTION-001", owner="generate_until", given=strange[0], known=[*SAME, *HANDLED])
    found = {SAME[name]: value for name, value in given.items() if name in SAME and name != "temperature"}
    return found | {"temperature": float(given.get("temperature") or 0.0) if given.get("do_sample") else 0.0}


def usable(device: str) -> str:
    """The device, or the processor where it is not there: the harness's command asks for a GPU on its own."""
    import torch

    kind = device.partition(":")[0]
    there = kind == "cpu" or (kind == "cuda" and torch.cuda.is_available())
    if not there and not (kind == "mps" and torch.backends.mps.is_available()):
        tell("warning", "harness", f"the device {device} is not there: the processor computes")
        return "cpu"
    return device


def folder_of(path: Any) -> Any:
    """The model folder of a step, or what was given: a folder, or the id of a model on the hub."""
    inside = Path(path) / "model"
    return inside if (inside / "config.json").exists() else path


def register() -> None:
    """Make the harness know `penjing`."""
    if NAME not in model_registry:
        model_registry.register(NAME, target="penjing.evaluate.harness:PenjingLM")


def main() -> None:
    """The harness's own command, which then knows `--model penjing`."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


register()
if __name__ == "__main__":
    main()
