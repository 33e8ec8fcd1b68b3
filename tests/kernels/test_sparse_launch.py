"""Sparse gradients: rows they name get the bits of the dense step, all others keep theirs."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from thalweg.algebra import normal
from thalweg.algebra.signature import Scalar
from thalweg.errors import BadType
from thalweg.kernels import launches, layout
from thalweg.kernels.cpu_launch import CpuLaunch
from thalweg.kernels.eager import EagerLaunch
from thalweg.kernels.plan import lower
from thalweg.kernels.sparse import SparseCpuLaunch, SparseEagerLaunch
from thalweg.kernels.table import LayoutChanged, Row
from thalweg.rules import (
    Rule,
    adam,
    ascend,
    catalogue,
    chain,
    clip_by_global_norm,
    clip_by_value,
    decay,
    ema_average,
    momentum,
    nadam,
    sgd,
    transform,
    variants,
)
from thalweg.rules.functional import begin

CHAINS = [
    chain(ascend, clip_by_value, catalogue["nesterov"], decay),
    chain(decay, adam, ema_average),
]
RULES = [
    each for each in [*catalogue.values(), *variants.values(), *CHAINS] if not lower(each).sums
]
TWINS = [(SparseCpuLaunch, CpuLaunch), (SparseEagerLaunch, EagerLaunch)]
SHAPES = [(9, 5), (30,), (7, 3, 4), (4, 0), (0, 3), (6, 1)]


def values(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def row_of(rule: Rule, p: Tensor, place: int = 0) -> Row:
    """Return the row of parameter *p* before its first update, in the group *place* % 2."""
    slots: list[Tensor] = []
    scalars: list[Tensor] = []
    for initial in rule.signature.slots.values():
        value = begin(initial, p, rule.settings())
        (scalars if isinstance(initial, Scalar) else slots).append(value)
    return Row(p, tuple(slots), tuple(scalars), torch.tensor(0.0), place % 2, place)


def copied(row: Row) -> Row:
    """Return a row like *row* with memory of its own."""
    return replace(
        row,
        parameter=row.parameter.clone(),
        slots=tuple(each.clone() for each in row.slots),
        scalars=tuple(each.clone() for each in row.scalars),
        step=row.step.clone(),
    )


def sparse(indices: Sequence[int], part: Tensor, like: Tensor) -> Tensor:
    """Return a gradient of *like*: for each of *indices*, which may repeat, a row of *part*."""
    return torch.sparse_coo_tensor(
        torch.tensor([indices], dtype=torch.int64), part, like.shape, check_invariants=True
    )


def drawn(p: Tensor, step: int) -> Tensor:
    """Return a gradient that names about half of the rows of *p*, some of them twice."""
    generator = torch.Generator().manual_seed(step)
    count = len(p) // 2 + 1 if len(p) else 0
    indices = torch.randint(0, max(len(p), 1), (count,), generator=generator).tolist()
    return sparse(indices, values(count, *p.shape[1:], seed=step, dtype=p.dtype), p)


def step(engine, rule: Rule, rows: Sequence[Row], gradients: Sequence[Tensor | None]) -> bool:
    """Make one update of *rows*; return whether each had a gradient."""
    launch = engine(lower(rule), rows)
    half = {**rule.settings(), "lr": 0.5 * rule.settings()["lr"]}
    launch.set_hypers([list(rule.settings().values()), list(half.values())])
    for row, g in zip(rows, gradients, strict=True):
        row.parameter.grad = g
    complete = launch.take()
    launch.run()
    return complete


def whole(row: Row) -> list[Tensor]:
    """Return what has the parameter's shape."""
    return [row.parameter, *row.slots]


def single(row: Row) -> list[Tensor]:
    """Return what is one number."""
    return [row.step, *row.scalars]


def assert_same(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("engine", "dense"), TWINS)
@pytest.mark.parametrize("rule", RULES, ids=lambda each: each.key)
def test_touched_rows_get_the_bits_of_the_dense_step_and_others_keep_theirs(
    rule, engine, dense, dtype
):
    rows = [row_of(rule, values(*shape, dtype=dtype), k) for k, shape in enumerate(SHAPES)]
    follow_the_dense_step(rule, rows, engine, dense)


@pytest.mark.parametrize("rule", [adam, nadam], ids=lambda each: each.key)
def test_rows_wider_than_a_chunk_get_the_bits_of_the_dense_step(rule):
    rows = [row_of(rule, values(3, layout.CHUNK + 5, seed=k), k) for k in range(2)]
    follow_the_dense_step(rule, rows, SparseCpuLaunch, CpuLaunch)


def follow_the_dense_step(rule, rows, engine, dense):
    """Assert, step by step, that touched rows move as in a dense step and others not at all."""
    for count in range(3):
        gradients = [drawn(row.parameter, 10 * count + k) for k, row in enumerate(rows)]
        before, twins = ([copied(row) for row in rows] for _ in range(2))
        step(dense, rule, twins, [g.to_dense() for g in gradients])
        assert step(engine, rule, rows, gradients)
        for row, old, twin, g in zip(rows, before, twins, gradients, strict=True):
            touched = torch.zeros(len(row.parameter), dtype=torch.bool)
            touched[g._indices()[0]] = True
            assert_same([each[touched] for each in whole(row)], [e[touched] for e in whole(twin)])
            assert_same([each[~touched] for each in whole(row)], [e[~touched] for e in whole(old)])
            assert_same(single(row), single(twin))


@pytest.mark.parametrize("engine", [SparseCpuLaunch, SparseEagerLaunch])
def test_entries_of_one_row_are_added_and_the_gradient_stays_as_it_was(engine):
    row = row_of(adam, values(5, 2))
    twin = copied(row)
    part = values(4, 2, seed=1)
    g = sparse([3, 1, 3, 3], part, row.parameter)
    step(engine, adam, [row], [g])
    step(engine, adam, [twin], [sparse([1, 3], torch.stack([part[1], part[[0, 2, 3]].sum(0)]), g)])
    assert_same(whole(row), whole(twin))
    assert not g.is_coalesced()
    assert g._indices().tolist() == [[3, 1, 3, 3]]
    assert torch.equal(g._values(), part)


@pytest.mark.parametrize("engine", [SparseCpuLaunch, SparseEagerLaunch])
def test_a_gradient_that_names_no_row_advances_the_clock_alone(engine):
    row = row_of(nadam, values(5, 2))
    step(engine, nadam, [row], [drawn(row.parameter, 0)])
    before, twin = copied(row), copied(row)
    assert step(engine, nadam, [row], [sparse([], values(0, 2), row.parameter)])
    step(EagerLaunch, nadam, [twin], [torch.zeros(5, 2, dtype=torch.float64)])
    assert_same(whole(row), whole(before))
    assert_same(single(row), single(twin))
    assert float(row.step) == 2


def test_a_row_named_late_begins_its_momentum_at_zero_as_others_did_not():
    row = row_of(momentum, torch.zeros(2, 1, dtype=torch.float64))
    launch = SparseCpuLaunch(lower(momentum), [row])
    launch.set_hypers([[1.0, 0.9, 0.5]])
    for index in (0, 1):
        row.parameter.grad = sparse([index], torch.ones(1, 1, dtype=torch.float64), row.parameter)
        launch.take()
        launch.run()
    assert row.slots[0].tolist() == [[1.0], [0.5]]


@pytest.mark.parametrize("width", [1, 48, 3 * layout.CHUNK])
def test_one_thread_and_many_give_the_same_bits(width):
    found = []
    before = torch.get_num_threads()
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        row = row_of(adam, values(3 * layout.PARALLEL_FROM // width, width, dtype=torch.float32))
        for k in range(3):
            step(SparseCpuLaunch, adam, [row], [drawn(row.parameter, k)])
        found.append(whole(row))
    torch.set_num_threads(before)
    assert_same(found[1], found[0])
    assert_same(found[2], found[0])


@pytest.mark.parametrize("engine", [SparseCpuLaunch, SparseEagerLaunch])
def test_rows_without_a_gradient_are_passed_over(engine):
    rows = [row_of(adam, values(4, 2), k) for k in range(2)]
    before = copied(rows[0])
    assert not step(engine, adam, rows, [None, drawn(rows[1].parameter, 1)])
    assert_same([*whole(rows[0]), rows[0].step], [*whole(before), before.step])
    assert float(rows[1].step) == 1


@pytest.mark.parametrize("engine", [SparseCpuLaunch, SparseEagerLaunch])
def test_a_gradient_wider_than_its_parameter_is_taken(engine):
    row = row_of(sgd, torch.zeros(3, 2))
    row.parameter.grad_dtype = None
    g = sparse([1], torch.full((1, 2), 3.0, dtype=torch.float64), row.parameter)
    step(engine, sgd, [row], [g])
    assert torch.equal(row.parameter[1], torch.full((2,), -3e-3))


LAYOUTS = {
    "float32": (lambda p: p.float(), SparseCpuLaunch),
    "float64": (lambda p: p, SparseCpuLaunch),
    "bfloat16": (lambda p: p.bfloat16(), SparseCpuLaunch),
    "complex": (lambda p: torch.complex(p, -p), SparseEagerLaunch),
    "transposed": (lambda p: p.t().contiguous().t(), SparseEagerLaunch),
    "strided": (lambda p: p.repeat(1, 2)[:, ::2], SparseEagerLaunch),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_every_layout_finds_an_engine_that_moves_only_the_rows_named(kind):
    convert, engine = LAYOUTS[kind]
    row = row_of(adam, convert(values(6, 4)))
    before, twin = copied(row), copied(row)
    row.parameter.grad = sparse([4, 1], row.parameter[:2].clone(), row.parameter)
    (launch,) = launches(adam, [row])
    assert type(launch) is engine
    step(type(launch), adam, [row], [row.parameter.grad])
    step(EagerLaunch, adam, [twin], [row.parameter.grad.to_dense()])
    for ours, dense, old in zip(whole(row), whole(twin), whole(before), strict=True):
        torch.testing.assert_close(ours[[1, 4]], dense[[1, 4]])
        assert torch.equal(ours[[0, 2, 3, 5]], old[[0, 2, 3, 5]])


def test_dense_and_sparse_gradients_of_one_dtype_have_launches_of_their_own():
    rows = [row_of(adam, values(4, 2, dtype=torch.float32), k) for k in range(4)]
    for k in (1, 3):
        rows[k].parameter.grad = drawn(rows[k].parameter, k)
    rows[0].parameter.grad = torch.ones(4, 2)
    dense, touched = launches(adam, rows)
    assert (type(dense), dense.rows) == (CpuLaunch, [rows[0], rows[2]])
    assert (type(touched), touched.rows) == (SparseCpuLaunch, [rows[1], rows[3]])


@pytest.mark.parametrize(("engine", "dense"), TWINS)
def test_a_gradient_of_the_other_kind_asks_for_new_launches(engine, dense):
    row = row_of(adam, values(4, 2))
    before = copied(row)
    with pytest.raises(LayoutChanged):
        step(dense, adam, [row], [drawn(row.parameter, 0)])
    with pytest.raises(LayoutChanged):
        step(engine, adam, [row], [torch.ones(4, 2, dtype=torch.float64)])
    assert_same([*whole(row), *single(row)], [*whole(before), *single(before)])


def test_a_parameter_that_changed_its_memory_order_asks_for_new_launches():
    row = row_of(adam, values(4, 4))
    launch = SparseCpuLaunch(lower(adam), [row])
    row.parameter.grad = drawn(row.parameter, 0)
    row.parameter.data = row.parameter.data.t()
    with pytest.raises(LayoutChanged):
        launch.take()


@transform("noise")
def noisy(g, *, t, seed: float = 7.0):
    """Add normal noise to the gradient."""
    return g + normal(seed, t)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (chain(clip_by_global_norm, adam), "Adam sums over every element"),
        (chain(noisy, adam), "Adam draws noise by the place of each element"),
    ],
    ids=["norm", "noise"],
)
def test_a_rule_that_needs_the_whole_parameter_is_refused(rule, reason):
    row = row_of(rule, values(4, 2))
    row.parameter.grad = drawn(row.parameter, 0)
    with pytest.raises(BadType, match=f"{reason}, so it cannot take a sparse gradient"):
        launches(rule, [row])
