"""The compiled engine: the same bits on any number of threads, kept on disk, safe across forks."""

import gc
import re
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path

import pytest
import torch

import thalweg
from thalweg import optim
from thalweg.kernels import cpu, kernel_source, openmp
from thalweg.kernels.cpu import cache_directory, compiled
from thalweg.kernels.cpu_launch import CpuLaunch
from thalweg.kernels.plan import RECENT, lower
from thalweg.rules import adam, catalogue, chain, clip_by_global_norm, ema_average, sgd

FULL = chain(clip_by_global_norm, adam, ema_average)


def _trained(rule, shape, steps=3, entry=None, monkeypatch=None):
    generator = torch.Generator().manual_seed(0)
    p = torch.nn.Parameter(torch.randn(shape, generator=generator))
    optimizer = thalweg.Optimizer([p], rule)
    for _ in range(steps):
        p.grad = torch.randn(shape, generator=generator)
        optimizer.step()
    return p.detach().clone()


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("rule", [adam, FULL], ids=["adam", "clip, adam, average"])
def test_one_thread_and_many_give_the_same_bits(rule, threads):
    found = []
    for count in (1, 2, 3):
        threads(count)
        found.append(_trained(rule, (1_000_003,)))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_the_thread_pool_that_stands_in_for_openmp_gives_the_same_bits(monkeypatch):
    expected = _trained(FULL, (200_001,))
    monkeypatch.setattr(openmp, "_openmp_of_torch", lambda: None)
    openmp.parallel_entry.cache_clear()
    try:
        assert torch.equal(_trained(FULL, (200_001,)), expected)
    finally:
        openmp.parallel_entry.cache_clear()


def test_the_openmp_of_torch_is_found_here():
    assert openmp._openmp_of_torch() is not None


def test_changing_a_hyperparameter_compiles_nothing():
    p = torch.nn.Parameter(torch.ones(5))
    optimizer = optim.AdamW([p])
    p.grad = torch.ones(5)
    optimizer.step()
    before = compiled.cache_info().misses
    for key, value in {"lr": 0.1, "eps": 1e-3, "weight_decay": 0.0, "betas": (0.5, 0.6)}.items():
        optimizer.param_groups[0][key] = value
        optimizer.step()
    assert compiled.cache_info().misses == before


def test_groups_with_different_settings_share_one_launch():
    params = [torch.nn.Parameter(torch.ones(3)) for _ in range(3)]
    groups = [{"params": [p], "lr": lr} for p, lr in zip(params, (0.1, 0.2, 0.3), strict=True)]
    optimizer = thalweg.Optimizer(groups, sgd)
    for p in params:
        p.grad = torch.ones(3)
    optimizer.step()
    assert optimizer._work is not None
    assert len(optimizer._work.launches) == 1
    for p, lr in zip(params, (0.1, 0.2, 0.3), strict=True):
        torch.testing.assert_close(p.detach(), torch.full((3,), 1 - lr))


def test_a_global_norm_spans_groups_and_dtypes():
    params = [torch.nn.Parameter(torch.zeros(1, dtype=d)) for d in (torch.float32, torch.float64)]
    optimizer = thalweg.Optimizer(
        [{"params": [p]} for p in params], chain(clip_by_global_norm, sgd), lr=1.0, max_norm=1.0
    )
    params[0].grad, params[1].grad = torch.tensor([3.0]), torch.tensor([4.0]).double()
    optimizer.step()
    torch.testing.assert_close(params[0].detach(), torch.tensor([-0.6]), rtol=1e-5, atol=0)
    torch.testing.assert_close(params[1].detach(), torch.tensor([-0.8]).double(), rtol=1e-5, atol=0)


def test_a_plan_says_what_is_stored_per_row_and_what_is_summed():
    plan = lower(FULL)
    assert [each.op for level in plan.sums for each in level] == ["sum_launch"]
    assert plan.slots == ("exp_avg", "exp_avg_sq", "average")
    assert plan.reads_every_row


def test_only_the_plans_made_last_are_remembered():
    first = weakref.ref(lower(chain(sgd, defaults={"lr": 0.5})))
    for k in range(RECENT):
        lower(chain(sgd, defaults={"lr": 1.0 + k}))
    gc.collect()
    assert first() is None


def test_kernels_are_forgotten_once_no_launch_holds_them_and_come_back_with_the_same_bits():
    expected = _trained(FULL, (1_000,))
    first = weakref.ref(compiled(lower(FULL), "float32").module)
    lower.cache_clear()
    compiled.cache_clear()
    gc.collect()
    assert first() is None
    assert torch.equal(_trained(FULL, (1_000,)), expected)


@pytest.mark.parametrize("key", ["momentum", "adadelta", "adam", "nadam", "radam", "rprop"])
def test_the_element_loop_is_vectorized(key, tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "cache_directory", lambda: tmp_path)
    code = compiled.__wrapped__(lower(catalogue[key]), "float32")
    text = code.module.elements._library.get_llvm_str()
    assert re.search(r"store <\d+ x float>", text)


def test_the_sum_of_a_norm_is_vectorized(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "cache_directory", lambda: tmp_path)
    code = compiled.__wrapped__(lower(FULL), "float32")
    text = code.module.sums0._library.get_llvm_str()
    assert re.search(r"fadd reassoc <\d+ x double>", text)


def test_kernel_source_is_what_is_compiled():
    module = compiled(lower(adam), "float32").module
    assert kernel_source(adam) in Path(str(module.__file__)).read_text()


def _run(code: str, cache: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={"THALWEG_CACHE": str(cache), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


STEP = """
    import torch
    from thalweg import optim
    from thalweg.kernels.cpu import compiled
    p = torch.nn.Parameter(torch.ones(5)); p.grad = torch.ones(5)
    optim.Adam([p]).step()
    print(p.sum().item())
"""


def test_kernels_are_kept_on_disk_and_reused(tmp_path):
    first = _run(STEP, tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb*")}
    assert stamps
    assert _run(STEP, tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb*")} == stamps


def test_a_damaged_cache_is_rebuilt_not_believed(tmp_path):
    first = _run(STEP, tmp_path)
    for path in tmp_path.rglob("*.nb*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert _run(STEP, tmp_path) == first


def test_a_kernel_text_that_was_cut_off_is_written_again(tmp_path):
    first = _run(STEP, tmp_path)
    for path in tmp_path.glob("*.py"):
        path.write_text("")
    assert _run(STEP, tmp_path) == first


def test_an_unwritable_cache_still_steps(tmp_path):
    folder = tmp_path / "file"
    folder.write_text("not a folder")
    assert _run(STEP, folder / "below") == _run(STEP, tmp_path)


def test_a_forked_child_steps_with_the_same_bits(tmp_path):
    code = """
        import os, torch, thalweg
        from thalweg.rules import adam
        torch.set_num_threads(2)
        def begun():
            p = torch.nn.Parameter(torch.ones(200_000))
            p.grad = torch.linspace(-1, 1, 200_000)
            optimizer = thalweg.Optimizer([p], adam)
            optimizer.step()
            return p, optimizer
        (here, first), (there, second) = begun(), begun()
        first.step()
        expected = here.detach().numpy().copy()
        child = os.fork()
        if child == 0:
            second.step()
            os._exit(0 if (there.detach().numpy() == expected).all() else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert _run(code, tmp_path).strip() == "0"


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "kernels"))
    cache_directory.cache_clear()
    try:
        assert cache_directory() == tmp_path / "kernels"
    finally:
        cache_directory.cache_clear()


def test_launches_are_made_for_cpu_rows_of_one_dtype():
    p = torch.nn.Parameter(torch.ones(4))
    optimizer = optim.Adam([p])
    p.grad = torch.ones(4)
    optimizer.step()
    assert optimizer._work is not None
    assert [type(each) for each in optimizer._work.launches] == [CpuLaunch]
