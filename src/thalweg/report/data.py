"""Data for other programs: values as JSON, and tables as CSV.

In both, infinity is ``inf``. What there is not, such as an accuracy without classes, is null in
JSON and empty in CSV.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Entry = dict[str, str | float | None]


def as_object(members: Mapping[str, Any]) -> str:
    """Return JSON of an object, a member on each line; of a list of objects each has its own."""
    return "{\n" + ",\n".join(_members(members)) + "\n}\n"


def _members(members: Mapping[str, Any]) -> Iterator[str]:
    for name, value in members.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines = ",\n".join(map(dumped, value))
            yield f"{dumped(name)}: [\n{lines}\n]"
        else:
            yield f"{dumped(name)}: {dumped(value)}"


def dumped(value: object) -> str:
    """Return a value as JSON on one line."""
    return json.dumps(_plain(value), allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def tabled(lines: Iterable[Entry]) -> str:
    """Return a table with these lines, which all have the same names."""
    first, *others = lines
    text = io.StringIO()
    writer = csv.DictWriter(text, list(first), lineterminator="\n")
    writer.writeheader()
    for entry in (first, *others):
        writer.writerow({name: _plain(value) for name, value in entry.items()})
    return text.getvalue()
