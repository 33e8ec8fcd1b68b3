"""An expression is a node of a hash-consed graph: equal expressions are one object.

Nodes are inert. Building one never simplifies, reorders or folds anything, so the tree of a rule
says exactly which operations its author wrote, in the author's order.
"""

import math
import struct
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from thalweg.errors import BadType, TracedBranch

_lock = threading.Lock()
_nodes: "weakref.WeakValueDictionary[tuple, Expr]" = weakref.WeakValueDictionary()


class Expr:
    """One node: an operation name, its arguments, and a payload for leaves.

    Leaves are ``constant`` (payload: the float), ``constants`` (payload: a float for each lane) and
    ``symbol`` (payload: the pair kind, name).
    Python's operators build new nodes; comparing with ``==`` builds a node too, so identity is
    tested with ``is``. ``leads`` keeps the interned tuples whose first node it is.
    """

    __slots__ = ("__weakref__", "args", "leads", "op", "payload")

    op: str
    args: "tuple[Expr, ...]"
    payload: Any
    leads: "dict[tuple[int, ...], tuple[Expr, ...]] | None"

    __array_ufunc__ = None

    def __add__(self, other):
        return node("add", self, other)

    def __radd__(self, other):
        return node("add", other, self)

    def __sub__(self, other):
        return node("sub", self, other)

    def __rsub__(self, other):
        return node("sub", other, self)

    def __mul__(self, other):
        return node("mul", self, other)

    def __rmul__(self, other):
        return node("mul", other, self)

    def __truediv__(self, other):
        return node("div", self, other)

    def __rtruediv__(self, other):
        return node("div", other, self)

    def __pow__(self, other):
        return node("pow", self, other)

    def __rpow__(self, other):
        return node("pow", other, self)

    def __mod__(self, other):
        return node("mod", self, other)

    def __rmod__(self, other):
        return node("mod", other, self)

    def __neg__(self):
        return node("neg", self)

    def __pos__(self):
        return self

    def __abs__(self):
        return node("abs", self)

    def __lt__(self, other):
        return node("lt", self, other)

    def __le__(self, other):
        return node("le", self, other)

    def __gt__(self, other):
        return node("gt", self, other)

    def __ge__(self, other):
        return node("ge", self, other)

    def __eq__(self, other):
        return node("eq", self, other)

    def __ne__(self, other):
        return node("ne", self, other)

    __hash__ = object.__hash__

    def __bool__(self):
        raise TracedBranch(
            f"the truth of {self!r} is only known when the rule runs, so a rule cannot branch on "
            "it (if, and, or, not, min, max, a < b < c). Write where(condition, a, b) to choose "
            "between values, or maximum, minimum and clip to bound one."
        )

    def _no_number(self, *_):
        raise TracedBranch(
            f"{self!r} has no value while the rule is traced, so it cannot become a Python number "
            "or feed a function of the math module. Use the functions of thalweg.algebra "
            "(sqrt, exp, log, floor, cos, ...) and keep the result an expression."
        )

    __float__ = __int__ = __index__ = __complex__ = __round__ = __iter__ = __len__ = _no_number
    __floor__ = __ceil__ = __trunc__ = __format__ = _no_number

    def _no_such(self, *_):
        raise TracedBranch(
            f"{self!r} cannot be indexed, masked or combined with //, &, | or ~ while the rule is "
            "traced. Rules work elementwise: use + - * / ** %, the functions of thalweg.algebra, "
            "and where(condition, a, b)."
        )

    __getitem__ = __setitem__ = __floordiv__ = __rfloordiv__ = __matmul__ = __rmatmul__ = _no_such
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __invert__ = _no_such

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return _intern, (self.op, self.args, self.payload)

    def __repr__(self):
        from thalweg.algebra.python import expression

        return expression(self)


def _key(op: str, args: tuple[Expr, ...], payload: Any) -> tuple:
    bits = struct.pack("<d", payload) if op == "constant" else payload
    return op, bits, tuple(map(id, args))


def _intern(op: str, args: tuple[Expr, ...] = (), payload: Any = None) -> Expr:
    key = _key(op, args, payload)
    with _lock:
        found = _nodes.get(key)
        if found is None:
            found = object.__new__(Expr)
            found.op, found.args, found.payload, found.leads = op, args, payload, None
            _nodes[key] = found
    return found


def interned(nodes: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """Return the one tuple of these nodes; it is kept by the first, for as long as that lives."""
    first = nodes[0]
    with _lock:
        if first.leads is None:
            first.leads = {}
        return first.leads.setdefault(tuple(map(id, nodes)), nodes)


def constant(value: float) -> Expr:
    """Return the node of a number, one per bit pattern: 0.0 and -0.0 differ, NaN is itself."""
    value = float(value)
    return _intern("constant", payload=math.nan if math.isnan(value) else value)


def constants(values: Iterable[float]) -> Expr:
    """Return the node of one number for each of several lanes that are worked out side by side."""
    return _intern("constants", payload=tuple(map(float, values)))


def symbol(kind: str, name: str) -> Expr:
    """Return the node of a name; *kind* is input, state, scalar, hyper or clock."""
    return _intern("symbol", payload=(kind, name))


CONDITIONS = ("lt", "le", "gt", "ge", "eq", "ne")


def node(op: str, *args: Any) -> Expr:
    """Return the node of operation *op* on *args*; plain numbers become constants.

    A comparison can only be the condition of a ``where``, and only a comparison can be one.
    """
    found = tuple(map(_as_expr, args))
    for position, arg in enumerate(found):
        wanted = op == "where" and position == 0
        if (arg.op in CONDITIONS) != wanted:
            raise BadType(
                f"{arg!r} is {'a number' if wanted else 'a comparison'} where "
                f"{'a comparison' if wanted else 'a number'} is needed, in {op}. Write "
                "where(a > b, 1, 0) to count with a comparison, and one where inside another for "
                "'and' and 'or'."
            )
    return _intern(op, found)


def _as_expr(value: Any) -> Expr:
    if isinstance(value, Expr):
        return value
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise BadType(
            f"a rule can combine traced values with numbers, not with {type(value).__name__} "
            f"({value!r}). Write the number itself, or make it a hyperparameter."
        )
    return constant(value)


def postorder(
    roots: "tuple[Expr, ...]", enter: Callable[[Expr], bool] = lambda _: True
) -> list[Expr]:
    """Return every node reachable from *roots* once, arguments before the nodes that use them.

    The arguments of a node for which *enter* is false are passed over.
    """
    seen: set[int] = set()
    order: list[Expr] = []
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        current, ready = stack.pop()
        if ready:
            order.append(current)
        elif id(current) not in seen:
            seen.add(id(current))
            stack.append((current, True))
            if enter(current):
                stack.extend((arg, False) for arg in reversed(current.args))
    return order


def rewritten(
    roots: "tuple[Expr, ...]", meanings: "dict[str, Callable[..., Expr]]"
) -> "dict[Expr, Expr]":
    """Return for every node what it becomes when the operations of *meanings* are spelled out."""
    known: dict[Expr, Expr] = {}
    for current in postorder(roots):
        args = tuple(known[arg] for arg in current.args)
        if current.op in meanings:
            known[current] = meanings[current.op](*args)
        else:
            known[current] = _intern(current.op, args, current.payload)
    return known


def substitute(roots: "tuple[Expr, ...]", replacements: "dict[Expr, Expr]") -> tuple[Expr, ...]:
    """Return *roots* with the nodes of *replacements* exchanged; those are not re-entered."""
    known: dict[Expr, Expr] = dict(replacements)
    for current in postorder(roots):
        if current not in known:
            args = tuple(known[arg] for arg in current.args)
            same = all(new is old for new, old in zip(args, current.args, strict=True))
            known[current] = current if same else _intern(current.op, args, current.payload)
    return tuple(known[root] for root in roots)
