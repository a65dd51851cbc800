"""Table I: LaSNN beside converted networks of the literature, on CIFAR-10."""

from __future__ import annotations

from lasnn.plan.cells import paper_cells
from lasnn.report.exhibit import Table
from lasnn.report.labels import dataset, method, ours, steps
from lasnn.report.late import pd
from lasnn.report.rows import number


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """One line for each work."""
    work = tidy["row_label"].str.replace("This work", "LaSNN") + tidy["quoted"].map({True: " (quoted)", False: ""})
    return pd.DataFrame(
        {
            "work": work,
            "dataset": dataset(tidy),
            "network": tidy["student"],
            "method": method(tidy),
            "T": steps(tidy),
            "ours, %": ours(tidy),
            "paper, %": tidy["paper"].map(number),
        }
    )


EXHIBIT = Table(
    "Table I: accuracy of LaSNN and of converted SNNs", lambda preset: list(paper_cells("Table I")), arrange
)
