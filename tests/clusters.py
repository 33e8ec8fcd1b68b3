"""Clusters of several nodes on this machine, each node with processes of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def cluster(cpus: int = 1) -> Iterator[Any]:
    """Yield a cluster of one node that asks for a token, which is in the environment meanwhile.

    The cluster is Ray's own for tests: ``add_node`` and ``remove_node`` start and kill processes.
    """
    from ray._private.authentication_test_utils import reset_auth_token_state
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "1" * 64, "RAY_worker_niceness": "0"}
    try:
        reset_auth_token_state()
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus})
        try:
            yield made
        finally:
            made.shutdown()
    finally:
        os.environ.clear()
        os.environ |= before
