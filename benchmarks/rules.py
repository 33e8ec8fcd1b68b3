"""Times every rule on 20 M elements: its bytes per second beside Adam's, and what extras cost.

    python benchmarks/rules.py            all tables
    python benchmarks/rules.py --write    also put them into benchmarks/README.md

A rule reads the parameter, the gradient and its state, and writes all but the gradient, so a step
moves a known number of bytes. Rules take turns with Adam in one process; a ratio is that of one
round, and the median is shown with the worst and best round.
"""

import argparse
import gc
import statistics
from collections.abc import Callable

import torch
from step import machine, rounds, write
from turns import ratios, spread, verdict

import thalweg
from thalweg import optim
from thalweg.algebra.expr import postorder
from thalweg.algebra.operations import REDUCTIONS
from thalweg.kernels.plan import lower
from thalweg.rules import Rule, add_noise, catalogue, chain, sgd

ELEMENTS = 20_000_000
RESNET = [(64, 64, 3, 3)] * 48 + [(64,)] * 100 + [(10, 64), (10,)]


def parameter(dtype: torch.dtype = torch.float32, count: int = ELEMENTS) -> torch.nn.Parameter:
    torch.manual_seed(0)
    p = torch.nn.Parameter((torch.randn(count) * 0.02).to(dtype))
    p.grad = (torch.randn(count) * 0.01).to(dtype)
    return p


def is_elementwise(rule: Rule) -> bool:
    return not any(each.op in REDUCTIONS for each in postorder(rule.outputs))


def bytes_moved(rule: Rule) -> int:
    """Return the bytes a float32 step reads and writes: gradient once, the rest twice."""
    return 4 * ELEMENTS * (3 + 2 * len(lower(rule).slots))


def rates(budget: float) -> list[str]:
    """Compare each elementwise rule's bytes per second with Adam's."""
    lines = [
        "| rule | ms | GB/s | of Adam's | worst – best round | wanted | reached |",
        "|---|---:|---:|---:|---|---:|---|",
    ]
    p = parameter()
    for rule in filter(is_elementwise, catalogue.values()):
        steps = {
            "ours": thalweg.Optimizer([p], rule).step,
            "adam": thalweg.Optimizer([p], "adam").step,
        }
        taken = rounds(steps, budget)
        share = bytes_moved(rule) / bytes_moved(catalogue["adam"])
        found = [share * each for each in ratios(taken["adam"], taken["ours"])]
        middle = statistics.median(taken["ours"])
        lines.append(
            f"| {rule.key} | {1e3 * middle:.1f} | {1e-9 * bytes_moved(rule) / middle:.0f} | "
            f"{spread(found)} | 0.9 | {verdict(found, 0.9)} |"
        )
        print(lines[-1], flush=True)
        del steps
        gc.collect()
    return lines


def foreach_lamb(params: list) -> Callable[[], None]:
    """Return LAMB as one would write it with foreach functions, decay and ratio included."""
    m = [torch.zeros_like(p) for p in params]
    v = [torch.zeros_like(p) for p in params]
    clock = [0]

    @torch.no_grad()
    def step() -> None:
        clock[0] += 1
        t, gs = clock[0], [p.grad for p in params]
        torch._foreach_lerp_(m, gs, 0.1)
        torch._foreach_mul_(v, 0.999)
        torch._foreach_addcmul_(v, gs, gs, 0.001)
        root = torch._foreach_div(v, 1 - 0.999**t)
        torch._foreach_sqrt_(root)
        torch._foreach_add_(root, 1e-6)
        update = torch._foreach_div(m, 1 - 0.9**t)
        torch._foreach_div_(update, root)
        torch._foreach_add_(update, params, alpha=1e-2)
        w, u = (torch.stack(torch._foreach_norm(each)) for each in (params, update))
        torch._foreach_mul_(update, list(torch.where((w > 0) & (u > 0), w / u, 1.0)))
        torch._foreach_add_(params, update, alpha=-1e-3)

    return step


def resnet_sized() -> list[torch.nn.Parameter]:
    torch.manual_seed(0)
    made = [torch.nn.Parameter(torch.randn(shape) * 0.02) for shape in RESNET]
    for p in made:
        p.grad = torch.randn_like(p) * 0.01
    return made


def against(label: str, wanted: str, bar: float, taken: dict[str, list[float]]) -> str:
    """Return a line of the table of extras: how many times as fast ours is as the other."""
    found = ratios(taken["other"], taken["ours"])
    line = f"| {label} | {spread(found)} | {wanted} | {verdict(found, bar)} |"
    print(line, flush=True)
    return line


def extras(budget: float) -> list[str]:
    lines = [
        "| speed | ratio | worst – best round | wanted | reached |",
        "|---|---:|---|---:|---|",
    ]
    for label, params in (("20 M", [parameter()]), ("ResNet-sized", resnet_sized())):
        steps = {"ours": optim.LAMB(params).step, "other": foreach_lamb(params)}
        named = f"LAMB, {label}, over an eager foreach implementation"
        lines.append(against(named, "≥ 3", 3, rounds(steps, budget)))
    p = parameter()
    for rule in (sgd, catalogue["adam"]):
        noisy = thalweg.Optimizer([p], chain(add_noise, rule))
        steps = {"ours": noisy.step, "other": thalweg.Optimizer([p], rule).step}
        named = f"{rule.key} with gradient noise over {rule.key} without, 20 M"
        lines.append(against(named, "≥ 0.5", 0.5, rounds(steps, budget)))
    for half in (torch.bfloat16, torch.float16):
        eps = {"eps": 1e-6}
        steps = {
            "ours": optim.Adam([parameter(half)], **eps).step,
            "other": optim.Adam([parameter()], **eps).step,
        }
        named = f"Adam in {str(half).removeprefix('torch.')} over float32, 20 M"
        lines.append(against(named, "≥ 1.3", 1.3, rounds(steps, budget)))
    return lines


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--budget", type=float, default=3.0, help="seconds per line of the tables")
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    print(machine(), "\n", flush=True)
    sections = {"rates": rates(chosen.budget), "extras": extras(chosen.budget)}
    if chosen.write:
        write(sections)


if __name__ == "__main__":
    main()
