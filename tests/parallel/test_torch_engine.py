"""Training in processes that torchrun starts is training: the same updates, in every process."""

import signal
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from group_processes import IN_STEP, LR, PIPELINES, PROCESSES, WRAPS, deep, three, work
from small import (
    UNIT,
    apart_by_rounding,
    cross_entropy,
    data,
    elastic_path,
    fitted,
    free_ports,
    job,
    line,
    linear_data,
    logged,
    network,
    squares,
)

from thalweg import Optimizer, parallel
from thalweg.parallel import Outcome, Synchronous
from thalweg.parallel.flat import vector_of
from thalweg.parallel.replica import Batches
from thalweg.training.data.forms import Rows

Runs = list[dict[str, Any]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """What each process found."""
    folder = tmp_path_factory.mktemp("processes")
    torch.multiprocessing.spawn(work, (str(folder), free_ports(2)), PROCESSES)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(PROCESSES)]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


each_wrap = pytest.mark.parametrize("wrap", WRAPS)


# The same updates.


@each_wrap
def test_synchronous_processes_are_one_with_a_large_batch(wrap: Any, runs: Runs) -> None:
    """The path of both stays within twice the roundings that each of them may commit."""
    batches = Batches(Rows(*linear_data(32, 6)), 8, 2)
    end, asked = logged(job(line(), squares, Synchronous("sgd", lr=LR), 20, batches))
    one = torch.stack([at for _, at in asked] + [end])
    for run in runs:
        apart = apart_by_rounding(run["path"][wrap], batches, LR, PROCESSES)
        assert ((run["path"][wrap] - one).abs() <= apart).all()
        assert apart.max() < 1e-9


@each_wrap
def test_a_smaller_batch_counts_as_much_as_its_examples(wrap: Any, runs: Runs) -> None:
    """Of three examples in batches of two, each weighs a third in the mean."""
    x, y = linear_data(3, 6)
    size = (x * y[:, None]).abs().mean(0)
    for run in runs:
        apart = run["smaller_batch"][wrap] - (x * y[:, None]).mean(0)
        assert (apart.abs() <= 12 * UNIT * size).all()


@each_wrap
def test_a_process_without_a_batch_changes_nothing(wrap: Any, runs: Runs) -> None:
    """Of three batches the last is alone, and is the whole mean of its update."""
    batches = Batches(Rows(*linear_data(12, 6)), 4, 0)
    places, sizes = [torch.zeros(6, dtype=torch.float64)], []
    for numbers in ((0, 1), (2,)):
        taken = [batches.take(number) for number in numbers]
        x, y = torch.cat([x for x, _ in taken]), torch.cat([y for _, y in taken])
        sizes.append(x.abs().T @ (x.abs() @ places[-1].abs() + y.abs()) / len(y))
        places.append(places[-1] - LR * x.T @ (x @ places[-1] - y) / len(y))
    x, _ = batches.take(2)
    own = 2 * LR * 24 * UNIT * (sizes[0] + sizes[1])
    bound = own + LR * x.abs().T @ (x.abs() @ own) / 4 + 8 * UNIT * places[-1].abs()
    for run in runs:
        assert ((run["one_too_few"][wrap] - places[-1]).abs() <= bound).all()


@each_wrap
def test_a_norm_is_that_of_the_whole_gradient(wrap: Any, runs: Runs) -> None:
    """Also where each process holds a part of it: five steps, each of lr times the largest norm.

    As torch does it, the norm is made greater by 1e-6.
    """
    x, _ = linear_data(8, 6)
    gradient = torch.cat([(x.mean(0) / 4).repeat(4), torch.full((4,), 0.25, dtype=x.dtype)])
    expected = -5 * LR * 0.1 * gradient / (gradient.norm() + 1e-6)
    sized = torch.cat([(x.abs().mean(0) / 4).repeat(4), gradient[24:]])
    roundings = 5 * (len(gradient) + len(x) + 16)
    bound = roundings * UNIT * 5 * LR * 0.1 * sized / gradient.norm()
    for run in runs:
        assert ((run["clipped"][wrap] - expected).abs() <= bound).all()


@pytest.mark.parametrize("name", ["local_sgd", "easgd", "eamsgd"])
def test_processes_in_step_are_the_simulated_workers(name: str, runs: Runs) -> None:
    """Bit for bit: of two, the mean is rounded alike wherever it is taken."""
    simulated = vector_of(fitted(IN_STEP[name], PROCESSES).model)
    for run in runs:
        assert torch.equal(run["in_step"][name], simulated)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_elastic_processes_follow_the_equations(momentum: float, runs: Runs) -> None:
    expected = elastic_path(PROCESSES, 30, 0.2, 0.15, momentum, sync=True)
    for run in runs:
        apart = np.abs(np.array(run["centres"][momentum]) - expected)
        assert apart.max() <= 10 * PROCESSES * 30 * UNIT


def test_diloco_in_processes_steps_along_nesterov(runs: Runs) -> None:
    """Its outer gradient is the mean way back from where AdamW came in a period of three."""
    inputs, targets = data()
    batches = Batches(Rows(inputs, targets), 8, 5)
    outer, *inner = (network() for _ in range(1 + PROCESSES))
    outer_step = Optimizer(outer.parameters(), "nesterov", lr=0.7, momentum=0.9)
    inner_steps = [Optimizer(each.parameters(), "adamw", lr=0.01) for each in inner]
    for number in range(18):
        model, optimizer = inner[number % PROCESSES], inner_steps[number % PROCESSES]
        x, y = batches.take(number)
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
        if (number + 1) % (3 * PROCESSES) == 0:
            for p, *walked in zip(
                outer.parameters(), *(m.parameters() for m in inner), strict=True
            ):
                p.grad = sum(((p - q) / PROCESSES).detach() for q in walked)
            outer_step.step()
            for each in inner:
                each.load_state_dict(outer.state_dict())
    for run in runs:
        assert torch.equal(run["in_step"]["diloco"], vector_of(outer))


# Pipelines.


@pytest.mark.parametrize("name", PIPELINES)
def test_the_gradient_of_a_pipeline_is_that_of_the_whole_model(name: str, runs: Runs) -> None:
    model = network()
    inputs, targets = Batches(Rows(*data(8)), 8, 0).take(0)
    cross_entropy(model(inputs), targets).backward()
    whole = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    for run in runs:
        assert (run["pipeline_gradient"][name] - whole).abs().max() <= 1e-6


def test_a_pipeline_of_uncut_batches_is_one_worker_bit_for_bit(runs: Runs) -> None:
    model = network()
    parallel.fit(
        model, cross_entropy, data(45), algorithm=Synchronous("adam", lr=0.1), batch=8, epochs=2
    )
    for run in runs:
        assert torch.equal(run["pipeline"]["uncut"], vector_of(model))


def test_both_schedules_add_microbatches_up_alike(runs: Runs) -> None:
    for run in runs:
        assert torch.equal(run["pipeline"]["gpipe"], run["pipeline"]["1f1b"])


# The same result.


@pytest.mark.parametrize("name", [*map(str, WRAPS), "pipeline"])
def test_every_process_returns_the_same_and_one_records_it(name: str, runs: Runs) -> None:
    first, second = (run["result"][name] for run in runs)
    for key, value in first["state"].items():
        assert torch.equal(value, second["state"][key]), key
    assert first["history"] == second["history"]
    assert first["receipts"] == second["receipts"] == {"applied": 12}
    assert [point[:2] for point in first["history"]] == [(6, 48), (12, 96)]
    assert {*first["recorded"]} == {"began", "flush", "loss", "parallel", "tally"}
    assert second["recorded"] == []


@pytest.mark.parametrize("name", [str(wrap) for wrap in WRAPS])
def test_statistics_are_those_of_the_first_process(name: str, runs: Runs) -> None:
    """Each process sees half of the batches."""
    assert runs[1]["result"][name]["state"]["1.num_batches_tracked"] == 6


@each_wrap
def test_gradients_that_are_not_finite_change_nothing(wrap: Any, runs: Runs) -> None:
    """Alone, rounds go on without them; a wrapper adds them to the others, which are lost too."""
    for run in runs:
        found = run["not_always_finite"][wrap]
        assert found["values"].isfinite().all()
        lost = 1 if wrap is None else 2
        assert found["receipts"] == {"applied": 4 - lost, "not finite": lost}


def test_a_round_without_a_finite_gradient_makes_no_update(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rule that remembers gradients would go on without any."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_ports(1)[0])}
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", **place}.items():
        monkeypatch.setenv(name, value)
    row = torch.ones(1, 6, dtype=torch.float64)
    batches = Batches(Rows(row, row), 1, 0)
    (values, tally), (simulated, _) = (
        engine.run(job(line(), _finite_once(), Synchronous("adam", lr=LR), 4, batches))
        for engine in (parallel.TorchEngine(), parallel.InProcess())
    )
    assert tally.receipts == {Outcome.APPLIED: 1, Outcome.NONFINITE: 3}
    assert values.abs().min() > 0
    assert torch.equal(values, simulated)


def _finite_once() -> Callable[[Any, Any], torch.Tensor]:
    """Return a loss of which the first batch alone has a finite gradient."""
    factors = chain([1.0], repeat(float("nan")))

    def loss(output: torch.Tensor, _: object) -> torch.Tensor:
        return output.mean() * next(factors)

    return loss


@each_wrap
def test_a_parameter_that_the_loss_does_not_reach_stays(wrap: Any, runs: Runs) -> None:
    """And the others are trained as if it were not there."""
    batches = Batches(Rows(*linear_data(32, 6)), 8, 2)
    end, asked = logged(job(line(), squares, Synchronous("sgd", lr=LR), 4, batches))
    one = torch.stack([at for _, at in asked] + [end])
    apart = apart_by_rounding(one, batches, LR, PROCESSES)[-1]
    for run in runs:
        idle, trained = run["unreached"][wrap].split((2, 6))
        assert torch.equal(idle, torch.ones_like(idle))
        assert ((trained - end).abs() <= apart).all()


def test_a_group_that_the_program_has_made_is_used_and_stays(runs: Runs) -> None:
    for run in runs:
        assert run["by_file"]["stays"]
        assert torch.equal(run["by_file"]["path"], run["path"][None])


# Where processes listen.


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="asks Linux who listens")
@each_wrap
def test_processes_listen_on_loopback_alone(wrap: Any, runs: Runs) -> None:
    for run in runs:
        hosts = {address.split(":")[0] for address in run["listening"][wrap]}
        assert hosts == {"0100007F"}


def test_nothing_that_another_process_sends_is_unpickled(runs: Runs) -> None:
    for run in runs:
        assert run["unpickled"] == []


# What cannot work.


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shape", "BadValue: the model of rank 1 differs: its '0.weight' has shape (5, 5)"),
        ("seed", "BadValue: seed: 0 in the process of rank 0, 1 in that of rank 1"),
        ("algorithm", "BadValue: the algorithm: ['Synchronous', {'rule': 'sgd', 'lr': 0.1"),
        ("engine", "BadValue: the form of training: TorchEngine(wrap=None"),
    ],
)
def test_processes_that_were_given_different_things_refuse_to_begin(
    name: str, words: str, runs: Runs
) -> None:
    for run in runs:
        assert words in run["refusals"][name]


@pytest.mark.parametrize("name", ["loss", "loss in ddp"])
def test_an_error_in_one_process_ends_the_others(name: str, runs: Runs) -> None:
    assert runs[1]["refusals"][name] == "ArithmeticError: the loss of the user"
    assert runs[0]["refusals"][name].startswith("WorkerDied: ")


def test_a_process_that_does_not_come_is_not_waited_for(runs: Runs) -> None:
    assert "the 2 processes have not met within 1 seconds" in runs[0]["alone"]


# Three processes, of which one ends amid the training.


@pytest.fixture(scope="module")
def three_runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """What each of three processes found, before it was stopped or killed."""
    folder = tmp_path_factory.mktemp("three")
    spawn = torch.multiprocessing.get_context("spawn")
    given = str(folder), free_ports(2)
    crew = [spawn.Process(target=three, args=(rank, *given)) for rank in range(3)]
    for each in crew:
        each.start()
    for each in crew[:2]:
        each.join()
    crew[2].kill()
    crew[2].join()
    assert [each.exitcode for each in crew] == [0, -signal.SIGKILL, -signal.SIGKILL]
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(3)]


@pytest.mark.long
@each_wrap
def test_three_processes_are_one_with_a_large_batch(wrap: Any, three_runs: Runs) -> None:
    batches = Batches(Rows(*linear_data(36, 6)), 12, 2)
    end, asked = logged(job(line(), squares, Synchronous("sgd", lr=LR), 15, batches))
    one = torch.stack([at for _, at in asked] + [end])
    for run in three_runs:
        apart = apart_by_rounding(run["path"][wrap], batches, LR, 3)
        assert ((run["path"][wrap] - one).abs() <= apart).all()
        assert apart.max() < 1e-9


@pytest.mark.long
@pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
def test_the_gradient_of_three_stages_is_that_of_the_whole_model(
    schedule: str, three_runs: Runs
) -> None:
    model = deep()
    inputs, targets = Batches(Rows(*data(12)), 12, 0).take(0)
    cross_entropy(model(inputs), targets).backward()
    whole = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    for run in three_runs:
        assert (run["pipeline"][schedule] - whole).abs().max() <= 1e-6


@pytest.mark.long
def test_an_end_amid_a_backward_pass_leaves_nothing_that_waits(three_runs: Runs) -> None:
    for rank, run in enumerate(three_runs):
        beginning = "ArithmeticError: " if rank == 1 else "WorkerDied: "
        assert len(run["endings"]) == 20
        assert all(words.startswith(beginning) for words in run["endings"])


@pytest.mark.long
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_nobody_waits_for_a_process_that_is_stopped_or_killed(how: str, three_runs: Runs) -> None:
    """It was stopped among three, with a timeout of fifteen seconds, and killed among two."""
    survivors = three_runs[:2] if how == "stopped" else three_runs[:1]
    for run in survivors:
        assert run[how].startswith("WorkerDied: another process of the training has ended")
