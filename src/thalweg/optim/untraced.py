"""Keeps torch.compile out of a function at no cost to its calls.

``torch.compiler.disable`` does the same by wrapping the function, which every call would pay for.
"""

from collections.abc import Callable
from typing import TypeVar

import torch

Function = TypeVar("Function", bound=Callable)

_frames = torch._C._dynamo.eval_frame


def untraced(function: Function) -> Function:
    """Make compiled code call *function* as it is: one graph break, and nothing below is traced."""
    skip = _frames._FrameAction.SKIP
    function._torchdynamo_disable = True  # type: ignore[attr-defined]
    function._torchdynamo_disable_msg = "its kernels are compiled already"  # type: ignore[attr-defined]
    _frames.set_code_exec_strategy(function.__code__, _frames._FrameExecStrategy(skip, skip))
    return function
