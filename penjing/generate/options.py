"""What a user may ask of decoding. Every option has an effect, or is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import GenerateError, OptionError, PenjingError, raise_all
from penjing.base.options import check_options

Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Word = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
SAMPLING = ("top_k", "top_p", "min_p", "typical_p", "seed")
SEARCHING = ("length_penalty", "early_stopping", "forced_words")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class GenerateOptions:
    """How to continue a prompt. Words are token ids."""

    max_new_tokens: Annotated[int, Field(ge=1, description="most tokens of an answer, the stop token included")] = 128
    min_new_tokens: Annotated[int, Field(ge=0, description="no stop token before so many tokens")] = 0
    temperature: Annotated[
        Finite, Field(ge=0, description="scores are divided by it; 0: always the most likely token")
    ] = 1.0
    top_k: Annotated[int | None, Field(ge=1, description="only the k most likely tokens")] = None
    top_p: Annotated[Share | None, Field(description="only the most likely tokens that together have this share")] = (
        None
    )
    min_p: Annotated[
        Share | None, Field(description="only tokens with at least this share of the likeliest's probability")
    ] = None
    typical_p: Annotated[
        Share | None, Field(description="only the tokens nearest to the expected surprise, together this share")
    ] = None
    repetition_penalty: Annotated[
        Finite, Field(gt=0, description="scores of tokens seen before, the prompt's too, are weakened by this factor")
    ] = 1.0
    frequency_penalty: Annotated[
        Finite, Field(description="taken from a token's score for each time it was generated")
    ] = 0.0
    presence_penalty: Annotated[Finite, Field(description="taken from the score of each token generated before")] = 0.0
    no_repeat_ngram: Annotated[int, Field(ge=0, description="no run of so many tokens comes twice; 0: may")] = 0
    bad_words: Annotated[tuple[Word, ...], Field(description="runs of tokens that never come")] = ()
    forced_words: Annotated[tuple[Word, ...], Field(description="runs of tokens that must come (with beams)")] = ()
    logit_bias: Annotated[dict[int, Finite], Field(description="added to the scores of these tokens")] = Field(
        default_factory=dict
    )
    stop_tokens: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...], Field(description="tokens that end an answer and are no part of it")
    ] = ()
    beams: Annotated[int, Field(ge=1, description="answers followed at once; 1: no search")] = 1
    length_penalty: Annotated[
        Finite, Field(description="a beam's score is divided by its length to this power; above 0 favours long answers")
    ] = 1.0
    early_stopping: Annotated[
        bool, Field(description="end the search once as many answers ended as there are beams")
    ] = False
    returns: Annotated[int, Field(ge=1, description="answers for each prompt")] = 1
    top_log_probabilities: Annotated[int, Field(ge=0, description="tell so many of the likeliest tokens each time")] = 0
    seed: Annotated[
        int | None, Field(ge=0, description="the same seed draws the same answer; None: another each time")
    ] = None
    first_token: Annotated[
        int | None, Field(ge=0, description="what every answer begins with (forced_bos_token_id)")
    ] = None
    last_token: Annotated[
        int | None, Field(ge=0, description="what an answer of max_new_tokens ends with (forced_eos_token_id)")
    ] = None
    decoder_start: Annotated[
        int | None,
        Field(
            ge=0,
            description="what a decoder beside an encoder begins with, where no target is given; None: as its config says",
        ),
    ] = None

    def __post_init__(self) -> None:
        """What contradicts itself or can have no effect is told at once."""
        raise_all([*self.idle(), *self.contradictions()])

    @staticmethod
    def read(given: Mapping[str, Any], owner: str = "generate") -> GenerateOptions:
        """Options from names and values; unknown names and wrong kinds are told together."""
        return GenerateOptions(**check_options(GenerateOptions, given, owner))

    @property
    def greedy(self) -> bool:
        """Whether no chance is in it."""
        return self.temperature == 0 or self.beams > 1

    def idle(self) -> list[PenjingError]:
        """Options that nothing would read."""
        found = []
        if self.temperature == 0 and self.beams == 1:
            found += [idle(name, "temperature > 0") for name in SAMPLING if getattr(self, name) is not None]
        if self.beams == 1:
            plain = {"length_penalty": 1.0, "early_stopping": False, "forced_words": ()}
            found += [idle(name, "beams > 1") for name in SEARCHING if getattr(self, name) != plain[name]]
        if self.min_new_tokens and not self.stop_tokens:
            found.append(idle("min_new_tokens", "stop_tokens"))
        return found

    def contradictions(self) -> list[PenjingError]:
        """Options that cannot all be kept."""
        found: list[PenjingError] = []
        if self.min_new_tokens > self.max_new_tokens:
            found.append(
                GenerateError(
                    "P-GENERATE-001", field="min_new_tokens", given=self.min_new_tokens, most=self.max_new_tokens
                )
            )
        if self.beams > 1:
            clash = [name for name in SAMPLING if getattr(self, name) is not None]
            clash += ["temperature"] * (self.temperature not in (0, 1))
            clash += ["top_log_probabilities"] * bool(self.top_log_probabilities)
            found += [OptionError("P-OPTION-006", option=name, other="beams") for name in clash]
        most = self.beams if self.beams > 1 else 1 if self.temperature == 0 else self.returns
        if self.returns > most:
            found.append(GenerateError("P-GENERATE-002", field="returns", given=self.returns, most=most))
        if sum(len(word) for word in self.forced_words) > self.max_new_tokens:
            found.append(GenerateError("P-GENERATE-003", field="forced_words", most=self.max_new_tokens))
        return found


def idle(option: str, other: str) -> OptionError:
    """An option that has no effect without another."""
    return OptionError("P-OPTION-005", option=option, other=other)
