"""Pre-training objectives stopped anywhere go on to the same bits, with what is trained beside the network."""

from dataclasses import replace

import pytest
import torch
from runs import OPTIONS, CutError
from toys_objectives import PURPOSES, TEXTS, objective_model, raw

from penjing.base.progress import listen
from penjing.train.fit import fit
from penjing.train.resume import load_state


def run(folder, name, family, cut=None):
    """Train a toy in `folder`; `cut` ends it at that step as a kill would."""
    folder.mkdir(exist_ok=True)
    model = objective_model(name, family, dropout=0.1)

    def look(event):
        if event.kind == "step" and event.done == cut:
            raise CutError

    with listen(look):
        fit(model, raw(model, TEXTS[:9]), raw(model, TEXTS[9:]), replace(OPTIONS, accumulate=2), folder, what="toy")
    return model


@pytest.mark.parametrize(("name", "family"), PURPOSES)
def test_killed_and_resumed(name, family, tmp_path):
    whole = run(tmp_path / "whole", name, family)
    for cut in (3, 6):
        with pytest.raises(CutError):
            run(tmp_path / "cut", name, family, cut)
    state, tensors = load_state(tmp_path / "cut")
    assert state.step == 5 and any("companion" in key for key in tensors) == (name == "replaced")
    again = run(tmp_path / "cut", name, family)
    ours, theirs = whole.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(tensor, theirs[key]) for key, tensor in ours.items())
