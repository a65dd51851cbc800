"""Table S1 (ours): every method from the same converted networks, with the settings that each number hangs on."""

from __future__ import annotations

from itertools import product

from lasnn.plan.cells import DATASETS, Cell, paper_cells, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.vocabulary import METHODS
from lasnn.report.context import TableWithContext
from lasnn.report.labels import dataset, method, ours, steps
from lasnn.report.late import pd
from lasnn.report.rows import number


def cells(preset: Preset) -> list[Cell]:
    """Poisson input at the paper's T = 100: every student and method of the preset."""
    networks, asked = preset.config.networks, []
    for paper, key in DATASETS.items():
        for student, name in product(preset.scope.students, METHODS):
            if preset.scope.datasets.get(key) is None or name not in preset.scope.methods:
                continue
            title, teacher = networks.title(student), "unspecified" if METHODS[name].teacher else ""
            cell = Cell("Table S1", title, paper, title, teacher, name, "poisson", "100", "top1", unit="%")
            # The paper's students have lines where nothing is run too, own networks have none to compare with.
            if runs_of(cell, preset) if student in networks.own else _asked(paper, title, name):
                asked.append(cell)
    return asked


def _asked(dataset: str, title: str, method: str) -> bool:
    """Whether the paper trains this student so at the T of this table; conversion and methods of ours: all students."""
    paired = [
        cell.method for cell in paper_cells("Table II", "Fig 5a") if (cell.dataset, cell.student) == (dataset, title)
    ]
    ours = method == "conversion" or all(cell.method != method for cell in paper_cells())
    return method in paired or (ours and bool(paired))


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """One line for each student and method."""
    return pd.DataFrame(
        {
            "dataset": dataset(tidy),
            "network": tidy["student"],
            "method": method(tidy),
            "teacher": [line.split("/")[5] if line else "-" for line in tidy["runs"].fillna("")],
            "T": steps(tidy),
            "s": tidy["scale"].map(lambda value: number(value, digits=1)),
            "leak": tidy["leak"].map(number),
            "logits": tidy["logit_scale"].fillna("-"),
            "start, %": tidy["start"].map(number),
            "accuracy, %": ours(tidy),
            "ANN, %": tidy["ann"].map(number),
            "teacher, %": tidy["teacher_accuracy"].map(number),
            "spikes per neuron": tidy["spikes"].map(lambda value: number(value, digits=3)),
        }
    )


EXHIBIT = TableWithContext(
    "Table S1: every method from the same converted network, with what each number hangs on", cells, arrange
)
