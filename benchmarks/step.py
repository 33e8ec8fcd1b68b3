"""Times one optimizer step against the best torch offers, side by side in one run.

    python benchmarks/step.py                  all: rules, pipeline, first step, memory
    python benchmarks/step.py --rules Adam     some rules
    python benchmarks/step.py --write          also put the tables into benchmarks/README.md

A ratio is torch's time over ours, so more is better. In each round ours and each of torch's three
implementations (loop, foreach, fused) take turns; the ratio of a round is taken against the one
with the best median. Shown: median ratio, and the worst and best round.
"""

import argparse
import gc
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from turns import ratios, spread, verdict

import thalweg
from thalweg import optim
from thalweg.kernels.plan import lower
from thalweg.rules import adam, chain, clip_by_global_norm, decay, ema_average

SIZES = {
    "tiny MLP": [(16, 32), (16,), (4, 16), (4,)],
    "784-200-10": [(200, 784), (200,), (10, 200), (10,)],
    "ResNet-sized": [(64, 64, 3, 3)] * 48 + [(64,)] * 100 + [(10, 64), (10,)],
    "20 M": [(20_000_000,)],
    "GPT-2-sized": [(768, 768), (768,), (3072, 768), (768,), (768, 3072), (768,)] * 9
    + [(16_700, 768), (512, 768), (3072, 768), (768,), (768, 768), (768,)],
}
FUSED = ("Adam", "AdamW", "SGD", "Adagrad")
SETTINGS = {"SGD": {"momentum": 0.9}}
RULES = (
    "Adam", "AdamW", "SGD", "Adagrad", "Adadelta", "NAdam", "RAdam", "Rprop", "Adamax", "RMSprop",
)  # fmt: skip
BARS = {
    **dict.fromkeys(FUSED, (5, 2, 2, 0.95, 0.95)),
    **dict.fromkeys(("Adadelta", "NAdam", "RAdam", "Rprop"), (5,) * 5),
    "Adamax": (4,) * 5,
    "RMSprop": (3,) * 5,
}
PIPELINE_BARS = {"20 M": 1.3, "ResNet-sized": 4, "tiny MLP": 8}


def parameters(size: str) -> list[torch.nn.Parameter]:
    torch.manual_seed(0)
    made = [torch.nn.Parameter(torch.randn(shape) * 0.02) for shape in SIZES[size]]
    for p in made:
        p.grad = torch.randn_like(p) * 0.01
    return made


def rivals(name: str, params: list) -> dict[str, Callable[[], object]]:
    kinds = {"loop": {"foreach": False}, "foreach": {"foreach": True}}
    if name in FUSED:
        kinds["fused"] = {"fused": True}
    make = getattr(torch.optim, name)
    return {
        kind: make(params, **SETTINGS.get(name, {}), **switches).step
        for kind, switches in kinds.items()
    }


def seconds(step: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        step()
    return (time.perf_counter() - start) / times


def rounds(steps: dict[str, Callable], budget: float) -> dict[str, list[float]]:
    """Time all *steps* in turn, at least 7 rounds, until about *budget* seconds are spent."""
    for step in steps.values():
        step()
    once = {name: seconds(step, 3) for name, step in steps.items()}
    times = {name: max(1, int(0.002 / each)) for name, each in once.items()}
    turn = sum(once[name] * times[name] for name in steps)
    count = max(7, min(60, int(budget / turn)))
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(count):
        for name, step in steps.items():
            taken[name].append(seconds(step, times[name]))
    return taken


def compared(taken: dict[str, list[float]]) -> tuple[str, float, list[float]]:
    """Return the best rival, our median time, and the ratio of every round."""
    others = {name: statistics.median(each) for name, each in taken.items() if name != "ours"}
    best = min(others, key=lambda name: others[name])
    return best, statistics.median(taken["ours"]), ratios(taken[best], taken["ours"])


def row(label: str, size: str, bar: float, taken: dict[str, list[float]]) -> str:
    best, ours, found = compared(taken)
    theirs = statistics.median(taken[best])
    return (
        f"| {label} | {size} | {ours * 1e6:,.1f} | {theirs * 1e6:,.1f} | {best} | "
        f"{spread(found)} | {bar:g} | {verdict(found, bar)} |"
    )


HEAD = (
    "| rule | size | ours, µs | torch's, µs | its best | ratio | worst – best round | wanted | "
    "reached |\n|---|---|---:|---:|---|---:|---|---:|---|"
)


def steps_table(names: list[str], sizes: list[str], budget: float) -> list[str]:
    lines = [HEAD]
    for name in names:
        for size in sizes:
            params = parameters(size)
            ours = getattr(optim, name)(params, **SETTINGS.get(name, {}))
            taken = rounds({"ours": ours.step, **rivals(name, params)}, budget)
            lines.append(row(name, size, BARS[name][list(SIZES).index(size)], taken))
            print(lines[-1], flush=True)
            del ours, taken, params
            gc.collect()
    return lines


def torch_pipeline(params: list) -> Callable[[], None]:
    holder = torch.nn.ParameterList(params)
    averaged = torch.optim.swa_utils.AveragedModel(
        holder, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.999)
    )
    optimizer = torch.optim.AdamW(params, fused=True)

    def step() -> None:
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        averaged.update_parameters(holder)

    return step


def pipeline_table(budget: float) -> list[str]:
    lines = [HEAD]
    for size, bar in PIPELINE_BARS.items():
        params = parameters(size)
        rule = chain(clip_by_global_norm, decay, adam, ema_average)
        ours = thalweg.Optimizer(params, rule)
        taken = rounds({"ours": ours.step, "clip + fused + EMA": torch_pipeline(params)}, budget)
        lines.append(row("clip, decay, Adam, average", size, bar, taken))
        print(lines[-1], flush=True)
    return lines


COLD = """
import time, torch
from thalweg import optim
from thalweg.kernels.plan import lower
p = torch.nn.Parameter(torch.randn(1000)); p.grad = torch.randn(1000)
optimizer = optim.NAME([p])
start = time.perf_counter(); optimizer.step(); print(time.perf_counter() - start)
"""


def cold_and_warm(names: list[str]) -> list[str]:
    """Time the first step of a process: with an empty cache of kernels, and with a full one."""
    lines = ["| rule | first step ever, s (wanted ≤ 1.5) | first step of a later process, s |",
             "|---|---:|---:|"]  # fmt: skip
    for name in names:
        cold, warm = [], []
        for _ in range(3):
            with tempfile.TemporaryDirectory() as cache:
                cold.append(_first_step(name, cache))
                warm.append(_first_step(name, cache))
        lines.append(f"| {name} | {_spread(cold)} | {_spread(warm)} |")
        print(lines[-1], flush=True)
    return lines


def _first_step(name: str, cache: str) -> float:
    environment = {**os.environ, "THALWEG_CACHE": cache}
    done = subprocess.run(
        [sys.executable, "-c", COLD.replace("NAME", name)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} – {max(values):.2f})"


def warm_kernels() -> list[str]:
    """Time how long each rule's kernels take to come from disk, Numba being loaded already."""
    script = (
        "import time\nfrom thalweg.rules import catalogue\nfrom thalweg.kernels.plan import lower\n"
        "from thalweg.kernels.cpu import compiled\ncompiled(lower(catalogue['sgd']), 'float64')\n"
        "for rule in catalogue.values():\n"
        "    start = time.perf_counter(); compiled(lower(rule), 'float32')\n"
        "    print(time.perf_counter() - start)\n"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "THALWEG_CACHE": cache}
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", script], env=environment, capture_output=True, text=True,
                check=True,
            )  # fmt: skip
    took = [1000 * float(line) for line in done.stdout.split()]
    return [
        f"Kernels of a rule from disk, over the {len(took)} registry rules: median "
        f"{statistics.median(took):.0f} ms, worst {max(took):.0f} ms (wanted ≤ 50)."
    ]


MEMORY = """
import gc, torch
from pathlib import Path
from thalweg import optim
from thalweg.kernels.plan import lower

def resident(kind):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(kind))

small = torch.nn.Parameter(torch.zeros(100_000)); small.grad = torch.ones(100_000)
warm = optim.Adam([small]); warm.step(); warm.step()
p = torch.nn.Parameter(torch.zeros(64_000_000)); p.grad = torch.ones(64_000_000)
optimizer = optim.Adam([p])
gc.collect()
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
optimizer.step(); optimizer.step()
slots = sum(value.nbytes for value in optimizer.state[p].values()) / 2**20
print(resident("VmHWM") - before - slots)
"""


def memory() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    return [
        f"Peak memory of Adam on 64 M elements beyond its state: {float(done.stdout):.2f} MiB "
        "(wanted ≤ 1)."
    ]


def ceiling(budget: float) -> list[str]:
    """Compare the bytes per second of large steps with those of torch's plainest operations."""
    params = parameters("GPT-2-sized")
    elements = sum(p.numel() for p in params)
    a, b = torch.zeros(elements), torch.ones(elements)
    steps: dict[str, Callable] = {
        "copy (2 streams)": lambda: a.copy_(b),
        "add in place (3 streams)": lambda: a.add_(b),
    }
    streams = {"copy (2 streams)": 2, "add in place (3 streams)": 3}
    for name in ("SGD", "Adam", "Adamax", "RMSprop"):
        optimizer = getattr(optim, name)(params, **SETTINGS.get(name, {}))
        slots = lower(optimizer.rule_of(optimizer.param_groups[0])).slots
        label = f"{name} ({3 + 2 * len(slots)} streams)"
        steps[label], streams[label] = optimizer.step, 3 + 2 * len(slots)
    lines = ["| 64 M elements | GB/s, median | best |", "|---|---:|---:|"]
    for name, taken in rounds(steps, budget).items():
        rate = [4e-9 * elements * streams[name] / each for each in taken]
        lines.append(f"| {name} | {statistics.median(rate):.0f} | {max(rate):.0f} |")
        print(lines[-1])
    return lines


def recompiles() -> list[str]:
    """Count the kernels compiled while every hyperparameter of every rule is changed."""
    from thalweg.kernels.cpu import compiled

    p = torch.nn.Parameter(torch.randn(100))
    p.grad = torch.randn(100)
    changed = 0
    before = None
    for name in RULES:
        optimizer = getattr(optim, name)([p], **SETTINGS.get(name, {}))
        optimizer.step()
        before = compiled.cache_info().misses
        for key, value in list(optimizer.param_groups[0].items()):
            if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
                if key == "momentum" and value == 0:
                    continue
                optimizer.param_groups[0][key] = value * 0.5 + 0.01
                optimizer.step()
                changed += 1
        if compiled.cache_info().misses != before:
            return [f"{name} compiled again after a change of hyperparameters."]
    return [f"{changed} hyperparameters changed over {len(RULES)} optimizers: 0 kernels compiled."]


def machine() -> str:
    return (
        f"{platform.machine()}, {torch.get_num_threads()} threads, Python "
        f"{platform.python_version()}, torch {torch.__version__}, thalweg {thalweg.__version__}"
    )


def write(sections: dict[str, list[str]]) -> None:
    """Put the tables between the markers of benchmarks/README.md."""
    path = Path(__file__).with_name("README.md")
    text = path.read_text()
    for name, lines in sections.items():
        start, end = f"<!-- {name} -->", f"<!-- end {name} -->"
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        text = "\n".join([before + start, *lines, end]) + after
    path.write_text(text)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rules", default=",".join(RULES))
    options.add_argument("--sizes", default=",".join(SIZES))
    options.add_argument("--budget", type=float, default=6.0, help="seconds per line of the table")
    options.add_argument("--only", default="steps,pipeline,ceiling,start,memory")
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    only = chosen.only.split(",")
    names, sizes = chosen.rules.split(","), chosen.sizes.split(",")
    print(machine(), "\n", flush=True)
    sections = {"machine": [machine()]}
    if "steps" in only:
        print(HEAD)
        sections["steps"] = steps_table(names, sizes, chosen.budget)
    if "pipeline" in only:
        sections["pipeline"] = pipeline_table(chosen.budget)
    if "start" in only:
        sections["start"] = [*cold_and_warm(names), "", *warm_kernels(), "", *recompiles()]
        print("\n".join(sections["start"][-3:]))
    if "ceiling" in only:
        sections["ceiling"] = ceiling(chosen.budget)
    if "memory" in only:
        sections["memory"] = memory()
        print(*sections["memory"])
    if chosen.write:
        write(sections)


if __name__ == "__main__":
    main()
