"""Nested dicts, lists and tuples as JSON beside named tensors: no code runs when they are read."""

from __future__ import annotations

import json
import math
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import BadType


def pack(tree: Any) -> tuple[str, dict[str, Tensor]]:
    """Return *tree* as JSON text and the tensors it names, contiguous copies in main memory.

    Beside dicts, lists, tuples and tensors it may hold numbers, strings, booleans and None; raises
    BadType for anything else, and for tensors that are sparse or quantized.
    """
    tensors: dict[str, Tensor] = {}
    return json.dumps(_packed(tree, (), tensors)), tensors


def unpack(text: str, tensors: dict[str, Tensor]) -> Any:
    """Return the tree that `pack` was given."""
    return _unpacked(json.loads(text), tensors)


def _packed(tree: Any, path: tuple[str, ...], tensors: dict[str, Tensor]) -> Any:
    match tree:
        case None | bool() | int() | str():
            return tree
        case float():
            return tree if math.isfinite(tree) else {"!float": repr(tree)}
        case Tensor():
            return {"!tensor": _kept(tree, path, tensors)}
        case dict():
            return _packed_dict(tree, path, tensors)
        case list() | tuple():
            items = [_packed(each, (*path, str(k)), tensors) for k, each in enumerate(tree)]
            return {"!tuple": items} if isinstance(tree, tuple) else items
    raise BadType(
        f"{'/'.join(path)} is {type(tree).__name__} ({tree!r:.60}), which a checkpoint cannot "
        "hold; expected tensors, numbers, strings, or dicts, lists and tuples of them."
    )


def _packed_dict(tree: dict, path: tuple[str, ...], tensors: dict[str, Tensor]) -> Any:
    pairs = [[key, _packed(each, (*path, str(key)), tensors)] for key, each in tree.items()]
    if all(isinstance(key, str) and not key.startswith("!") for key in tree):
        return dict(pairs)
    return {"!dict": [[_packed(key, path, tensors), each] for key, each in pairs]}


def _kept(tensor: Tensor, path: tuple[str, ...], tensors: dict[str, Tensor]) -> str:
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise BadType(
            f"{'/'.join(path)} is a {tensor.layout} tensor; a checkpoint holds dense ones."
        )
    name = "/".join(path)
    while name in tensors:
        name += "'"
    tensors[name] = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach())
    return name


def _unpacked(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, list):
        return [_unpacked(each, tensors) for each in tree]
    if not isinstance(tree, dict):
        return tree
    match tree:
        case {"!tensor": name}:
            return tensors[name]
        case {"!tuple": items}:
            return tuple(_unpacked(each, tensors) for each in items)
        case {"!float": text}:
            return float(text)
        case {"!dict": pairs}:
            return {_unpacked(key, tensors): _unpacked(each, tensors) for key, each in pairs}
    return {key: _unpacked(each, tensors) for key, each in tree.items()}
