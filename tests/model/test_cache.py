"""Whatever is done to a memory, its next states are those of a fresh run over each row's tokens."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import CROSSED, DECODERS, VOCABULARY, batch, config, network
from test_transformer import raised

from penjing.base.errors import GenerateError
from penjing.model.batch import Batch
from penjing.model.cache import Cache, Memory
from penjing.model.config import ModelConfig
from penjing.model.mask import common, justified
from penjing.model.transformer import Transformer

CLOSE = dict(atol=2e-5, rtol=2e-5)
CAPACITY, STEP = 30, 3
WINDOWED = ModelConfig(
    vocab_size=VOCABULARY, width=16, heads=4, key_heads=2, mlp_width=32, decoder_layers=4, max_tokens=64,
    position="rotary", window=4, window_layers=(1, 3), norm="rms", norm_place="before", final_norm=True,
)  # fmt: skip


@pytest.fixture(autouse=True)
def still():
    """No gradients where nothing is learned."""
    with torch.no_grad():
        yield


@torch.no_grad()
def windowed():
    """A decoder in which every second layer sees four tokens back."""
    made = Transformer.new(WINDOWED, 3).eval()
    for parameter in made.parameters():
        parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    return made


NETWORKS = {"llama": network("llama"), "windowed": windowed(), "t5": network("t5")}
SOURCES = {0: [5, 9, 11, 4], 1: [30, 7, 7], 2: [12, 3, 22, 8, 17]}


def fresh(made, tokens, source):
    """States of a row alone, T W."""
    if made.encoder is None:
        return made(Batch(torch.tensor([tokens])))[0]
    return made(Batch(torch.tensor([SOURCES[source]]), target=torch.tensor([tokens])))[0]


def begun(made, sources, capacity=CAPACITY, step=STEP):
    """An empty memory for some rows, with a small ring."""
    memory = Memory(Cache(made.config, len(sources), capacity, made.embedding.weight, step=step))
    if made.encoder is not None:
        longest = max(len(SOURCES[s]) for s in sources)
        rows = [SOURCES[s] + [0] * (longest - len(SOURCES[s])) for s in sources]
        mask = torch.tensor([[i < len(SOURCES[s]) for i in range(longest)] for s in sources])
        memory.cross, memory.cross_padding = made.hold(Batch(torch.tensor(rows), mask))
    return memory


class Play:
    """A memory beside the plain lists of tokens that it should stand for."""

    def __init__(self, made, data, rows):
        self.made, self.data = made, data
        self.sources = [data.draw(st.integers(0, 2)) for _ in range(rows)]
        self.rows = [[] for _ in range(rows)]
        self.memory = begun(made, self.sources)

    def check(self, hidden, rows, counts):
        for at, (row, count) in enumerate(zip(rows, counts, strict=True)):
            if count:
                expected = fresh(self.made, self.rows[row], self.sources[row])[-count:]
                torch.testing.assert_close(hidden[at, :count], expected, **CLOSE)
        assert self.memory.lengths.tolist() == [len(row) for row in self.rows]

    def step(self):
        first = self.data.draw(st.integers(0, len(self.rows) - 1))
        last = self.data.draw(st.integers(first + 1, len(self.rows)))
        rows = range(first, last)
        space = CAPACITY - max(len(self.rows[row]) for row in rows)
        tokens = min(space, self.data.draw(st.integers(1, 6)))
        if not tokens:
            return
        counts = [tokens] * len(rows)
        if self.data.draw(st.booleans()):
            counts = [self.data.draw(st.integers(0, tokens)) for _ in rows]
        drawn = [[self.data.draw(st.integers(3, VOCABULARY - 1)) for _ in range(tokens)] for _ in rows]
        for row, new, count in zip(rows, drawn, counts, strict=True):
            self.rows[row] = self.rows[row] + new[:count]
        whole = first == 0 and last == len(self.rows) and self.data.draw(st.booleans())
        memory = self.memory if whole else self.memory.part(first, last)
        told = None if counts == [tokens] * len(rows) and self.data.draw(st.booleans()) else counts
        self.check(self.made.step(torch.tensor(drawn), memory, told), rows, counts)

    def cut(self):
        kept = [self.data.draw(st.integers(max(0, len(row) - 4), len(row))) for row in self.rows]
        if self.data.draw(st.booleans()):
            back = self.data.draw(st.integers(0, 3))
            kept = [max(0, len(row) - back) for row in self.rows]
            told = max(0, self.memory.length - back)
        else:
            told = kept
        if back_is_possible := all(self.memory.holds(row, short) for row, short in enumerate(kept)):
            self.memory.cut(told)
            self.rows = [row[:short] for row, short in zip(self.rows, kept, strict=True)]
        else:
            with pytest.raises(GenerateError):
                self.memory.cut(told)
        assert back_is_possible or self.memory.cache.rings

    def select(self):
        count = self.data.draw(st.integers(1, 4))
        chosen = [self.data.draw(st.integers(0, len(self.rows) - 1)) for _ in range(count)]
        self.memory.select(torch.tensor(chosen) if self.data.draw(st.booleans()) else chosen)
        self.rows, self.sources = [self.rows[r] for r in chosen], [self.sources[r] for r in chosen]

    def put(self):
        """A row read elsewhere, in a memory of another size, put here whole or in part."""
        source, row = self.data.draw(st.integers(0, 2)), self.data.draw(st.integers(0, len(self.rows) - 1))
        length = self.data.draw(st.integers(1, 14))
        tokens = [self.data.draw(st.integers(3, VOCABULARY - 1)) for _ in range(length)]
        other = begun(self.made, [(source + 1) % 3, source], capacity=15, step=self.data.draw(st.integers(2, 15)))
        self.made.step(torch.tensor([tokens, tokens]), other)
        kept = self.data.draw(st.integers(0, length))
        if other.holds(1, kept):
            self.memory.put(row, other, 1, kept)
            self.rows[row], self.sources[row] = tokens[:kept], source


@pytest.mark.parametrize("name", NETWORKS)
def test_any_play_equals_a_fresh_run(name):
    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def played(data):
        with torch.no_grad():
            play = Play(NETWORKS[name], data, rows=data.draw(st.integers(1, 3)))
            moves = [play.step, play.step, play.step, play.cut, play.select, play.put]
            for _ in range(data.draw(st.integers(2, 9))):
                moves[data.draw(st.integers(0, 5))]()
            play.step()

    played()


@pytest.mark.parametrize("tokens", [1, 2, STEP])
def test_a_long_text_goes_round_the_ring(tokens):
    made = NETWORKS["windowed"]
    memory = begun(made, [0, 0])
    text = torch.randint(3, VOCABULARY, (2, 27), generator=torch.Generator().manual_seed(1))
    found = torch.cat([made.step(text[:, i : i + tokens], memory) for i in range(0, 27, tokens)], 1)
    torch.testing.assert_close(found, made(Batch(text)), **CLOSE)
    assert [keys.shape[2] for keys in memory.cache.keys] == [CAPACITY, 4 + STEP] * 2


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_not_stored(side):
    made, drawn = network("llama"), batch("llama", side)
    memory = made.start(drawn, capacity=20)
    assert memory.lengths.tolist() == [18, 13, 9]
    at, keys = memory.positions(2)
    assert at.tolist() == [[18, 19], [13, 14], [9, 10]] and keys.tolist() == [list(range(20))]


def test_equal_rows_need_no_mask_and_no_index():
    memory = begun(NETWORKS["windowed"], [0, 0])
    for tokens in (1, 3):
        for reach in memory.reach(tokens).values():
            assert reach.index is None and reach.visible.mask is None
    memory.advance(5)
    assert all(reach.index is None and reach.visible == (None, False) for reach in memory.reach(1).values())
    memory.advance(0, [1, 0])
    assert all(reach.index is not None and reach.visible.mask is not None for reach in memory.reach(1).values())


def test_a_common_beginning_is_computed_once(monkeypatch):
    made, seen = network("llama"), []
    rows = torch.randint(3, VOCABULARY, (3, 16), generator=torch.Generator().manual_seed(2))
    rows[:, :11] = rows[0, :11]
    mask = torch.ones_like(rows, dtype=torch.bool)
    mask[1, 12:] = False
    piece = Transformer.piece
    monkeypatch.setattr(
        Transformer,
        "piece",
        lambda self, tokens, *rest: (seen.append(tuple(tokens.shape)), piece(self, tokens, *rest))[1],
    )
    memory = made.start(Batch(rows, mask), capacity=20)
    assert seen == [(1, 11), (3, 5)] and memory.lengths.tolist() == [16, 12, 16]
    for row, length in enumerate((16, 12, 16)):
        torch.testing.assert_close(memory.hidden[row, 0], fresh(made, rows[row, :length].tolist(), 0)[-1], **CLOSE)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=6), min_size=1, max_size=4), st.booleans())
def test_rows_are_justified_and_compared(rows, left):
    width = max(map(len, rows)) + 1
    padded = [[0] * (width - len(r)) + r if left else r + [0] * (width - len(r)) for r in rows]
    tokens, counts = justified(torch.tensor(padded), torch.tensor(padded) > 0)
    assert [row[:count] for row, count in zip(tokens.tolist(), counts, strict=True)] == rows
    expected = 0
    while len(rows) > 1 and all(len(r) > expected + 1 and r[expected] == rows[0][expected] for r in rows):
        expected += 1
    assert common(tokens, counts) == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_it_grows_within_its_bound(name):
    made, source = NETWORKS[name], 1
    memory = made.reserve(2, 4, bound=19)
    if made.encoder is not None:
        memory.cross = begun(made, [source, source]).cross
    text = torch.randint(3, VOCABULARY, (2, 19), generator=torch.Generator().manual_seed(3))
    for i in range(19):
        hidden = made.step(text[:, i : i + 1], memory)
        assert memory.cache.capacity == min(19, 4 if i < 4 else 8 if i < 8 else 16 if i < 16 else 19)
    torch.testing.assert_close(hidden[1, 0], fresh(made, text[1].tolist(), source)[-1], **CLOSE)
    raised("P-MODEL-006", made.step, text[:, :1], memory)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["llama", "windowed"])
def test_its_bytes_are_known_before(name, kind):
    given = NETWORKS[name].config
    cache = Cache(given, 3, CAPACITY, torch.empty(0, dtype=kind), step=STEP)
    held = sum(side.numel() * side.element_size() for side in (*cache.keys, *cache.values))
    assert held == Cache.bytes(given, 3, CAPACITY, kind, step=STEP)
    token = Cache.bytes(given, 1, 1, kind)
    assert token == 2 * given.decoder_layers * given.keys * given.inner * kind.itemsize
    assert held <= 3 * CAPACITY * token


@pytest.mark.parametrize("name", DECODERS)
def test_half_precision_rows_of_different_lengths(name):
    made, drawn = network(name).bfloat16(), batch(name, "left")
    memory = made.start(drawn, capacity=32)
    memory.cut([max(0, int(n) - row) for row, n in enumerate(memory.lengths)])
    rows = [drawn.tokens[i][drawn.mask[i]].tolist() for i in range(3)]
    rows = [row[: len(row) - i] for i, row in enumerate(rows)]
    targets = [t.tolist()[: 18 - i] for i, t in enumerate(drawn.target)] if name in CROSSED else rows
    hidden = made.step(torch.tensor([[7], [8], [9]]), memory)
    for row, target in enumerate(targets):
        tokens = torch.tensor([target + [7 + row]])
        source = drawn.tokens[row][drawn.mask[row]][None] if name in CROSSED else tokens
        whole = made(Batch(source, target=tokens if name in CROSSED else None))[0, -1]
        assert (hidden[row, 0] - whole).norm() / whole.norm() < 0.05


def test_beams_of_one_text_move_nothing_of_the_encoder():
    made = NETWORKS["t5"]
    memory = begun(made, [0, 1])
    memory.select([0, 0, 1, 1])
    held = [key.data_ptr() for key, _ in memory.cross]
    before = [key.clone() for key, _ in memory.cross]
    memory.select([1, 0, 2, 2])
    assert held == [key.data_ptr() for key, _ in memory.cross]
    assert all(torch.equal(old, new) for old, (new, _) in zip(before, memory.cross, strict=True))


def test_a_cut_that_the_ring_cannot_serve_is_told():
    memory = begun(NETWORKS["windowed"], [0])
    memory.advance(20)
    assert memory.holds(0, 17) and not memory.holds(0, 16) and memory.holds(0, 0)
    with pytest.raises(GenerateError) as error:
        memory.cut([12])
    assert error.value.code == "P-GENERATE-020" and "12" in error.value.text("en") and "12" in error.value.text("zh")
    memory.cut([0])
    assert memory.length == 0 and memory.oldest.tolist() == [0]


def test_what_does_not_fit_is_not_put():
    small, large = begun(NETWORKS["llama"], [0], capacity=4), begun(NETWORKS["llama"], [0])
    large.advance(9)
    raised("P-MODEL-006", small.put, 0, large, 0)
    raised("P-MODEL-009", network("bert").reserve, 1)
    assert config("llama").decoder_layers == len(large.cache.keys)


def test_a_row_from_a_larger_ring_keeps_what_fits():
    made = NETWORKS["windowed"]
    small, large = begun(made, [0]), begun(made, [0], step=20)
    text = torch.randint(3, VOCABULARY, (1, 15), generator=torch.Generator().manual_seed(4))
    made.step(text[:, :14], large)
    small.put(0, large, 0)
    assert small.holds(0, 11) and not small.holds(0, 10)
    torch.testing.assert_close(made.step(text[:, 14:], small), made(Batch(text))[:, 14:], **CLOSE)
