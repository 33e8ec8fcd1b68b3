"""Parameters spread over processes are updated as they would be in one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from shard_processes import PROCESSES, SCENARIOS, Spread, work

Runs = list[dict[str, Any]]

SUMMING = (
    "clipped_together", "clipped_descent", "normalized_each", "number_per_tensor", "means",
    "clipped_beforehand", "passed_over", "beside_plain_parameters", "pending_sums",
    "restored_from_shards", "never_stopped",
)  # fmt: skip
"""Scenarios with a sum over elements, which processes add up in another order than one alone."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Return what each process found."""
    folder = tmp_path_factory.mktemp("processes")
    torch.multiprocessing.spawn(work, (str(folder),), PROCESSES)
    return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(PROCESSES)]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", SCENARIOS)
def test_processes_together_do_what_one_does_alone(name: str, runs: Runs) -> None:
    alone = SCENARIOS[name](Spread())
    relative, absolute = (1e-5, 1e-7) if name in SUMMING else (0, 0)
    for run in runs:
        assert run[name].keys() == alone.keys()
        for key, value in alone.items():
            found = run[name][key]
            torch.testing.assert_close(found, value, rtol=relative, atol=absolute, msg=key)


@pytest.mark.parametrize("name", SCENARIOS)
def test_all_processes_end_with_the_same_bits(name: str, runs: Runs) -> None:
    for key, value in runs[0][name].items():
        assert torch.equal(value, runs[-1][name][key]), key


def test_training_goes_on_from_sharded_and_from_whole_state_to_the_last_bit(runs: Runs) -> None:
    straight = runs[0]["never_stopped"]
    for key, value in runs[0]["restored_from_shards"].items():
        assert torch.equal(value, straight[key]), key
    for key, value in runs[0]["restored_from_whole_tensors"].items():
        assert torch.equal(value, straight[f"adam {key}"]), key


def test_rules_without_sums_are_compiled_and_state_is_spread_as_parameters_are(runs: Runs) -> None:
    for run in runs:
        assert run["kinds"] == {
            "adam engines": ["CpuLaunch"],
            "adam placed": True,
            "chain engines": ["EagerLaunch"],
            "chain placed": True,
        }


@pytest.mark.parametrize("began", [False, True])
def test_gradients_spread_otherwise_are_refused_with_both_placements_named(
    began: bool, runs: Runs
) -> None:
    for run in runs:
        said = run["refusals"][f"plain {began}"]
        assert "is a plain tensor; the parameter is a DTensor placed (Shard(dim=0),)" in said
        said = run["refusals"][f"replicated {began}"]
        assert "is a DTensor placed (Replicate(),)" in said
        assert "the parameter is a DTensor placed (Shard(dim=0),)" in said


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("state", "the state 'exp_avg' of a parameter of shape (5,) is a plain tensor"),
        ("checkpoint", "parameter 0: exp_avg of a parameter of shape (5,) is a plain tensor"),
        ("plain parameter", "the parameter is a plain tensor"),
        ("pending parameter", "a sum over processes that is still pending"),
    ],
)
def test_what_is_not_spread_alike_is_refused(what: str, said: str, runs: Runs) -> None:
    for run in runs:
        assert said in run["refusals"][what]


def test_autograd_is_told_that_a_step_changed_a_parameter_and_its_part(runs: Runs) -> None:
    for run in runs:
        assert min(run["versions"]["advanced"]) > 0


def test_a_process_without_gradients_keeps_no_other_waiting(runs: Runs) -> None:
    for name in ("clipped_descent", "normalized_descent"):
        assert runs[0]["uneven_gradients"][name] == [3.0, 3.0, 3.0, 3.0]
        assert runs[-1]["uneven_gradients"][name] == [1.0, 2.0, 2.0, 2.0]
