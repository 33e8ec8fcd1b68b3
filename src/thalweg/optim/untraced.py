"""Keeps torch.compile out of a function at no cost to its calls.

``torch.compiler.disable`` does the same by wrapping the function, which every call would pay for.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import torch

Function = TypeVar("Function", bound=Callable)


def untraced(function: Function) -> Function:
    """Make compiled code call *function* as it is: one graph break, and nothing below is traced.

    torch's names for this are private. Where they are gone, steps are traced: slowly, but rightly.
    """
    function._torchdynamo_disable = True  # type: ignore[attr-defined]
    function._torchdynamo_disable_msg = "its kernels are compiled already"  # type: ignore[attr-defined]
    with suppress(AttributeError):
        frames = torch._C._dynamo.eval_frame
        skip = frames._FrameAction.SKIP
        frames.set_code_exec_strategy(function.__code__, frames._FrameExecStrategy(skip, skip))
    return function
