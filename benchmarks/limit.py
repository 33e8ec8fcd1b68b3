"""Asks whether memory is what holds a large step back: Adamax against torch's fused Adam.

    python benchmarks/limit.py            the table
    python benchmarks/limit.py --write    also put it into benchmarks/README.md

Adam and AdaMax read four arrays and write three, so on 64 M elements they move the same bytes
through memory, whatever they compute. Shown for several ways to walk through them: the time of
ours, and the time of torch's fused Adam over ours in the same round, median (worst - best).
"""

import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from step import parameters, write

CHUNKS = (2048, 8192, 16384, 65536, 262144)
HUGE_PAGES = 14  # MADV_HUGEPAGE
ROUNDS = 25


def on_huge_pages(like: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
    """Return a copy of *fill* in fresh memory for which the kernel was asked for huge pages."""
    made = torch.empty_like(like, requires_grad=False)
    start, end = -(-made.data_ptr() // 4096) * 4096, (made.data_ptr() + made.nbytes) // 4096 * 4096
    if end > start:
        advise = ctypes.CDLL(None, use_errno=True).madvise
        if advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), HUGE_PAGES):
            raise OSError(ctypes.get_errno(), "huge pages are not to be had here")
    return made.copy_(fill)


def measure(chunk: int, huge: bool) -> str:
    """Time both in this process, with *chunk* elements claimed at a time."""
    from thalweg.kernels import layout

    layout.CHUNK = chunk
    from thalweg import optim

    params = parameters("GPT-2-sized")
    if huge:
        for p in params:
            p.data, p.grad = on_huge_pages(p, p.detach()), on_huge_pages(p, p.grad)
    ours, theirs = optim.Adamax(params), torch.optim.Adam(params, fused=True)
    ours.step()
    if huge:
        for state in ours.state.values():
            for slot in ("exp_avg", "exp_inf"):
                state[slot] = on_huge_pages(state[slot], state[slot])
    ours.step()
    theirs.step()
    if huge:
        for state in theirs.state.values():
            for slot in ("exp_avg", "exp_avg_sq"):
                state[slot] = on_huge_pages(state[slot], state[slot])
    times, ratios = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        ours.step()
        between = time.perf_counter()
        theirs.step()
        times.append(between - start)
        ratios.append((time.perf_counter() - between) / times[-1])
    pages = "huge" if huge else "usual"
    return (
        f"| {chunk:,} | {pages} | {1e3 * statistics.median(times):.1f} | "
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f}) |"
    )


def main() -> None:
    lines = [
        "| elements a thread claims | pages | AdaMax, ms | torch's fused Adam / AdaMax |",
        "|---:|---|---:|---:|",
    ]
    print(*lines, sep="\n", flush=True)
    for chunk, huge in [*((chunk, False) for chunk in CHUNKS), (16384, True)]:
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run(
                [sys.executable, __file__, str(chunk), "huge" if huge else "usual"],
                env={**os.environ, "THALWEG_CACHE": cache}, check=True, text=True,
                stdout=subprocess.PIPE,
            )  # fmt: skip
        lines.append(done.stdout.strip())
        print(lines[-1], flush=True)
    if "--write" in sys.argv:
        write({"limit": lines})


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(measure(int(sys.argv[1]), sys.argv[2] == "huge"), flush=True)
    else:
        main()
