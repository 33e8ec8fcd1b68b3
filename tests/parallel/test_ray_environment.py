"""Training on Ray leaves no token in the environment, which a later program would inherit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from thalweg.parallel.cluster.connection import connected

pytest.importorskip("ray")


@pytest.mark.parametrize("token", [None, "a" * 64])
def test_a_cluster_has_a_token_and_leaves_none_behind(
    token: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second cluster of a process has a token that is not the first one's."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    if token is not None:
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    before = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")}
    with connected(None, 1, 60.0) as ray:
        seen = ray.get(ray.remote(lambda: os.environ["RAY_AUTH_TOKEN"]).remote(), timeout=60)
        assert seen == os.environ["RAY_AUTH_TOKEN"]
        assert os.environ["RAY_AUTH_MODE"] == "token"
    assert len(seen) == 64
    after = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")}
    assert after == before


TRAINING = """
from small import fitted
from thalweg.parallel import Downpour, RayEngine

fitted(Downpour("sgd", lr=0.1), engine=RayEngine())
"""


def test_ray_does_not_warn_that_a_shard_might_be_unable_to_begin_again() -> None:
    """It says so once in a process, so that this is one of its own."""
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", TRAINING], env={**os.environ, "PYTHONPATH": paths}, text=True,
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "restart will fail" not in done.stderr
