"""Table IV: pairs of teacher and student, beside the student's ANN and the merely converted network."""

from __future__ import annotations

from lasnn.plan.cells import paper_cells
from lasnn.report.exhibit import Table
from lasnn.report.labels import dataset, method, side_by_side
from lasnn.report.late import pd

INDEX = ["data", "network"]


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """First the teachers themselves, then a line for each student; two columns for each teacher."""
    teachers = tidy["method"] == "ann_teacher"
    tidy = tidy.assign(network=tidy["student"].where(~teachers, "(the teacher itself)"))
    tidy["data"] = dataset(tidy).groupby(tidy["network"]).transform("max")
    own = method(tidy).replace("conversion", "without LaSNN")
    column = own.where(tidy["teacher"] == "", "teacher " + tidy["teacher"])
    order = [title for title in dict.fromkeys(own) if title in set(column)]
    order += [title for title in dict.fromkeys(column) if title not in order]
    return side_by_side(tidy, INDEX, column.astype(pd.CategoricalDtype(order)))


EXHIBIT = Table(
    "Table IV: teacher and student pairs (accuracy in %)", lambda preset: list(paper_cells("Table IV")), arrange
)
