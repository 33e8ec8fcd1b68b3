"""Run as a script: the same steps in this process, in a forked and in a spawned one, as JSON.

The forked process begins after this one has taken steps on several threads. It calls nothing of
torch's that would start threads of its own, because those are what a fork loses.
"""

import hashlib
import json
import multiprocessing
import os
import sys
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

import thalweg
from thalweg.rules import adam, clip_by_global_norm, decay

SIZES = (700_001, 1, 299_999)


def prepared() -> tuple[Any, list[Tensor]]:
    """Return an optimizer after one step on about a million elements, with gradients."""
    generator = torch.Generator().manual_seed(0)
    params = [torch.randn(n, generator=generator).requires_grad_() for n in SIZES]
    rule = thalweg.chain(clip_by_global_norm, adam, decay)
    optimizer = thalweg.Optimizer(params, rule, lr=0.1)
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator)
    optimizer.step()
    return optimizer, params


def digest(optimizer: Any, params: Iterable[Tensor]) -> str:
    """Take three steps and return a digest of the bits of all parameters."""
    for _ in range(3):
        optimizer.step()
    bits = hashlib.sha256()
    for p in params:
        bits.update(p.detach().numpy().tobytes())
    return bits.hexdigest()


def send_digest(connection: Any) -> None:
    connection.send(digest(*prepared()))


def forked() -> str:
    """Return what a child of a fork computes, or how it ended."""
    optimizer, params = prepared()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, digest(optimizer, params).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    return text or f"child ended with {os.waitpid(child, 0)[1]}"


def spawned() -> str:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    child = context.Process(target=send_digest, args=(theirs,))
    child.start()
    answer = mine.recv()
    child.join()
    return answer


if __name__ == "__main__":
    torch.set_num_threads(2)
    kinds = {"here": lambda: digest(*prepared()), "forked": forked, "spawned": spawned}
    json.dump({kind: kinds[kind]() for kind in sys.argv[1:]}, sys.stdout)
