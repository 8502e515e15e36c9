"""Matrices of few bits: compiled code says what the numbers say, row by row, and the written-out step what the blocks say."""

import subprocess

import pytest
import torch
import torch.nn.functional as F
from networks import batch, network
from test_step import CLOSE, TRANSFORMERS, general, read, runs, steps

from penjing.changes import changes_of
from penjing.changes.change import Changes
from penjing.model import native
from penjing.model.batch import Batch
from penjing.model.products import WORTH, prepared
from penjing.model.quantized import Int4, Int8, alone, nearly

KINDS = {
    "int8": lambda *shape, **more: Int8(*shape, **more),
    "int4 32": lambda *shape, **more: Int4(*shape, group=32, **more),
    "int4 64": lambda *shape, **more: Int4(*shape, group=64, asymmetric=True, **more),
}
SHAPES = [(48, 128), (37, 85), (1, 3), (130, 200)]
ROWS = (1, 2, 3, 7, 60)


def filled(kind, outputs, inputs, **more):
    generator = torch.Generator().manual_seed(outputs)
    matrix = KINDS[kind](outputs, inputs, **more)
    matrix.round(torch.randn(outputs, inputs, generator=generator))
    return matrix


@pytest.fixture
def portable(tmp_path, monkeypatch):
    """The same code without the instructions of this processor and without OpenMP."""
    if native.library() is None:
        return
    flags = ["-O0" if flag == "-O3" else flag for flag in native.FLAGS]
    subprocess.run(["c++", *flags, str(native.SOURCE), "-o", str(tmp_path / "a.so")], check=True, capture_output=True)
    library = native.Library(tmp_path / "a.so")
    monkeypatch.setattr(native, "library", lambda: library)


@pytest.mark.parametrize("kind", KINDS)
def test_rounding_is_as_near_as_so_many_bits_are(kind):
    weight = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    matrix = KINDS[kind](64, 256)
    matrix.round(weight)
    assert (matrix.dense() - weight).norm() / weight.norm() < (0.01 if kind == "int8" else 0.09)
    again = KINDS[kind](64, 256)
    again.load_state_dict(matrix.state_dict())
    assert torch.equal(again.dense(), matrix.dense())
    size = sum(one.numel() * one.element_size() for one in matrix.buffers())
    assert size * 8 / weight.numel() < matrix.bits + 0.6


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_products_say_what_the_numbers_say(kind, wide):
    compare(kind, wide, SHAPES, ROWS)


@torch.no_grad()
def test_other_processors_say_the_same(portable):
    for kind in KINDS:
        compare(kind, kind == "int8", SHAPES[1:2], (1, 7))


def compare(kind, wide, shapes, rows):
    for outputs, inputs in shapes:
        matrix, bias = filled(kind, outputs, inputs, wide=wide), torch.randn(outputs)
        x = torch.randn(max(rows), inputs) * torch.linspace(0.1, 3, inputs)
        expected = F.linear(nearly(x, matrix), matrix.dense(), bias)
        close = dict(rtol=1e-5, atol=(2e-3 if wide else 1e-5) * float(expected.abs().max()))
        for count in rows:
            torch.testing.assert_close(matrix(x[:count], bias), expected[:count], **close)
            torch.testing.assert_close(matrix(x[:count]) + bias, expected[:count], **close)
        assert torch.equal(torch.cat([matrix(row, bias)[None] for row in x]), matrix(x, bias)), (
            "by itself or with others"
        )
        assert matrix(x[:0]).shape == (0, outputs) and matrix(x[None]).shape == (1, len(x), outputs)


@torch.no_grad()
def test_sixteen_bits_are_as_good_as_all():
    matrix, x = filled("int8", 64, 256, wide=True), torch.randn(20, 256)
    exact = F.linear(x, matrix.dense())
    assert (matrix(x) - exact).norm() / exact.norm() < 1e-4
    matrix.wide = False
    assert 1e-3 < (matrix(x) - exact).norm() / exact.norm() < 1e-2


@pytest.mark.parametrize("compiled", [True, False])
@torch.no_grad()
def test_numbers_that_are_none_stay_in_their_row(compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(native, "library", lambda: None)
    for odd in (torch.nan, torch.inf):
        matrix, x = filled("int8", 16, 70), torch.randn(3, 70)
        x[1, 66] = odd
        x[2] = 0
        found = matrix(x)
        assert not found[1].isfinite().any() and found[0].isfinite().all() and not found[2].any()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_numbers(kind):
    matrix, bias = filled(kind, 37, 85), torch.zeros(37, requires_grad=True)
    x = torch.randn(2, 3, 85, requires_grad=True)
    weights = torch.randn(2, 3, 37)
    (matrix(x, bias) * weights).sum().backward()
    torch.testing.assert_close(x.grad, weights @ matrix.dense(), **CLOSE)
    torch.testing.assert_close(bias.grad, weights.sum((0, 1)))
    assert not list(matrix.parameters())


def test_rows_of_a_table():
    table, numbers = filled("int8", 37, 21), torch.tensor([[3, 36], [0, 3]])
    assert torch.equal(table.rows(numbers), table.dense()[numbers])
    half = table.bfloat16()
    assert half.rows(numbers).dtype is half.dense().dtype is half(torch.randn(2, 21).bfloat16()).dtype is torch.bfloat16
    assert half.codes.dtype is torch.uint8


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_written_out_step_says_what_the_blocks_say(name, compiled):
    """Some products of eight bits, some of four, one as it was."""
    made = network(name)
    where = r"(attention|cross)\.(query|key|value)|mlp\..*"
    Changes(made).adopt(changes_of([{"int4": {"where": where, "embeddings": False}}, {"int8": {"where": "cross.output"}}]
                                   if made.encoder is not None else [{"int8": {"where": where}}]), 0)  # fmt: skip
    with torch.inference_mode(), prepared(made, 1, WORTH):
        made.tape.native = made.tape.native if compiled else None
        assert alone(made.decoder.blocks[0].mlp.down) is not None and alone(made.output) is not None
        memory, other, counted = read(made, name), read(made, name), runs(made.tape)
        torch.testing.assert_close(steps(made, memory, 20), general(made, other, 20), **CLOSE)
        assert len(counted) == 20
        told, made.tape = made.logits(memory.hidden), None
        torch.testing.assert_close(told, made.logits(memory.hidden), **CLOSE)


@torch.no_grad()
def test_the_company_of_a_text_changes_nothing():
    """Rounding looks at one row; what padding moves by a little may move a code by one, and no more."""
    made, whole, padded = network("bert"), batch("bert"), batch("bert", "left")
    Changes(made).adopt(changes_of("int8"), 0)
    together, beside = made(whole), made(padded)
    for row, mask in enumerate(padded.mask.bool()):
        one = made(Batch(whole.tokens[row : row + 1]))[0]
        torch.testing.assert_close(together[row], one, atol=1e-5, rtol=1e-5)
        short = made(Batch(padded.tokens[row : row + 1, mask]))[0]
        torch.testing.assert_close(beside[row, mask], short, atol=1e-2, rtol=1e-2)
