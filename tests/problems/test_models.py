"""The small models do what they are there to show."""

import pytest
import torch
from torch import nn

from thalweg.problems.characters import cross_entropy
from thalweg.problems.convolutional import convolutional
from thalweg.problems.recurrent import CharacterLSTM
from thalweg.problems.transformer import CharacterTransformer


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_batch_normalization_depends_on_the_batch_and_layer_normalization_does_not():
    images = torch.randn(6, 3, 32, 32)
    together = {norm: convolutional(norm, dropout=0.0)(0)(images) for norm in ("batch", "layer")}
    alone = {norm: convolutional(norm, dropout=0.0)(0)(images[:2]) for norm in ("batch", "layer")}
    torch.testing.assert_close(together["layer"][:2], alone["layer"])
    assert not torch.allclose(together["batch"][:2], alone["batch"], atol=1e-2)


def test_dropout_is_random_in_training_and_absent_in_evaluation():
    model, images = convolutional("layer", dropout=0.5)(0), torch.randn(2, 3, 32, 32)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


@pytest.mark.parametrize("model", [CharacterLSTM(9), CharacterTransformer(9, 12)])
def test_no_character_sees_the_ones_that_follow(model: nn.Module):
    text = torch.randint(9, (2, 12))
    changed = text.clone()
    changed[:, 7:] = (text[:, 7:] + 1) % 9
    before, after = model(text), model(changed)
    assert before.shape == (2, 12, 9)
    torch.testing.assert_close(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7:], after[:, 7:])


def test_the_transformer_knows_the_order_of_characters():
    model = CharacterTransformer(9, 12)
    first, second = model(torch.tensor([[1, 2, 3, 3], [2, 1, 3, 3]]))[:, -1]
    assert not torch.allclose(first, second)


def test_the_loss_of_sequences_is_the_mean_over_all_their_characters():
    output, targets = torch.randn(2, 5, 9), torch.randint(9, (2, 5))
    each = [cross_entropy(output[:, place], targets[:, place]) for place in range(5)]
    torch.testing.assert_close(cross_entropy(output, targets), torch.stack(each).mean())
    torch.testing.assert_close(each[0], nn.functional.cross_entropy(output[:, 0], targets[:, 0]))
