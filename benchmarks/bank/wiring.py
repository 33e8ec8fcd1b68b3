"""Faulty wiring: parameters, modes and gradients that are not where the loop thinks they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

import thalweg
from thalweg import watch
from thalweg.doctor import Diagnosis
from thalweg.problems.characters import cross_entropy

from .loop import clip, train
from .material import (
    Batches,
    Scanner,
    cnn,
    digits,
    images,
    lstm,
    mlp,
    scanned,
    text,
    transformer,
)
from .run import faulty


class CutBody(nn.Module):
    """A body and a head, and between them a detach that was there to save memory."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.body(inputs).detach())


@faulty("GD401")
def mlp_body_cut_off() -> Diagnosis:
    """The features of a perceptron are detached before its last layer."""
    whole = mlp()
    model = CutBody(whole[:-1], whole[-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    return train(model, optimizer, Batches(digits()[0]), 8)


class Forgotten(nn.Module):
    """A convolutional network with a second branch that forward never calls."""

    def __init__(self) -> None:
        super().__init__()
        self.main = cnn()
        self.branch = nn.Linear(64, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.main(inputs)


@faulty("GD401")
def cnn_branch_never_called() -> Diagnosis:
    """A branch of a convolutional network is in the optimizer and is never called."""
    model = Forgotten()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    return train(model, optimizer, Batches(images()[0]), 4)


@faulty("GD402")
def lstm_head_in_no_group() -> Diagnosis:
    """The optimizer of an LSTM was given the LSTM alone: the output layer is in no group."""
    model = Scanner()
    optimizer = torch.optim.Adam(model.lstm.parameters(), lr=5e-3)
    return train(model, optimizer, Batches(scanned()[0]), 8, before_update=clip(model))


@faulty("GD402")
def mlp_layer_replaced_after_the_optimizer() -> Diagnosis:
    """The last layer of a perceptron is replaced when the optimizer has been made."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    model[-1] = nn.Linear(32, 10)
    return train(model, optimizer, Batches(digits()[0]), 8)


@faulty("GD403")
def transformer_embedding_twice() -> Diagnosis:
    """The embedding of a transformer is given to the optimizer twice in one list."""
    model = transformer()
    params = [*model.embedding.parameters(), *model.parameters()]
    optimizer = torch.optim.SGD(params, lr=0.1, momentum=0.9)
    return train(model, optimizer, Batches(text()[0]), 4, cross_entropy)


@faulty("GD403")
def mlp_two_optimizers() -> Diagnosis:
    """One optimizer has the whole perceptron, a second its last layer as well; both take steps."""
    model, loss_fn = mlp(), nn.CrossEntropyLoss()
    whole = torch.optim.Adam(model.parameters(), lr=1e-3)
    head = torch.optim.SGD(model[-1].parameters(), lr=0.05)
    with watch(model, whole, loss_fn) as watching:
        for _ in range(8):
            for inputs, targets in Batches(digits()[0]):
                whole.zero_grad()
                loss_fn(model(inputs), targets).backward()
                whole.step()
                head.step()
    return watching.diagnosis


@faulty("GD404")
def mlp_adam_with_l2() -> Diagnosis:
    """Adam with weight_decay=0.01, which it adds to the gradient."""
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=0.01)
    return train(model, optimizer, Batches(digits()[0]), 8)


@faulty("GD404")
def transformer_nadam_with_l2() -> Diagnosis:
    """NAdam with weight_decay=0.05 and without decoupled_weight_decay."""
    model = transformer()
    optimizer = torch.optim.NAdam(model.parameters(), lr=3e-3, weight_decay=0.05)
    return train(model, optimizer, Batches(text()[0]), 4, cross_entropy)


@faulty("GD404")
def lstm_thalweg_rmsprop_with_l2() -> Diagnosis:
    """Thalweg's RMSprop with weight_decay=0.01, which it adds to the gradient as torch's does."""
    model = Scanner()
    optimizer = thalweg.optim.RMSprop(model.parameters(), lr=2e-3, weight_decay=0.01)
    return train(model, optimizer, Batches(scanned()[0]), 6, before_update=clip(model))


@faulty("GD409")
def cnn_left_in_eval_after_validation() -> Diagnosis:
    """The loop validates in eval mode after the first epoch and never goes back to train mode."""
    model, loss_fn = cnn(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    with watch(model, optimizer, loss_fn) as watching:
        for _ in range(5):
            for inputs, targets in Batches(images()[0]):
                optimizer.zero_grad()
                loss_fn(model(inputs), targets).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                loss_fn(model(images()[1].inputs), images()[1].targets)
    return watching.diagnosis


@faulty("GD409")
def mlp_dropout_in_eval() -> Diagnosis:
    """A perceptron with dropout was loaded in eval mode and is trained so."""
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.4), nn.Linear(128, 10))
    model.eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    return train(model, optimizer, Batches(digits()[0]), 8)


@faulty("GD410")
def mlp_gradients_never_cleared() -> Diagnosis:
    """The loop of a perceptron under SGD has no zero_grad."""
    model, loss_fn = mlp(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03)
    with watch(model, optimizer, loss_fn) as watching:
        for _ in range(10):
            for inputs, targets in Batches(digits()[0]):
                loss_fn(model(inputs), targets).backward()
                optimizer.step()
    return watching.diagnosis


@faulty("GD410")
def cnn_gradients_never_cleared() -> Diagnosis:
    """The loop of a convolutional network under Adam has no zero_grad, and a functional loss."""
    model = cnn()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    with watch(model, optimizer) as watching:
        for _ in range(4):
            for inputs, targets in Batches(images()[0]):
                functional.cross_entropy(model(inputs), targets).backward()
                optimizer.step()
    return watching.diagnosis


@faulty("GD410")
def lstm_gradients_cleared_once_an_epoch() -> Diagnosis:
    """The loop clears the gradients of an LSTM at the beginning of an epoch only."""
    model = lstm()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, cross_entropy) as watching:
        for _ in range(6):
            optimizer.zero_grad()
            for letters, targets in Batches(text()[0]):
                cross_entropy(model(letters), targets).backward()
                optimizer.step()
    return watching.diagnosis
