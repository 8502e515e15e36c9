"""Products of few rows: the same numbers however they are computed, packed only while a generation lasts."""

import sys
from threading import Thread

import pytest
import torch
import torch.nn.functional as F
from networks import batch, network

from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.model.checkpoint import read_checkpoint, write_checkpoint
from penjing.model.layers import together
from penjing.model.products import THIN, WORTH, Linear, prepared

CLOSE = dict(atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("outputs", [6, 7])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 2), (5, 1), (0, 1), (4, 9)])
def test_a_product_is_a_product(shape, bias, outputs):
    linear, x = Linear(5, outputs, bias), torch.randn(*shape, 5)
    expected = F.linear(x, linear.weight, linear.bias)
    with torch.no_grad():
        torch.testing.assert_close(linear(x), expected, **CLOSE)
        made = linear(x[:, 0]) if shape[1] else None
        torch.testing.assert_close(made, expected[:, 0], **CLOSE)
        torch.testing.assert_close(linear.bfloat16()(x.bfloat16()).float(), expected, atol=0.1, rtol=0.1)


def test_gradients_flow():
    linear, x = Linear(5, 6), torch.randn(1, 1, 5, requires_grad=True)
    linear(x).sum().backward()
    torch.testing.assert_close(x.grad[0, 0], linear.weight.sum(0).detach())


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_packed_matrices_say_the_same_and_are_given_back(name):
    made, given = network(name), batch(name, "right")
    with torch.no_grad():
        rows = torch.randn(THIN + 1, 1, 16)
        plain = made.start(given).hidden
        block = made.decoder.blocks[0]
        wanted = [made.logits(rows), block.mlp(rows)]
        with prepared(made, THIN + 1, WORTH):
            held = [owner for owner, *_ in made.products() if prepared_parts(owner)]
            assert len(held) == len(made.products()) and made.output in held
            assert not made.encoder or all(one.packed is None for one in made.encoder.modules() if type(one) is Linear)
            torch.testing.assert_close(made.start(given).hidden, plain, **CLOSE)
            for one, other in zip([made.logits(rows), block.mlp(rows)], wanted, strict=True):
                torch.testing.assert_close(one, other, **CLOSE)
        assert not any(prepared_parts(one) for one in made.modules())


def prepared_parts(one):
    return [part for part in (getattr(one, "packed", None), getattr(one, "joined", None)) if part is not None]


def test_what_reads_the_same_input_lies_side_by_side_and_is_stored_once():
    made, given = network("llama"), batch("llama")
    attention = made.decoder.blocks[0].attention
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    with torch.inference_mode():
        plain = made.start(given).hidden
        for _ in range(2):  # the second time nothing moves
            with prepared(made, 1, WORTH):
                places = [p.data_ptr() for p in made.parameters()]
                ready = attention.query.joined
                assert ready.packed is None and ready.weight.data_ptr() == attention.query.weight.data_ptr()
                assert torch.equal(ready.weight[-8:], attention.value.weight)
                x = torch.randn(2, 1, 16)
                torch.testing.assert_close(attention.key(x), together(x, *attention.products()[0])[1], **CLOSE)
                torch.testing.assert_close(made.start(given).hidden, plain, **CLOSE)
            assert places == [p.data_ptr() for p in made.parameters()]
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())
    made(given).sum().backward()
    assert attention.key.weight.grad is not None and not attention.key.weight.is_inference()


def test_a_network_is_saved_after_it_answered(tmp_path):
    made, given = network("llama"), batch("llama")
    with prepared(made, 1, WORTH):
        pass
    write_checkpoint(tmp_path, made, family="llama", purpose="causal")
    again = read_checkpoint(tmp_path).transformer().eval()
    with torch.no_grad():
        assert torch.equal(again(given), made(given))


def test_nothing_is_prepared_where_it_does_not_pay():
    made = network("llama")
    with prepared(made, THIN + 1, WORTH - 1):
        assert not any(prepared_parts(owner) for owner, *_ in made.products())
    with prepared(made, THIN, WORTH):
        assert all(owner.packed is None for owner, *_ in made.products())
    half = network("llama").bfloat16()
    with prepared(half, 9, 99):
        assert not any(prepared_parts(owner) for owner, *_ in half.products())


def test_what_others_edit_is_left_alone():
    made = network("llama")
    block = made.decoder.blocks[0]
    block.mlp.up = torch.nn.Linear(16, 32)
    block.attention.query.register_forward_hook(lambda module, given, made: made + 1)
    with prepared(made, 9, 99):
        assert not prepared_parts(block.attention.query) and not prepared_parts(block.mlp.gate)
        assert prepared_parts(block.mlp.down)


@pytest.mark.parametrize("rows", [1, THIN + 1])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_weights_that_change_while_a_generation_is_open_are_seen(name, rows):
    made, x = network(name), torch.randn(THIN + 1, 1, 16)
    block = made.decoder.blocks[0]
    with torch.no_grad(), prepared(made, rows, WORTH):
        for parameter in block.parameters():
            parameter.add_(torch.randn(parameter.shape))
        query, _, value = together(x, block.attention.query, block.attention.key, block.attention.value)
        torch.testing.assert_close(
            query, F.linear(x, block.attention.query.weight, block.attention.query.bias), **CLOSE
        )
        torch.testing.assert_close(
            value, F.linear(x, block.attention.value.weight, block.attention.value.bias), **CLOSE
        )
        torch.testing.assert_close(block.mlp.down(block.mlp.up(x)), plainly(x, block.mlp.up, block.mlp.down), **CLOSE)
        made.bfloat16()
        assert together(x.bfloat16(), block.attention.query, block.attention.key)[0].dtype is torch.bfloat16


def plainly(x, *linears):
    for linear in linears:
        x = F.linear(x, linear.weight, linear.bias)
    return x


def test_generations_at_one_time_prepare_once_and_the_last_gives_back():
    made = network("llama")
    with prepared(made, 1, WORTH):
        tape, joined = made.tape, prepared_parts(made.decoder.blocks[0].attention.query)
        with prepared(made, 1, WORTH):
            assert made.tape is tape and tape is not None
        assert made.tape is tape and joined
        assert prepared_parts(made.decoder.blocks[0].attention.query) == joined
    assert made.tape is None and not any(prepared_parts(one) for one in made.modules())


def test_threads_share_a_network():
    made, asked = network("llama"), GenerateOptions(max_new_tokens=WORTH + 1, temperature=0.0)
    wanted = complete(made, [[1, 2, 3]], asked)[0][0].tokens
    found, switch = [], sys.getswitchinterval()

    def ask():
        for _ in range(15):
            found.append(complete(made, [[1, 2, 3]], asked)[0][0].tokens)

    threads = [Thread(target=ask) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    finally:
        sys.setswitchinterval(switch)
    assert found == [wanted] * 60
