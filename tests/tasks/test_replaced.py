"""ELECTRA: both losses are transformers'; embeddings are shared; draws follow the generator; only one network is kept."""

import numpy as np
import pytest
import torch
from toys_objectives import TEXTS, asked, objective_model, raw

from penjing.base.errors import TaskError
from penjing.model.families import family_of
from penjing.model.weights import to_theirs
from penjing.tasks.model import Model
from penjing.tasks.replaced import draws


def their_generator(model):
    """transformers' ElectraForMaskedLM with the generator's weights and the discriminator's embeddings."""
    from transformers import ElectraConfig, ElectraForMaskedLM

    config, ours = model.companion.encoder.config, model.companion.state_dict()
    made = ElectraForMaskedLM(ElectraConfig(
        vocab_size=config.vocab_size, hidden_size=config.width, num_attention_heads=config.heads,
        num_hidden_layers=config.encoder_layers, intermediate_size=config.mlp_width, embedding_size=config.embedded,
        max_position_embeddings=config.max_tokens, layer_norm_eps=config.norm_eps,
    ))  # fmt: skip
    shared = {name: t for name, t in model.network.state_dict().items()
              if name.startswith(("embedding.", "encoder.position", "encoder.segment", "encoder.embedding_norm"))}  # fmt: skip
    family = family_of("electra")
    named = to_theirs(family.names(config, "masked"), shared | ours)
    missing, unexpected = made.load_state_dict(named, strict=False)
    assert not unexpected and set(missing) <= {"generator_lm_head.weight", "electra.embeddings.position_ids"}
    made.tie_weights()
    return made.eval()


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_both_losses_are_transformers(share, tmp_path):
    from transformers import ElectraForPreTraining

    model = objective_model("replaced", "electra", generator=share, weight=7.0).eval()
    model.save(tmp_path / "m")
    judge = ElectraForPreTraining.from_pretrained(tmp_path / "m").eval()
    batch = asked(model)
    kept = batch.labels >= 0
    rows, places = torch.arange(8)[:, None].expand_as(kept)[kept], batch.places[kept]
    labels = torch.full_like(batch.tokens, -100)
    labels[rows, places] = batch.labels[kept]
    mask = torch.ones_like(batch.tokens) if batch.mask is None else batch.mask.long()
    with torch.no_grad():
        generator = their_generator(model)(input_ids=batch.tokens, attention_mask=mask, labels=labels)
        chances = generator.logits[rows, places][:, : model.tokenizer.size].softmax(-1).double()
        drawn = (chances.cumsum(-1) < batch.more["chances"][kept][:, None]).sum(-1)
        seen, replaced = batch.tokens.clone(), torch.zeros_like(batch.tokens)
        seen[rows, places], replaced[rows, places] = drawn, (drawn != batch.labels[kept]).long()
        wanted = generator.loss + 7 * judge(input_ids=seen, attention_mask=mask, labels=replaced).loss
        assert 0 < replaced.sum() <= kept.sum()
        assert float(model(batch)) / batch.label_count == pytest.approx(float(wanted), rel=1e-4)


def test_draws_follow_the_generator_s_probabilities():
    model = objective_model("replaced", "electra").eval()
    hidden = torch.randn(1, model.companion.encoder.config.width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        chances = model.companion.output(hidden, model.network.embedding)[0, : model.tokenizer.size].softmax(-1)
    drawn = draws(model, hidden.expand(20_000, -1), torch.from_numpy(np.random.default_rng(0).random(20_000)))
    counts = torch.bincount(drawn, minlength=len(chances)) / 20_000
    assert (counts - chances).abs().max() < 0.01 and int(drawn.max()) < model.tokenizer.size
    assert len(draws(model, hidden[:0], torch.zeros(0))) == 0


def test_embeddings_are_shared_and_both_learn():
    model = objective_model("replaced", "electra")
    names = [name for name, _ in model.named_parameters()]
    assert not [name for name in names if name.startswith("companion.") and ("position" in name or "segment" in name)]
    assert model.companion.encoder.config.width == 8 and model.companion.encoder.config.embedded == 32
    asked_of = asked(model)
    model(asked_of).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for name, parameter in model.named_parameters()
               if not name.endswith("key.bias"))  # fmt: skip
    alone = objective_model("replaced", "electra", weight=0.0)
    alone(asked_of).backward()
    assert alone.network.embedding.weight.grad.abs().sum() > 0  # by the generator's loss


def test_what_is_saved_is_the_discriminator(tmp_path):
    model = objective_model("replaced", "electra").eval()
    model.save(tmp_path / "m")
    again = Model.load(tmp_path / "m")
    records = [{"text": text} for text in TEXTS]
    assert again.companion is None and again.answer(records) == model.answer(records)
    with pytest.raises(TaskError, match="P-TASK-104"):
        again(asked(again))


def test_answers_are_about_tokens_of_the_same_text():
    model = objective_model("replaced", "electra").eval()
    pieces = raw(model)
    batch = asked(model, range(len(pieces)), pieces)
    for row in range(len(pieces)):
        assert set(batch.more["others"][row][batch.labels[row] >= 0].tolist()) <= set(pieces.inner(row).tolist())
    found = model.answer([{"text": text} for text in TEXTS])
    assert all(len(a["labels"]) == len(a["guesses"]) == len(a["bits"]) > 4 for a in found)
    scores = model.task.score(found, [{}] * len(found))
    assert set(scores) == {"accuracy", "majority", "bits_per_guess", "f1"} and scores["majority"] > 0.5
