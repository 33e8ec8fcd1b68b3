"""Questions to all shards at once, asked again where no answer comes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from thalweg.errors import ThalwegError

PAUSE = 0.1
"""Seconds between an attempt that failed at once and the next."""


class Unreachable(ThalwegError, RuntimeError):
    """A shard that is gone, or did not answer for so long that nobody waits for it any more."""


class Servers:
    """The shards as seen from another process; *handles* are Ray's.

    A question is asked again after a sixth of *timeout*, or when the shard dies under it, until it
    is answered or *timeout* seconds are over. ``resent`` counts how often that was.
    """

    def __init__(self, handles: Sequence[Any], timeout: float) -> None:
        self.handles, self.timeout = handles, timeout
        self.resent = 0

    def ask(self, method: str, arguments: Iterable[tuple]) -> Question:
        """Put a question to every shard, each with arguments of its own."""
        return Question(self, method, list(arguments))

    def ask_alike(self, method: str, *arguments: Any) -> list[Any]:
        """Return the answers to the same question."""
        return self.ask(method, [arguments] * len(self.handles)).answers()


class Question:
    """A question under way."""

    def __init__(self, servers: Servers, method: str, arguments: list[tuple]) -> None:
        self._servers, self._method, self.arguments = servers, method, arguments
        self._sent = [self._send(place) for place in range(len(arguments))]

    def _send(self, place: int) -> Any:
        method = getattr(self._servers.handles[place], self._method)
        return method.remote(*self.arguments[place])

    @property
    def ready(self) -> bool:
        """Whether all answers have come."""
        import ray

        _, missing = ray.wait(self._sent, num_returns=len(self._sent), timeout=0)
        return not missing

    def answers(self) -> list[Any]:
        """Wait for all answers; Unreachable where one does not come."""
        return [self._answer(place) for place in range(len(self._sent))]

    def _answer(self, place: int) -> Any:
        import ray
        from ray.exceptions import ActorDiedError, GetTimeoutError, RayActorError

        end = time.monotonic() + self._servers.timeout
        while True:
            try:
                return ray.get(self._sent[place], timeout=self._servers.timeout / 6)
            except ActorDiedError as error:
                raise Unreachable(f"shard {place} is gone for good: {error}") from error
            except (GetTimeoutError, RayActorError) as error:
                if time.monotonic() > end:
                    raise Unreachable(
                        f"shard {place} has not answered for {self._servers.timeout:g} seconds"
                    ) from error
            time.sleep(PAUSE)
            self._servers.resent += 1
            self._sent[place] = self._send(place)
