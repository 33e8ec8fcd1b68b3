"""Finds the OpenMP runtime torch has loaded, so that kernels run on the threads torch keeps.

A second pool of threads beside torch's would fight it for the cores, at milliseconds per step on
a small machine. Where no such runtime is found, a thread pool of Python's stands in.
"""

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
_BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

_after_fork = False


def _note_fork() -> None:
    global _after_fork
    _after_fork = True


os.register_at_fork(after_in_child=_note_fork)


def threads_available() -> int:
    """Return how many threads a launch may use: torch's number, or 1 in a forked process.

    An OpenMP runtime that was running before a fork hangs after it.
    """
    import torch

    return 1 if _after_fork else torch.get_num_threads()


@cache
def parallel_entry() -> int:
    """Return the address of a function ``(body, data, threads, flags)`` that runs body on each."""
    found = _openmp_of_torch()
    if found is not None:
        return ctypes.cast(found, ctypes.c_void_p).value or 0
    return ctypes.cast(_pool_entry, ctypes.c_void_p).value or 0


def _openmp_of_torch():
    import threadpoolctl
    import torch

    home = os.path.dirname(torch.__file__)
    libraries = threadpoolctl.ThreadpoolController().select(user_api="openmp").lib_controllers
    for library in sorted(libraries, key=lambda each: not each.filepath.startswith(home)):
        handle = ctypes.CDLL(library.filepath)
        if hasattr(handle, "GOMP_parallel"):
            return handle.GOMP_parallel
    return None


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="thalweg")


@_ENTRY
def _pool_entry(body: int, data: int, threads: int, flags: int) -> None:
    run = _BODY(body)
    others = [_pool().submit(run, data) for _ in range(threads - 1)]
    run(data)
    for other in others:
        other.result()
