"""The loop that most users write, under watch."""

import torch
from torch import nn

import thalweg


def nothing():
    pass


def train(
    model,
    optimizer,
    loss_fn,
    data,
    epochs=5,
    batch=64,
    *,
    after_update=nothing,
    after_epoch=nothing,
    held_out=None,
    clip=None,
):
    inputs, targets = data
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for _ in range(epochs):
            model.train()
            for rows in torch.randperm(len(inputs)).split(batch):
                optimizer.zero_grad()
                loss_fn(model(inputs[rows]), targets[rows]).backward()
                if clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                after_update()
            after_epoch()
            if held_out is not None:
                validate(model, loss_fn, held_out)
    return watch


@torch.no_grad()
def validate(model, loss_fn, held_out, batch=256):
    model.eval()
    inputs, targets = held_out
    losses = [
        loss_fn(model(inputs[rows]), targets[rows]).item()
        for rows in torch.arange(len(inputs)).split(batch)
    ]
    return sum(losses) / len(losses)


def descend(model, optimizer, loss_fn, data, steps):
    """Gradient descent on all data at once."""
    return train(model, optimizer, loss_fn, data, epochs=steps, batch=len(data[0]))
