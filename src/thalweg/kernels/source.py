"""Prints a plan as the Python source of its CPU kernels, one loop per pass and a launch.

The text is what Numba compiles; `kernel_source` shows it.
"""

import builtins
import re
from collections.abc import Iterable

from thalweg.algebra import OPERATIONS, Expr, Rank, levels, ranks
from thalweg.algebra.expr import postorder
from thalweg.kernels import layout
from thalweg.kernels.plan import Plan

_HEADER = '''"""CPU kernels of {name}, printed from its rule."""

import math

import numpy as np
from numba import cfunc, float32, float64, int64, types

from thalweg.kernels.layout import (
    BODIES, CHUNK, CHUNKS, END_CHUNK, FIRST_CHUNK, GRADIENTS, GROUP, HYPERS, INDEX, LENGTH, NEXT,
    PARALLEL, PARAMETER, PARTIALS, ROWS, RUNS, SLOTS, STEP, STORED, STORED_ROW, TABLE, THREADS,
)
from thalweg.kernels.machine import (
    NOISE_MEAN, NOISE_SCALE, add_in_any_order, byte_sum, claim, load_bfloat16, load_float16,
    load_float32, load_float64, load_int64, noise_key, run_here, run_parallel, select,
    store_bfloat16, store_float16, store_float32, store_float64, store_int64,
)

'''

_WORDS = {
    *re.findall(r"\w+", _HEADER),
    "all_stored", "body", "chunk", "chunks", "control", "count", "first",
    "gradients", "group", "hyper", "hypers", "i", "latest_group", "latest_row", "latest_t", "line",
    "parallel", "partials", "row", "rows", "run", "start", "step", "stored", "table", "threads",
}  # fmt: skip

_DECORATOR = '@cfunc(types.void(types.int64), nopython=True, error_model="numpy", cache=True)'


SIZES = {"bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}
"""Bytes of each element type that kernels can be printed for."""


class Kernels:
    """The source text of one plan for one element type; half precision computes in float32."""

    def __init__(self, plan: Plan, dtype: str) -> None:
        self.plan, self.stored_as = plan, dtype
        self.size = SIZES[dtype]
        self.dtype = dtype if self.size > 2 else "float32"
        self.columns = layout.SLOTS + len(plan.slots) + len(plan.scalars)
        self.place = {node: index for index, node in enumerate(plan.stored)}
        roots = [value for _, value in (*plan.writes, *plan.scalar_writes)]
        self.rank = ranks(roots)
        self.names = self._names(tuple(roots))

    def _names(self, roots: tuple[Expr, ...]) -> dict[Expr, str]:
        """Name every node: symbols with a trailing underscore, others as their author did or x1."""
        order = postorder(roots)
        names = {each: f"{each.payload[1]}_" for each in order if each.op == "symbol"}
        used = {"t_", *names.values()}
        for current in (each for each in order if each not in names):
            name = self.plan.names.get(current, "")
            if not name or name in used or _is_taken(name):
                name = f"x{len(names)}"
            names[current] = name
            used.add(name)
        return names

    def text(self) -> str:
        """Return the whole module."""
        parts = [_HEADER.format(name=self.plan.rule.name)]
        parts += [self.pass_source(k) for k in range(len(self.plan.sums))]
        parts += [self.element_source(), self.launch_source()]
        return "\n\n".join(parts) + "\n"

    def element_source(self) -> str:
        """Return the fused loop that reads each element once and writes it once."""
        roots = [value for _, value in self.plan.writes]
        body = self._statements(roots)
        for name, value in self.plan.writes:
            body.append(f"store_{self.stored_as}({name}_at, i, {self._operand(value)})")
        return self._loop("elements", roots, body, before=[], after=[])

    def pass_source(self, k: int) -> str:
        """Return the loop that sums what pass *k* needs, one partial sum per chunk."""
        sums = self.plan.sums[k]
        roots = [each.args[0] for each in sums]
        body = self._statements(roots)
        before, after = [], []
        for index, root in enumerate(roots):
            before.append(f"total{index} = 0.0")
            body.append(
                f"total{index} = add_in_any_order(total{index}, float64({self._operand(root)}))"
            )
            after.append(f"store_float64(partials, {len(sums)} * chunk + {index}, total{index})")
        return self._loop(f"sums{k}", roots, body, before, after)

    def _loop(self, name: str, roots: list, body: list[str], before: list, after: list) -> str:
        lines = [
            f"def {name}(control):",
            "    table = load_int64(control, TABLE)",
            "    gradients = load_int64(control, GRADIENTS)",
            "    all_stored = load_int64(control, STORED)",
            *(["    partials = load_int64(control, PARTIALS)"] if after else []),
            "    chunks = load_int64(control, CHUNKS)",
            "    run = max(chunks // (RUNS * load_int64(control, THREADS)), 1)",
            "    row = 0",
            "    while True:",
            "        start = claim(control, NEXT) * run",
            "        if start >= chunks:",
            "            return",
            "        for chunk in range(start, min(start + run, chunks)):",
            f"            line = table + {8 * self.columns} * row",
            "            while chunk >= load_int64(line, END_CHUNK):",
            "                row += 1",
            f"                line += {8 * self.columns}",
            "            g_at = load_int64(gradients, row)",
            "            if g_at == 0:",
            "                continue",
            "            first = (chunk - load_int64(line, FIRST_CHUNK)) * CHUNK",
            "            count = min(load_int64(line, LENGTH) - first, CHUNK)",
            *(f"            {line}" for line in self._prologue(roots)),
            *(f"            {line}" for line in before),
            "            for i in range(count):",
            *(f"                {line}" for line in body),
            *(f"            {line}" for line in after),
        ]
        return "\n".join([_DECORATOR, *lines])

    def _prologue(self, roots: list[Expr]) -> list[str]:
        stored = f"stored = all_stored + {8 * len(self.place)} * load_int64(line, STORED_ROW)"
        return [stored, *self._hosted(roots), *self._addresses(roots)]

    def _hosted(self, roots: Iterable[Expr]) -> list[str]:
        """Read the host values that the loop uses, rounded to the loop's type."""
        lines = []
        for current in self._used(roots):
            if current.op == "constant":
                continue
            value = f"load_float64(stored, {self.place[current]})"
            kind = "int64" if current.op == "noise_key" else self.dtype
            right = f"{value} != 0.0" if _is_condition(current) else f"{kind}({value})"
            lines.append(f"{self._name(current)} = {right}")
        return lines

    def _used(self, roots: Iterable[Expr]) -> list[Expr]:
        """Return the host values among *roots* and the arguments of the loop's nodes."""
        found: dict[Expr, None] = {}
        for current in self._in_loop(roots):
            for arg in current.args:
                if self.rank[arg] < Rank.ELEMENT:
                    found[arg] = None
        found.update({root: None for root in roots if self.rank[root] < Rank.ELEMENT})
        return list(found)

    def _in_loop(self, roots: Iterable[Expr]) -> list[Expr]:
        """Return the nodes computed per element, stopping at host values."""
        return [
            current
            for current in postorder(tuple(roots), lambda each: self.rank[each] == Rank.ELEMENT)
            if self.rank[current] == Rank.ELEMENT
        ]

    def _addresses(self, roots: list[Expr]) -> list[str]:
        """Compute where this chunk of each array that is read or written begins."""
        lines = [f"g_at += {self.size} * first"]
        needed = {each.payload[1] for each in self._in_loop(roots) if each.op == "symbol"}
        written = {name for name, value in self.plan.writes if value in set(roots)}
        columns = {"p": "PARAMETER"}
        columns |= {slot: f"SLOTS + {k}" for k, slot in enumerate(self.plan.slots)}
        for name, column in columns.items():
            if name in needed | written:
                lines.append(f"{name}_at = load_int64(line, {column}) + {self.size} * first")
        return lines

    def _statements(self, roots: list[Expr]) -> list[str]:
        lines = []
        for current in self._in_loop(roots):
            if current.op == "symbol":
                name = current.payload[1]
                lines.append(f"{self._name(current)} = load_{self.stored_as}({name}_at, i)")
            else:
                lines.append(f"{self._name(current)} = {self._computed(current, self.dtype)}")
        return lines

    def _computed(self, current: Expr, kind: str) -> str:
        args = [self._operand(arg, kind) for arg in current.args]
        return OPERATIONS[current.op].kernel.format(*args, T=kind)

    def _operand(self, current: Expr, kind: str | None = None) -> str:
        if current.op == "constant":
            return f"{kind or self.dtype}({_literal(current.payload)})"
        return self._name(current)

    def _name(self, current: Expr) -> str:
        return self.names[current]

    def launch_source(self) -> str:
        """Return the function that computes host values and runs the loops in order."""
        passes = len(self.plan.sums)
        lines = [
            "def launch(control):",
            "    rows = load_int64(control, ROWS)",
            "    table = load_int64(control, TABLE)",
            "    gradients = load_int64(control, GRADIENTS)",
            "    hypers = load_int64(control, HYPERS)",
            "    all_stored = load_int64(control, STORED)",
            "    threads = load_int64(control, THREADS)",
            "    parallel = load_int64(control, PARALLEL)",
            *(["    partials = load_int64(control, PARTIALS)"] if passes else []),
            *self._stage(0),
        ]
        for k in range(passes):
            lines += [*_run(k), *self._totals(k), *self._stage(k + 1)]
        lines += _run(passes)
        return "\n".join([_DECORATOR, *lines])

    def _rows(self, body: list[str], stage: int) -> list[str]:
        return [
            *(["    latest_group, latest_t, latest_row = -1, -1.0, 0"] if stage == 0 else []),
            "    for row in range(rows):",
            "        if load_int64(gradients, row) == 0:",
            "            continue",
            f"        line = table + {8 * self.columns} * row",
            *(f"        {line}" for line in body),
        ]

    def _stage(self, k: int) -> list[str]:
        """Compute, row by row, the host values that pass *k* and later loops need."""
        own = set(self.plan.stages[k])
        computed = [each for each in self.plan.stages[k] if each.op != "symbol"]
        kept = [each for each in self.plan.stages[k] if each in self.place]
        scalars = [(n, v) for n, v in self.plan.scalar_writes if levels([v])[v] == k]
        read = dict.fromkeys(arg for each in computed for arg in each.args)
        read |= dict.fromkeys(new for _, new in scalars)
        outside = [arg for arg in read if arg not in own and arg.op != "constant"]
        symbols = [each for each in self.plan.stages[k] if each.op == "symbol"]
        body = [*(self._clock() if k == 0 else ["group = load_int64(line, GROUP)"])]
        body += [f"stored = all_stored + {8 * len(self.place)} * row",
                 f"hyper = hypers + {8 * len(self.plan.rule.hyperparameters)} * group"]  # fmt: skip
        body += [f"{self._name(each)} = {self._given(each)}" for each in symbols if each in
                 {*read, *kept} and each.payload[0] != "clock"]  # fmt: skip
        body += [f"{self._name(each)} = {self._stored_value(each)}" for each in outside]
        body += [f"{self._name(each)} = {self._computed(each, 'float64')}" for each in computed]
        body += [self._keep(each) for each in kept]
        body += [self._write_scalar(name, new) for name, new in scalars]
        return self._rows(body, k)

    def _given(self, current: Expr) -> str:
        """Read a hyperparameter of the row's group, or the row's own scalar."""
        kind, name = current.payload
        if kind == "hyper":
            return f"load_float64(hyper, {list(self.plan.rule.hyperparameters).index(name)})"
        return f"float64(load_float32({self._scalar_at(name)}, 0))"

    def _scalar_at(self, name: str) -> str:
        index = len(self.plan.slots) + self.plan.scalars.index(name)
        return f"load_int64(line, SLOTS + {index})"

    def _keep(self, current: Expr) -> str:
        name = self._name(current)
        value = f"1.0 if {name} else 0.0" if _is_condition(current) else name
        return f"store_float64(stored, {self.place[current]}, {value})"

    def _write_scalar(self, name: str, new: Expr) -> str:
        return (
            f"store_float32({self._scalar_at(name)}, 0, float32({self._operand(new, 'float64')}))"
        )

    def _stored_value(self, current: Expr) -> str:
        value = f"load_float64(stored, {self.place[current]})"
        return f"{value} != 0.0" if _is_condition(current) else value

    def _clock(self) -> list[str]:
        advance = [
            "step = load_int64(line, STEP)",
            "t_ = float64(load_float32(step, 0)) + 1.0",
            "store_float32(step, 0, float32(t_))",
            "group = load_int64(line, GROUP)",
        ]
        if self.plan.one_row_of_uniforms_each:
            return [*advance, "store_int64(line, STORED_ROW, row)"]
        return [
            *advance,
            "if (group == latest_group) & (t_ == latest_t):",
            "    store_int64(line, STORED_ROW, latest_row)",
            "    continue",
            "latest_group, latest_t, latest_row = group, t_, row",
            "store_int64(line, STORED_ROW, row)",
        ]

    def _totals(self, k: int) -> list[str]:
        """Add the partial sums of pass *k*, chunk by chunk in order, and store them in each row."""
        sums = self.plan.sums[k]
        everywhere = [j for j, each in enumerate(sums) if each.op == "sum_launch"]
        lines = [f"    all{j} = 0.0" for j in everywhere]
        body = [f"stored = all_stored + {8 * len(self.place)} * row"]
        body += [f"own{j} = 0.0" for j in range(len(sums))]
        chunks = "load_int64(line, FIRST_CHUNK), load_int64(line, END_CHUNK)"
        body.append(f"for chunk in range({chunks}):")
        body += [
            f"    own{j} += load_float64(partials, {len(sums)} * chunk + {j})"
            for j in range(len(sums))
        ]
        for j, each in enumerate(sums):
            if j in everywhere:
                body.append(f"all{j} += own{j}")
            else:
                share = " / load_int64(line, LENGTH)" if each.op == "mean_tensor" else ""
                body.append(f"store_float64(stored, {self.place[each]}, own{j}{share})")
        lines += self._rows(body, k + 1)
        if everywhere:
            body = [f"stored = all_stored + {8 * len(self.place)} * row"]
            body += [f"store_float64(stored, {self.place[sums[j]]}, all{j})" for j in everywhere]
            lines += self._rows(body, k + 1)
        return lines


_TAKEN = re.compile(r"(x|all|own|total)\d+|\w+_at")


def _is_taken(name: str) -> bool:
    """Whether a variable of that name would hide one that the kernel's text uses itself."""
    return name in _WORDS or hasattr(builtins, name) or _TAKEN.fullmatch(name) is not None


def _run(index: int) -> list[str]:
    return [
        f"    body = load_int64(control, BODIES + {index})",
        "    store_int64(control, NEXT, 0)",
        "    if threads > 1:",
        "        run_parallel(parallel, body, control, threads)",
        "    else:",
        "        run_here(body, control)",
    ]


def _is_condition(current: Expr) -> bool:
    return current.op in ("lt", "le", "gt", "ge", "eq", "ne")


def _literal(value: float) -> str:
    text = repr(value)
    return {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}.get(text, text)
