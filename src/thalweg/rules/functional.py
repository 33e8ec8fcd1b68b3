"""The pure face of a rule: state in, state out, on tensors, arrays or collections of them."""

from collections.abc import Callable, Mapping
from typing import Any

from thalweg.algebra import PLACE, evaluate, symbol
from thalweg.algebra.operations import library_of
from thalweg.algebra.signature import FromHyper, FromInput, Initial, Scalar
from thalweg.algebra.trace import symbols
from thalweg.errors import BadType, BadValue


def init(rule: Any, params: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of *rule* before its first update on *params*."""
    leaves, rebuild = _flatten(params)
    return {
        slot: rebuild([begin(initial, p, settings) for p in leaves])
        for slot, initial in rule.signature.slots.items()
    }


def begin(initial: Initial, p: Any, settings: Mapping[str, Any]) -> Any:
    """Return a slot's value before the first update of parameter *p*, which is copied, not kept."""
    library = library_of(p)
    if isinstance(initial, FromInput):
        return p if library is None else p.clone() if hasattr(p, "clone") else p.copy()
    value = settings[initial.name] if isinstance(initial, FromHyper) else initial_number(initial)
    if library is None:
        return value
    if isinstance(initial, Scalar):
        return library.asarray(value, dtype=library.float32)
    if isinstance(value, (int, float)):
        return library.full_like(p, value)
    return _like(p, library.zeros_like(p) + value)


def initial_number(initial: Initial) -> float:
    """Return the number a slot begins with; a slot that takes the first gradient begins at zero."""
    return getattr(initial, "value", 0.0)


def update(
    rule: Any, params: Any, grads: Any, state: Mapping[str, Any], t: Any, settings: Mapping
) -> tuple[Any, dict[str, Any]]:
    """Return the parameters and state of *rule* after update number *t*."""
    if isinstance(t, (int, float)) and t < 1:
        raise BadValue(f"{rule.name}: t={t!r}; the clock is 1 at the first update.")
    leaves, rebuild = _flatten(params)
    for leaf in (*leaves, *_flatten(grads)[0]):
        _check_real(rule, leaf)
    slots = rule.signature.slots
    columns = [_matched(params, grads, "grads")]
    columns += [_matched(params, _slot(rule, state, slot), slot) for slot in slots]
    table = symbols(rule.signature)
    shared = {table[name]: _host(value) for name, value in settings.items()}
    given = columns[1:]
    own = [table[name] for name in ("g", *slots)]
    columns = [
        list(map(_host, column)) if isinstance(slots.get(name), Scalar) else column
        for name, column in zip(("g", *slots), columns, strict=True)
    ]
    rows = [shared | dict(zip(own, each, strict=True)) for each in zip(*columns, strict=True)]
    for index, (row, p) in enumerate(zip(rows, leaves, strict=True)):
        row |= {symbol("input", "p"): p, symbol("clock", "t"): _host(t), PLACE: index}
    results = evaluate(rule.results, rows)
    params = rebuild([_like(p, out[0]) for p, out in zip(leaves, results, strict=True)])
    new = zip(*(out[1:] for out in results), strict=True)
    return params, {
        slot: rebuild([_like(old, value) for old, value in zip(column, values, strict=True)])
        for slot, column, values in zip(slots, given, new, strict=True)
    }


def _check_real(rule: Any, leaf: Any) -> None:
    """Refuse arrays of whole or complex numbers, on which the same text means other things."""
    kind = str(getattr(leaf, "dtype", "float"))
    if "float" not in kind:
        raise BadType(
            f"{rule.name}: update takes real floating-point numbers, and was given {kind}. Convert "
            "whole numbers to floats, and see complex ones as pairs (torch.view_as_real)."
        )


def _host(value: Any) -> Any:
    """Return one number in float64, in which all that is no element is computed; others as given.

    So a clock of whole numbers, or a rate in float32, costs no precision. MPS has no float64.
    """
    if library_of(value) is None or value.ndim:
        return value
    if not hasattr(value, "double"):
        return float(value)
    return value if value.device.type == "mps" else value.double()


def _slot(rule: Any, state: Mapping[str, Any], slot: str) -> Any:
    if slot not in state:
        raise BadValue(
            f"{rule.name}: the state has no slot {slot!r}, only {', '.join(state) or 'nothing'}. "
            "Make it with rule.init(params)."
        )
    return state[slot]


def _like(old: Any, new: Any) -> Any:
    """Return *new* with the dtype and shape of the value it replaces."""
    library = library_of(old)
    if library is None:
        return new
    if library_of(new) is None:
        return library.zeros_like(old) + new
    if new.dtype == old.dtype:
        return new
    return new.to(old.dtype) if hasattr(new, "to") else new.astype(old.dtype)


def _flatten(tree: Any) -> tuple[list, Callable[[list], Any]]:
    """Return the leaves of a value, list or dict, and what puts new leaves in their place."""
    if isinstance(tree, Mapping):
        return list(tree.values()), lambda leaves: dict(zip(tree, leaves, strict=True))
    if isinstance(tree, (list, tuple)):
        return list(tree), type(tree)
    return [tree], lambda leaves: leaves[0]


def _matched(params: Any, values: Any, what: str) -> list:
    """Return the leaves of *values* in the order of those of *params*, which they must match."""
    if isinstance(params, Mapping):
        if not isinstance(values, Mapping) or set(values) != set(params):
            raise BadValue(f"{what} must be a dict with the keys of params: {', '.join(params)}.")
        return [values[key] for key in params]
    leaves, given = _flatten(params)[0], _flatten(values)[0]
    if len(leaves) != len(given):
        raise BadValue(f"{what} has {len(given)} entries for {len(leaves)} parameters.")
    return given
