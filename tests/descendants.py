"""The processes that a test has started, by name; they come and go while one looks."""

import psutil


def descendants(beginning: str) -> list[int]:
    """Return the numbers of those whose names begin so; what ends meanwhile is not among them."""
    found = []
    for each in psutil.Process().children(recursive=True):
        try:
            if each.name().startswith(beginning):
                found.append(each.pid)
        except psutil.NoSuchProcess:
            continue
    return sorted(found)
