"""Healthy runs: trainings that reach a good loss, by the ordinary means of doing so."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn
from torch.nn import functional
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

import thalweg
from thalweg import watch
from thalweg.doctor import Diagnosis
from thalweg.problems import Split
from thalweg.problems.characters import cross_entropy

from .loop import clip, train, validate
from .material import (
    Batches,
    Scanner,
    cnn,
    digits,
    images,
    lstm,
    measurements,
    mlp,
    part,
    scanned,
    text,
    transformer,
    tumours,
)
from .run import healthy


@healthy
def mlp_sgd_momentum() -> Diagnosis:
    """A perceptron learns digits by SGD with momentum."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    return train(model, optimizer, Batches(digits()[0]), 5, validation=digits()[1])


@healthy
def mlp_functional_loss() -> Diagnosis:
    """A perceptron learns digits by Adam; its loss is a function that the watch is not given."""
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with watch(model, optimizer) as watching:
        for _ in range(10):
            for inputs, targets in Batches(digits()[0]):
                optimizer.zero_grad()
                functional.cross_entropy(model(inputs), targets).backward()
                optimizer.step()
    return watching.diagnosis


@healthy
def mlp_cosine_to_the_end() -> Diagnosis:
    """A perceptron learns digits by thalweg's AdamW under a cosine that ends with the run."""
    model, batches, epochs = mlp(), Batches(digits()[0]), 10
    optimizer = thalweg.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(batches))
    return train(model, optimizer, batches, epochs, after_update=cosine.step)


@healthy
def mlp_dropout_and_decay() -> Diagnosis:
    """A perceptron with dropout learns digits by AdamW with a strong decay."""
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
    return train(model, optimizer, Batches(digits()[0]), 12, validation=digits()[1])


@healthy
def mlp_batch_norm_one_cycle() -> Diagnosis:
    """A perceptron with batch normalization learns digits by SGD in one cycle."""
    model = nn.Sequential(
        nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(),
        nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip
    batches, epochs = Batches(digits()[0]), 8
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    cycle = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=epochs * len(batches))
    return train(model, optimizer, batches, epochs, validation=digits()[1], after_update=cycle.step)


@healthy
def mlp_last_layer_of_zeros() -> Diagnosis:
    """A perceptron whose output layer begins at zero learns digits by Adam."""
    model = mlp()
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return train(model, optimizer, Batches(digits()[0]))


@healthy
def mlp_gradients_accumulated() -> Diagnosis:
    """A perceptron learns digits by SGD, each update from four batches of eight."""
    model, loss_fn = mlp(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    with watch(model, optimizer, loss_fn) as watching:
        for _ in range(8):
            for number, (inputs, targets) in enumerate(Batches(digits()[0], 8), 1):
                (loss_fn(model(inputs), targets) / 4).backward()
                if number % 4 == 0:
                    optimizer.step()
                    optimizer.zero_grad()
    return watching.diagnosis


@healthy
def mlp_stopped_early() -> Diagnosis:
    """A perceptron learns 300 digits by Adam until the loss on others has not fallen for long."""
    model, loss_fn = mlp(64, 64, 10), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    few, held_out = part(digits()[0], slice(300)), digits()[1]
    best, waited, kept = math.inf, 0, {}
    with watch(model, optimizer, loss_fn) as watching:
        while waited < 3:
            for inputs, targets in Batches(few):
                optimizer.zero_grad()
                loss_fn(model(inputs), targets).backward()
                optimizer.step()
            loss = validate(model, loss_fn, held_out)
            waited = 0 if loss < best - 1e-3 else waited + 1
            if loss < best:
                best, kept = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    return watching.diagnosis


@healthy
def mlp_fine_tuned_head() -> Diagnosis:
    """A perceptron that knows five digits learns the others in its last layer, the rest frozen."""
    model, examples = mlp(), digits()[0]
    known = part(examples, examples.targets < 5)
    first = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(5):
        for inputs, targets in Batches(known):
            first.zero_grad()
            functional.cross_entropy(model(inputs), targets).backward()
            first.step()
    model[:-1].requires_grad_(False)
    model[-1] = nn.Linear(32, 10)
    optimizer = torch.optim.Adam(model[-1].parameters(), lr=1e-2)
    return train(model, optimizer, Batches(examples))


@healthy
def mlp_reduced_on_plateau() -> Diagnosis:
    """A perceptron learns digits by SGD whose rate is reduced when the loss stalls."""
    model, loss_fn = mlp(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    reduce = lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)
    return train(
        model, optimizer, Batches(digits()[0]), 12, loss_fn, validation=digits()[1],
        after_epoch=lambda: reduce.step(validate(model, loss_fn, digits()[1])),
    )  # fmt: skip


@healthy
def mlp_rmsprop() -> Diagnosis:
    """A perceptron with tanh learns digits by thalweg's RMSprop."""
    model = mlp(activation=nn.Tanh)
    optimizer = thalweg.optim.RMSprop(model.parameters(), lr=1e-3)
    return train(model, optimizer, Batches(digits()[0]), 8)


@healthy
def autoencoder_adam() -> Diagnosis:
    """An autoencoder squeezes digits through eight numbers by Adam."""
    pixels = thalweg.problems.load("autoencoder")
    model = pixels.make_model(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(model, optimizer, Batches(Split(*pixels.train)), 15, loss_fn)


@healthy
def regression_full_batch() -> Diagnosis:
    """A linear model is fitted to 342 patients by gradient descent, all of them in each step."""
    model = nn.Linear(10, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return train(model, optimizer, Batches(measurements()[0], 342), 200, nn.MSELoss())


@healthy
def logistic_momentum() -> Diagnosis:
    """A logistic regression tells tumours apart by SGD with momentum."""
    model = nn.Linear(30, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(model, optimizer, Batches(tumours()[0]), 15, loss_fn, validation=tumours()[1])


@healthy
def cnn_batch_norm() -> Diagnosis:
    """A convolutional network with batch normalization learns digits by SGD with momentum."""
    model = cnn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4)
    return train(model, optimizer, Batches(images()[0]), 4, validation=images()[1])


@healthy
def cnn_mixed_precision() -> Diagnosis:
    """A convolutional network learns digits by AdamW, computed in bfloat16 under autocast."""
    model, loss_fn = cnn(), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    with watch(model, optimizer, loss_fn) as watching:
        for _ in range(4):
            for inputs, targets in Batches(images()[0]):
                optimizer.zero_grad()
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    loss = loss_fn(model(inputs), targets)
                loss.backward()
                optimizer.step()
    return watching.diagnosis


@healthy
def cnn_warmed_up() -> Diagnosis:
    """A convolutional network with group normalization learns digits by Adam after a warm-up."""
    model = cnn(lambda channels: nn.GroupNorm(2, channels))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    warm_up = lr_scheduler.LinearLR(optimizer, 0.01, 1.0, total_iters=30)
    return train(model, optimizer, Batches(images()[0]), 5, after_update=warm_up.step)


@healthy
def cnn_decayed_by_epochs() -> Diagnosis:
    """A convolutional network learns digits by SGD whose rate falls after two epochs of three."""
    model = cnn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    steps = lr_scheduler.MultiStepLR(optimizer, [4, 5])
    return train(
        model, optimizer, Batches(images()[0]), 6, validation=images()[1], after_epoch=steps.step
    )


@healthy
def cnn_averaged_and_reestimated() -> Diagnosis:
    """A convolutional network is averaged over its last epochs, its batch norm computed anew."""
    model, batches, loss_fn = cnn(), Batches(images()[0]), nn.CrossEntropyLoss()
    average = AveragedModel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    with watch(model, optimizer, loss_fn) as watching:
        for epoch in range(6):
            for inputs, targets in batches:
                optimizer.zero_grad()
                loss_fn(model(inputs), targets).backward()
                optimizer.step()
            if epoch >= 3:
                average.update_parameters(model)
        update_bn(batches, average)
    return watching.diagnosis


@healthy
def cnn_exponential_average_with_buffers() -> Diagnosis:
    """A convolutional network is averaged at each update, with the moments of its batch norm."""
    model = cnn()
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.98), use_buffers=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    return train(
        model, optimizer, Batches(images()[0]), 4,
        after_update=lambda: average.update_parameters(model),
    )  # fmt: skip


@healthy
def lstm_adam_clipped() -> Diagnosis:
    """An LSTM learns the next letter by Adam, its gradient clipped."""
    model = lstm()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return train(model, optimizer, Batches(text()[0]), 10, cross_entropy, before_update=clip(model))


@healthy
def lstm_momentum_clipped() -> Diagnosis:
    """An LSTM reads digits row by row and learns by thalweg's SGD with momentum, clipped."""
    model = Scanner()
    optimizer = thalweg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return train(model, optimizer, Batches(scanned()[0]), 8, before_update=clip(model))


@healthy
def transformer_adamw() -> Diagnosis:
    """A transformer learns the next letter by thalweg's AdamW."""
    model = transformer()
    optimizer = thalweg.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    return train(model, optimizer, Batches(text()[0]), 8, cross_entropy)


@healthy
def transformer_warm_up_and_cosine() -> Diagnosis:
    """A transformer learns by AdamW: matrices alone decay, after a warm-up comes a cosine."""
    model, batches, epochs = transformer(), Batches(text()[0]), 8
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1]},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=4e-3, betas=(0.9, 0.98), weight_decay=0.1)
    total, warm = epochs * len(batches), 16

    def share(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 + 0.5 * math.cos(math.pi * (step - warm) / (total - warm))

    schedule = lr_scheduler.LambdaLR(optimizer, share)
    return train(
        model, optimizer, batches, epochs, cross_entropy,
        before_update=clip(model), after_update=schedule.step,
    )  # fmt: skip


@healthy
def transformer_thalweg_schedule() -> Diagnosis:
    """A transformer learns by thalweg's Adam whose rate is a schedule: warm-up, then a cosine."""
    model, batches, epochs = transformer(), Batches(text()[0]), 6
    schedules, total = thalweg.schedules, epochs * len(batches)
    rate = schedules.cosine(4e-3, steps=total - 10).after(schedules.warmup(10))
    optimizer = thalweg.optim.Adam(model.parameters(), lr=rate)
    return train(model, optimizer, batches, epochs, cross_entropy)
