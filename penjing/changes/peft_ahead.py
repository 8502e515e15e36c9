"""What stands before a text in PEFT's form: one tensor `prompt_embeddings`, and the head's weights beside it.

The tensor is what remains after training: of embeddings a row each, of a prefix the keys and values of all layers. So
p-tuning is written as the prompt that its small network makes, as it is here when training is over.

Shapes: P places, W width of the embeddings, L layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from penjing.base.errors import ModelError, PenjingError
from penjing.changes import change
from penjing.changes.ahead import stack_of
from penjing.changes.edits import Edit

if TYPE_CHECKING:
    from penjing.changes.peft import Layout

TENSOR = "prompt_embeddings"
ABOUT = ("num_virtual_tokens", "token_dim", "num_layers", "num_attention_heads", "num_transformer_submodules",
         "encoder_hidden_size")  # fmt: skip
Found = tuple[list[change.Change], dict[str, dict[str, Tensor]]]


class Before(change.Change):
    """A change that puts something before a text."""

    peft_root: ClassVar[str] = "base_model."
    before_text: ClassVar[bool] = True

    def about(self, layout: Layout, length: int, **more: Any) -> dict[str, Any]:
        """The keys of the config that all of them have."""
        config = layout.network.config
        sizes = {"token_dim": config.embedded, "num_attention_heads": config.heads,
                 "num_layers": config.decoder_layers or config.encoder_layers}  # fmt: skip
        return {"num_virtual_tokens": length, "num_transformer_submodules": 1, **sizes, **more}


def only_tensor(
    tensors: Mapping[str, Mapping[str, Tensor]], shapes: tuple[tuple[int, int], ...], wrong: list[str]
) -> Tensor | None:
    """The tensor, if it has one of these shapes; what does not fit is written into `wrong`."""
    held = tensors.get("", {}).get(TENSOR)
    if held is None:
        wrong.append(f"- {TENSOR}")
    elif tuple(held.shape) not in shapes:
        wrong.append(f"≠ {TENSOR} {tuple(held.shape)}, not {shapes[0]}")
    else:
        return held
    return None


# ---- embeddings ----


def first_of(layout: Layout) -> str:
    """Whose state a head that reads the first one gets there: in their form always that of the first vector."""
    return "prompt" if layout.network.decoder is None and layout.purpose == "classify" else "text"


def prompt_unsaid(layout: Layout, first: str) -> list[PenjingError]:
    """Why their form cannot hold embeddings with this `first`."""
    wanted = first_of(layout)
    return [] if first == wanted else [ModelError("P-CHANGE-096", field="first", given=first, wanted=wanted)]


def vectors_to_peft(own: Before, edits: Mapping[str, Edit], layout: Layout) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """As `Change.to_peft`."""
    (edit,) = edits.values()
    rows = edit.vectors().detach()  # type: ignore[operator, union-attr]
    return own.about(layout, len(rows), peft_type="PROMPT_TUNING", prompt_tuning_init="RANDOM"), {TENSOR: rows}


def vectors_from_peft(
    kind: Any, config: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]], layout: Layout, wrong: list[str]
) -> Found:
    """As `Change.from_peft`, for the change `kind`. For encoder-decoders their file has twice as many rows, of which
    they read the first half."""
    made = kind(length=config["num_virtual_tokens"], first=first_of(layout))
    path, _ = stack_of(layout.network, made.name, made.length, reading=True)
    width = layout.network.config.embedded
    rows = only_tensor(tensors, ((made.length, width), (2 * made.length, width)), wrong)
    return [made], {} if rows is None else {path: {"vectors.table": rows[: made.length]}}


# ---- keys and values ----


def order_of(layers: int) -> Tensor:
    """The layer whose saved values their encoder-decoders give to each layer: 0, 2, 4 ... and on from the beginning."""
    return torch.arange(layers) * 2 % layers


def both(layout: Layout) -> bool:
    return layout.network.encoder is not None and layout.network.decoder is not None


def prefix_unsaid(layout: Layout) -> list[PenjingError]:
    """Why their form cannot hold a prefix: of an even number of layers every other one would never be read."""
    layers = layout.network.config.decoder_layers
    return [ModelError("P-CHANGE-097", given=layers)] if both(layout) and layers % 2 == 0 else []


def prefix_to_peft(own: Before, edits: Mapping[str, Edit], layout: Layout) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """As `Change.to_peft`."""
    (edit,) = edits.values()
    rows = edit.rows().detach()  # type: ignore[operator, union-attr]
    layers, _, heads, inner = edit.sizes  # type: ignore[misc]
    if both(layout):
        placed = torch.empty_like(rows).view(len(rows), layers, -1)
        placed[:, order_of(layers)] = rows.view(len(rows), layers, -1)
        rows = placed.flatten(1)
    more = {"num_transformer_submodules": 2 if both(layout) else 1, "prefix_projection": False}
    sizes = {"token_dim": heads * inner, "num_attention_heads": heads, "num_layers": layers}
    return own.about(layout, len(rows), **more, **sizes), {TENSOR: rows}


def prefix_from_peft(
    kind: Any, config: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]], layout: Layout, wrong: list[str]
) -> Found:
    """As `Change.from_peft`, for the change `kind`."""
    made = kind(length=config["num_virtual_tokens"])
    path, stack = stack_of(layout.network, made.name, made.length, reading=False)
    layers = len(stack.blocks)
    keys = next(iter(stack.blocks)).attention.key_heads
    rows = only_tensor(tensors, ((made.length, 2 * layers * keys * stack.config.inner),), wrong)
    if rows is not None and both(layout):
        rows = rows.view(made.length, layers, -1)[:, order_of(layers)].flatten(1)
    return [made], {} if rows is None else {path: {"table": rows}}
