"""A check is a name and something to run; it raises AssertionError where the promise is broken."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True)
class Check:
    """One promise, by name; calling it raises AssertionError if it is broken."""

    name: str
    run: Callable[[], None]

    def __call__(self) -> None:
        """Hold the promise to account."""
        self.run()

    def __str__(self) -> str:
        return self.name


def bind(promises: list[Callable], *subject: object) -> Iterator[Check]:
    """Yield a check for each of *promises*, functions of *subject* named after the promise."""
    for promise in promises:
        yield Check(promise.__name__.replace("_", " "), partial(promise, *subject))


def promise(register: list[Callable]) -> Callable[[Callable], Callable]:
    """Add a function to a list of promises."""

    def decorate(function: Callable) -> Callable:
        register.append(function)
        return function

    return decorate
