"""The CPU engine: kernels printed from a plan, compiled by Numba, kept on disk."""

import atexit
import ctypes
import hashlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np

from thalweg import files
from thalweg.algebra import noise
from thalweg.kernels import layout
from thalweg.kernels.openmp import parallel_entry
from thalweg.kernels.plan import RECENT, Plan, lower
from thalweg.kernels.source import Kernels
from thalweg.rules import Rule

_LAUNCH = ctypes.CFUNCTYPE(None, ctypes.c_int64)
_loading = threading.Lock()


@dataclass(frozen=True)
class Compiled:
    """Machine code of one plan and element type: the launch, and the addresses of its loops."""

    plan: Plan
    columns: int
    launch: Callable[[int], None]
    bodies: tuple[int, ...]
    module: ModuleType


def kernel_source(rule: Rule, dtype: str = "float32") -> str:
    """Return the source of the loop that updates every element under *rule*."""
    return Kernels(lower(rule), dtype).element_source()


@lru_cache(maxsize=RECENT)
def compiled(plan: Plan, dtype: str) -> Compiled:
    """Return the kernels of *plan* for elements of *dtype*, from disk if they are there."""
    kernels = Kernels(plan, dtype)
    module = import_text(kernels.text(), f"{_file_stem(plan.rule.key)}_{dtype}")
    names = [f"sums{k}" for k in range(len(plan.sums))] + ["elements"]
    bodies = tuple(getattr(module, name).address for name in names)
    return Compiled(plan, kernels.columns, _LAUNCH(module.launch.address), bodies, module)


def _file_stem(key: str) -> str:
    return "".join(c if c.isalnum() or c == "_" else "_" for c in key)[:60]


def import_text(text: str, name: str) -> ModuleType:
    """Import *text* as a module of its own file, beside which Numba keeps the machine code."""
    digest = hashlib.sha256("\n".join([text, _environment()]).encode()).hexdigest()[:16]
    path = cache_directory() / f"{name}_{digest}.py"
    content = text.encode()
    if not path.exists() or path.read_bytes() != content:
        files.replace(path, content)
    spec = importlib.util.spec_from_file_location(f"thalweg_kernel_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with _loading:
        sys.modules[spec.name] = module  # Numba asks there whose name machine code is to have
        try:
            spec.loader.exec_module(module)
        except Exception:
            _forget_machine_code(path)
            spec.loader.exec_module(module)
        finally:
            del sys.modules[spec.name]
    return module


def _forget_machine_code(path: Path) -> None:
    """Remove what Numba keeps beside *path*: it may be cut off, by a full disk or a crash."""
    for stale in path.parent.joinpath("__pycache__").glob(f"{path.stem}.*.nb*"):
        stale.unlink(missing_ok=True)


@cache
def _environment() -> str:
    """Return what machine code depends on besides its text: versions, CPU, our intrinsics."""
    import llvmlite
    import llvmlite.binding
    import numba

    from thalweg.kernels import machine

    rooms = [Path(each.__file__ or "") for each in (machine, layout, noise)]
    return "\n".join(
        [
            numba.__version__, llvmlite.__version__, sys.version, platform.platform(),
            llvmlite.binding.get_host_cpu_name(), *(each.read_text() for each in rooms),
        ]
    )  # fmt: skip


@cache
def cache_directory() -> Path:
    """Return the folder of compiled kernels: $THALWEG_CACHE, else the user's cache folder.

    Where neither can be written, a temporary folder serves for this process alone.
    """
    chosen = os.environ.get("THALWEG_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = (Path(chosen) if chosen else Path(home) / "thalweg" / "kernels").absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        warnings.warn(
            f"kernels cannot be kept in {folder} ({error.strerror}), so every process compiles "
            "them again. Set THALWEG_CACHE to a folder that can be written.",
            stacklevel=2,
        )
        temporary = tempfile.mkdtemp(prefix="thalweg-kernels-")
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        return Path(temporary)


def converts_float16() -> bool:
    """Whether this processor turns float16 into float32 itself; without that it is slow."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    import llvmlite.binding

    return bool(llvmlite.binding.get_host_cpu_features().get("f16c"))


def control_block(
    code: Compiled, arrays: Sequence[np.ndarray], rows: int, chunks: int
) -> np.ndarray:
    """Return the control block of one launch on one thread.

    *arrays* are the table, the gradients' addresses, the hyperparameters, room for the host values
    that rows store, and room for partial sums; they must outlive the launch.
    """
    block = np.zeros(layout.CONTROL_WORDS, np.int64)
    block[layout.ROWS], block[layout.CHUNKS] = rows, chunks
    block[layout.TABLE : layout.PARTIALS + 1] = [array.ctypes.data for array in arrays]
    block[layout.PARALLEL], block[layout.THREADS] = parallel_entry(), 1
    block[layout.BODIES : layout.BODIES + len(code.bodies)] = code.bodies
    return block
