"""The ways in which torch computes a layer that can be differentiated twice, chosen for a while."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.backends import cudnn, mkldnn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode


@contextmanager
def twice_differentiable(model: nn.Module) -> Iterator[None]:
    """Compute attention, recurrent layers and embeddings without kernels that end at one gradient.

    Nothing is written to the model.
    """
    kinds = tuple(map(type, model.modules()))
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if any(issubclass(kind, nn.RNNBase) for kind in kinds):
            stack.enter_context(cudnn.flags(enabled=False))
            with warnings.catch_warnings(action="ignore", category=UserWarning):
                stack.enter_context(mkldnn.flags(enabled=False))
        if any(issubclass(kind, (nn.Embedding, nn.EmbeddingBag)) for kind in kinds):
            stack.enter_context(_DenseEmbeddings())
        yield


@final
class _DenseEmbeddings(TorchFunctionMode):
    """Embeddings have dense gradients, and bags of them are sums of what torch can gather."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is functional.embedding:
            return functional.embedding(**{**_named(func, args, given), "sparse": False})
        if func is functional.embedding_bag:
            named = _named(func, args, given)
            if _is_plain(named):
                return _bags(named)
        return func(*args, **given)


def _named(func: Callable, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    return _signature(func).bind(*args, **kwargs).arguments


@lru_cache
def _signature(func: Callable) -> inspect.Signature:
    return inspect.signature(func)


def _is_plain(named: Mapping[str, Any]) -> bool:
    """Return whether a bag is a row of word numbers whose vectors are added or averaged."""
    special = ("offsets", "max_norm", "per_sample_weights", "scale_grad_by_freq")
    mode = named.get("mode", "mean")
    return named["input"].ndim == 2 and mode != "max" and not any(map(named.get, special))


def _bags(named: Mapping[str, Any]) -> Tensor:
    """Return the sum or the mean of the vectors of each row, words of the padding left out."""
    words, padding = named["input"], named.get("padding_idx")
    counted = torch.ones_like(words) if padding is None else (words != padding).long()
    vectors = functional.embedding(words, named["weight"]) * counted[..., None]
    if named.get("mode", "mean") == "sum":
        return vectors.sum(1)
    return vectors.sum(1) / counted.sum(1, keepdim=True).clamp(min=1)
