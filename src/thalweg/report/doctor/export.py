"""What the doctor found as data: JSON of the diagnosis, or a line for each finding."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

from thalweg.report.doctor.subject import subject

if TYPE_CHECKING:
    from thalweg.doctor import Diagnosis, Examination, Watch

COLUMNS = ("code", "severity", "confidence", "name", "where", "step", "sentence", "change")


def as_json(found: Diagnosis | Examination | Watch) -> str:
    """Return the whole diagnosis."""
    from thalweg.doctor.plain import as_data

    of = subject(found)
    return json.dumps({"subject": of.name, **as_data(of.diagnosis)}, indent=2)


def as_csv(found: Diagnosis | Examination | Watch) -> str:
    """Return a line for each finding, and one for each remark."""
    text = io.StringIO()
    lines = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    lines.writeheader()
    lines.writerows(vars(each) for each in subject(found).diagnosis.findings)
    return text.getvalue()
