"""The table of what batch sizes cost says everything in 80 columns, in aligned columns."""

import io
import re

from rich.console import Console

from thalweg import report
from thalweg.training import Cost

COSTS = (
    Cost("full batch", 50_000, 1, 50_000, 0.7, 0.71, False, 156_800_000, 42_000_004),
    Cost("stochastic", 1, 50_000, 50_000, 4.07e-7, 0.0203, True, 999, 0),
    Cost("mini-batch", 32, 1_563, 50_000, 7.26e-4, 3_600.0, True, 100_608, 26_884),
)


def shown(costs: tuple[Cost, ...]) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    console.print(report.costs(costs))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_every_number_is_shown_with_its_unit() -> None:
    rows = [" ".join(line.split()) for line in shown(COSTS)[2:5]]
    assert rows == [
        "full batch 50,000 700 ms 157 MB 42.0 MB 1 710 ms",
        "stochastic 1 0.41 µs 999 B 0 B 50,000 ~ 20.3 ms",
        "mini-batch 32 726 µs 101 kB 26.9 kB 1,563 ~ 3600 s",
    ]


def test_it_fits_in_80_columns() -> None:
    assert max(map(len, shown(COSTS))) <= 80


def test_numbers_stand_below_one_another_with_their_units() -> None:
    """Those of the same decimals; a unit of one letter takes as much room as one of two."""
    lines = shown(COSTS)[2:5]
    gradients = [re.match(r"\S+(?: batch)? +[\d,]+", line) for line in lines]
    assert len({found.end() for found in gradients if found}) == 1
    units = [re.match(r".*? [\d.]+ (?=[mµ]?s)", line) for line in lines]
    assert len({found.end() for found in units if found}) == 1


def test_what_was_extrapolated_is_said() -> None:
    assert any("extrapolated" in line for line in shown(COSTS))
    assert not any("~" in line for line in shown(COSTS[:1]))


def test_how_many_gradients_an_epoch_computes_is_said() -> None:
    assert any("50,000 gradients" in line for line in shown(COSTS))
