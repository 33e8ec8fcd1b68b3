"""Compressed pushes: smaller on their way, nothing forgotten, and still a descent."""

import pytest
import torch
from small import fitted

from thalweg.errors import BadType, BadValue
from thalweg.parallel import BFloat16, Compression, Downpour, InProcess, Network, Outcome, TopK
from thalweg.parallel.cluster.wire import boxed, unboxed
from thalweg.parallel.compression import Whole
from thalweg.parallel.flat import finite, vector_of


def vectors(count: int, size: int = 200) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(7))


def test_top_k_sends_the_largest_and_keeps_the_rest_for_later() -> None:
    """What was sent and what is left are together all that was pushed."""
    pack, pushed = TopK(0.05).compressor(), vectors(30).double()
    sent = torch.zeros(200, dtype=torch.float64)
    for k, vector in enumerate(pushed):
        left = pushed[:k].sum(0) - sent + vector
        found = pack(vector.clone()).dense(torch.float64)
        assert found.count_nonzero() == 10
        assert found[found != 0].abs().min() >= left[found == 0].abs().max()
        sent += found
    rest = torch.stack([pack(torch.zeros(200).double()).dense(torch.float64) for _ in range(20)])
    torch.testing.assert_close(sent + rest.sum(0), pushed.sum(0), rtol=1e-12, atol=1e-12)


def test_a_push_that_is_not_finite_is_sent_as_it_is_and_not_remembered() -> None:
    pack = TopK(0.5).compressor()
    bad = torch.tensor([1.0, float("nan"), 2.0, 0.0])
    assert pack(bad).dense(torch.float32).isnan().sum() == 1
    assert torch.equal(pack(torch.zeros(4)).dense(torch.float32), torch.zeros(4))


def test_finite_numbers_whose_sum_overflows_are_finite() -> None:
    assert finite(torch.full((4,), 3e38))
    assert not finite(torch.tensor([float("inf"), -float("inf")]))
    assert not finite(torch.tensor([3e38, 3e38, float("nan")]))


def test_bfloat16_rounds_to_eight_bits() -> None:
    vector = vectors(1)[0]
    found = BFloat16().compressor()(vector).dense(torch.float32)
    assert ((found - vector).abs() <= vector.abs() * 2.0**-8).all()
    assert not torch.equal(found, vector)


@pytest.mark.parametrize(
    ("compression", "share"), [(Whole(), 1), (BFloat16(), 0.5), (TopK(0.01), 0.02)]
)
def test_as_many_bytes_travel_as_it_says(compression: Compression, share: float) -> None:
    vector = vectors(1, 10_000)[0]
    found = compression.compressor()(vector)
    assert found.nbytes == share * vector.nbytes
    assert torch.equal(unboxed(boxed(found), vector.dtype), found.dense(vector.dtype))


@pytest.mark.parametrize("compression", [BFloat16(), TopK(0.25)])
def test_training_goes_on_by_compressed_pushes(compression: Compression) -> None:
    """They change the path, save time where bytes cost some, and learn about as much."""
    how = {"epochs": 10, "engine": InProcess(network=Network(bandwidth=1000.0))}
    algorithm = Downpour("sgd", lr=0.5)
    whole = fitted(algorithm, 2, **how)
    small = fitted(algorithm, 2, **how, compress=compression, shards=3)
    assert not torch.equal(vector_of(small.model), vector_of(whole.model))
    assert small.tally.receipts == {Outcome.APPLIED: 3 * 60}
    assert small.history[-1].time < whole.history[-1].time
    first, last = small.history[0].running_loss, small.history[-1].running_loss
    assert last < 0.5 * first
    assert last == pytest.approx(whole.history[-1].running_loss, abs=0.2 * first)


def test_what_is_no_compression_is_refused() -> None:
    for share in (0.0, 1.5):
        with pytest.raises(BadValue, match=f"share={share}"):
            TopK(share)
    with pytest.raises(BadType, match="compress='bf16'; expected one such as BFloat16"):
        fitted(Downpour(), compress="bf16")
