"""Evaluating changes nothing of the model but what it tells."""

import torch
from torch import nn
from trained import data, equal, kept, model

from thalweg.training import evaluate


def test_every_part_of_the_model_keeps_its_own_mode() -> None:
    made = model()
    made[1].eval()
    modes = [part.training for part in made.modules()]
    before, drawn = kept(made), torch.get_rng_state()
    evaluate(made, nn.functional.cross_entropy, data())
    assert [part.training for part in made.modules()] == modes
    assert equal(kept(made), before)
    assert torch.equal(torch.get_rng_state(), drawn)


def test_it_is_the_mean_over_all_examples_with_dropout_off() -> None:
    made, (inputs, targets) = model(), data()
    found = [evaluate(made, nn.functional.cross_entropy, data(), batch=size) for size in (7, 50)]
    outputs = made.eval()(inputs).detach()
    assert torch.allclose(
        torch.tensor([each.loss for each in found]),
        nn.functional.cross_entropy(outputs, targets).expand(2),
        rtol=1e-6,
    )
    right = int((outputs.argmax(-1) == targets).sum()) / 50
    assert [each.accuracy for each in found] == [right, right]
