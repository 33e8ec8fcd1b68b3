"""Every test of the doctor begins as in a process in which nothing has been compiled yet."""

import sys

import pytest
import torch


@pytest.fixture(autouse=True)
def nothing_compiled_yet():
    """Forget what other tests compiled: then a watch may look at activations that are functions."""
    compiler = sys.modules.get("torch._dynamo.utils")
    if compiler is not None:
        torch._dynamo.reset()
        compiler.counters.clear()
