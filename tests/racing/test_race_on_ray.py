"""A race on a Ray cluster has the numbers of one here, whatever dies while it runs."""

import os
import signal
import socket
from typing import Any

import pytest
from killable import LINE, told

from clusters import cluster
from descendants import descendants
from thalweg.errors import BadValue
from thalweg.racing import race

pytest.importorskip("ray", reason="Ray is not installed")

RULES = ("sgd", "adam")
SMALL: dict[str, Any] = {"trials": 3, "seeds": 2, "epochs": 2, "reference": "adam"}


def test_workers_and_a_cluster_are_not_both_given():
    with pytest.raises(BadValue, match="give one of them"):
        race(LINE, RULES, workers=2, ray="local", **SMALL)


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:notaport"])
def test_what_is_no_address_is_refused_before_any_training(address, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with pytest.raises(BadValue, match="expected a host and a port"):
        race(LINE, RULES, ray=address, **SMALL)


def test_a_cluster_that_cannot_be_reached_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(BadValue, match="no Ray cluster can be reached"):
            race(LINE, RULES, ray=address, **SMALL)


@pytest.mark.long
def test_a_cluster_does_the_same_race_though_a_process_is_killed_in_it():
    straight = told(race(LINE, RULES, memory=1, **SMALL))
    killed: list[int] = []

    def kill(progress):
        busy = descendants("ray::_do")
        if busy and not killed:
            killed.append(busy[0])
            os.kill(busy[0], signal.SIGKILL)

    found = told(race(LINE, RULES, memory=1, ray="local", on_progress=kill, **SMALL))
    assert killed
    assert found == straight


@pytest.mark.long
def test_a_node_that_dies_has_its_work_done_elsewhere():
    straight = told(race(LINE, RULES, memory=1, **SMALL))
    with cluster() as machines:
        left = [machines.add_node(num_cpus=1)]
        machines.wait_for_nodes()

        def cut(progress):
            if left and progress.done:
                machines.remove_node(left.pop(), allow_graceful=False)

        found = told(race(LINE, RULES, memory=1, ray=machines.address, on_progress=cut, **SMALL))
    assert not left
    assert found == straight
