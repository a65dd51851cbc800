"""Table II: intermediate ANN, hybrid training, label KD and LaSNN on three datasets."""

from __future__ import annotations

from lasnn.plan.cells import paper_cells
from lasnn.report.exhibit import Table
from lasnn.report.labels import dataset, method, side_by_side
from lasnn.report.late import pd

INDEX = ["data", "network"]


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """A line for each dataset and student, two columns for each method."""
    tidy = tidy.assign(data=_dataset_of_line(tidy), network=tidy["student"])
    return side_by_side(tidy, INDEX, method(tidy))


def _dataset_of_line(tidy: pd.DataFrame) -> pd.Series:
    """All cells of a line carry the dataset that any of them ran on."""
    shown = dataset(tidy)
    return shown.groupby([tidy["dataset"], tidy["student"]]).transform("max")


EXHIBIT = Table(
    "Table II: SNN training methods from the same converted network (accuracy in %)",
    lambda preset: list(paper_cells("Table II")),
    arrange,
)
