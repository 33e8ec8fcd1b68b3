"""A chain is function composition at trace time: one tree, hence one kernel."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from thalweg.algebra import Expr, Hyperparameter, Signature, call, expand
from thalweg.algebra.signature import Initial, check_beginnings
from thalweg.errors import BadType, BadValue, UnknownName, nearest
from thalweg.rules.rule import Rule, reached
from thalweg.rules.transform import SUBJECTS, Transform

Piece = Rule | Transform


def chain(
    *pieces: Piece, key: str = "", name: str = "", paper: str = "", arxiv: str = "",
    summary: str = "", differences: Sequence[str] = (), defaults: Mapping[str, float] | None = None,
) -> Rule:  # fmt: skip
    """Return the rule that applies *pieces* together: exactly one rule, and any transforms.

    Transforms of the gradient come before the rule, transforms of the step after it, transforms
    of the new parameter last; among themselves they apply in the order given. All of them read
    the parameter as it was before the step. Pieces that declare the same hyperparameter share it.
    *defaults* replaces the defaults of some hyperparameters.
    """
    if not isinstance(defaults or {}, Mapping):
        raise BadType(f"defaults is {type(defaults).__name__}; expected numbers by name, a dict.")
    flat = tuple(part for piece in pieces for part in _parts(piece))
    rules = [piece for piece in flat if isinstance(piece, Rule)]
    if len(rules) != 1:
        raise BadValue(
            f"a chain needs exactly one rule; it was given {len(rules)}: "
            f"{', '.join(each.name for each in rules) or 'only transforms'}."
        )
    (core,) = rules
    order = _ordered(flat, core)
    return Rule(
        key or "_".join(piece.key for piece in order),
        name or " + ".join(piece.name for piece in order),
        partial(_compose, order),
        _with_defaults(_merged(order), {**_own_defaults(pieces), **(defaults or {})}),
        paper or core.paper, arxiv or core.arxiv, summary or _summary(order, core),
        tuple(differences) or core.differences, order,
    )  # fmt: skip


def _parts(piece: Any) -> tuple[Piece, ...]:
    if not isinstance(piece, (Rule, Transform)):
        raise BadType(
            f"a chain is made of rules and transforms, not of {type(piece).__name__} ({piece!r}). "
            "Decorate the function with @rule or @transform."
        )
    return (piece.pieces if isinstance(piece, Rule) else ()) or (piece,)


def _ordered(flat: tuple[Piece, ...], core: Rule) -> tuple[Piece, ...]:
    groups: dict[str, list[Piece]] = {subject: [] for subject in SUBJECTS}
    for piece in flat:
        if isinstance(piece, Transform):
            groups[piece.subject].append(piece)
    return (*groups["g"], core, *groups["step"], *groups["p_new"])


def _summary(order: tuple[Piece, ...], core: Rule) -> str:
    if len(order) == 1:
        return core.summary
    others = ", ".join(piece.name for piece in order if piece is not core)
    return f"{core.name} with {others}."


def _merged(order: tuple[Piece, ...]) -> Signature:
    slots: dict[str, Initial] = {}
    hyperparameters: dict[str, Hyperparameter] = {}
    for piece in order:
        for slot, initial in piece.signature.slots.items():
            if slot in slots:
                raise BadValue(f"two pieces of the chain keep a state slot named {slot!r}.")
            slots[slot] = initial
        for hyper in piece.signature.hyperparameters.values():
            known = hyperparameters.setdefault(hyper.name, hyper)
            if known != hyper:
                raise BadValue(
                    f"two pieces of the chain declare {hyper.name} differently: default "
                    f"{known.default} in {known.range} and {hyper.default} in {hyper.range}. "
                    "Pieces that share a name share its value; give one of them another name."
                )
    for piece in order:
        _check_shared(piece, hyperparameters)
        check_beginnings(piece.key, piece.signature.slots, hyperparameters)
    both = set(slots) & set(hyperparameters)
    if both:
        raise BadValue(
            f"the chain has slots and hyperparameters of one name: {', '.join(sorted(both))}. "
            "Give one of them another name."
        )
    reads_p = any({"p", "p_new"} & set(piece.signature.inputs) for piece in order)
    clock = any(piece.signature.clock for piece in order)
    return Signature(("g", "p") if reads_p else ("g",), slots, hyperparameters, clock)


def _own_defaults(pieces: tuple[Piece, ...]) -> dict[str, float]:
    """Return the defaults of those *pieces* that are chains and may have set them themselves."""
    chains = [each for each in pieces if isinstance(each, Rule) and each.pieces]
    return {name: value for each in chains for name, value in each.settings().items()}


def _with_defaults(signature: Signature, defaults: Mapping[str, float]) -> Signature:
    hyperparameters = dict(signature.hyperparameters)
    for name, value in defaults.items():
        if name not in hyperparameters:
            raise UnknownName(
                f"defaults sets {name!r}, which no piece of the chain declares."
                f"{nearest(name, hyperparameters)}"
            )
        hyperparameters[name].check(value, "defaults")
        hyperparameters[name] = replace(hyperparameters[name], default=float(value))
    return replace(signature, hyperparameters=hyperparameters)


def _check_shared(piece: Piece, hyperparameters: dict) -> None:
    for name in piece.signature.shared:
        if name not in hyperparameters:
            raise BadValue(
                f"{piece.key} reads the hyperparameter {name!r}, which no other piece of the chain "
                f"declares (they declare {', '.join(hyperparameters) or 'none'})."
            )


def _compose(order: tuple[Piece, ...], **values: Any) -> tuple:
    """Run every piece on *values*; return the step, then all new state in order."""
    p = values.get("p")
    state: list[Any] = []
    flow = dict(values)
    for piece in order:
        if isinstance(piece, Transform) and piece.subject == "p_new":
            flow["p_new"] = reached(p, flow["step"])
        result = _run(piece, flow)
        state.extend(result[1:])
        _advance(flow, piece, p, result[0])
    return flow["step"], *state


def _advance(flow: dict[str, Any], piece: Piece, p: Any, result: Any) -> None:
    if isinstance(piece, Rule):
        flow["step"] = result
    elif piece.subject != "p_new":
        flow[piece.subject] = result
    elif result is not flow["p_new"]:
        flow["step"] = p - result


def _run(piece: Piece, flow: dict[str, Any]) -> tuple:
    if isinstance(flow["g"], Expr):
        return expand(piece.compute, piece.signature, flow, piece.key)
    return call(piece.compute, piece.signature, flow)
