"""Table S1 (ours): every method from the same converted networks, with the settings that each number hangs on."""

from __future__ import annotations

from lasnn.plan.cells import DATASETS, Cell, paper_cells
from lasnn.plan.config import Preset
from lasnn.plan.vocabulary import METHODS
from lasnn.report.context import TableWithContext
from lasnn.report.labels import dataset, method, ours, steps
from lasnn.report.late import pd
from lasnn.report.rows import number


def cells(preset: Preset) -> list[Cell]:
    """Poisson input at the paper's T = 100: every student and method of the preset."""
    return [
        Cell(
            "Table S1",
            preset.config.networks.title(student),
            paper,
            preset.config.networks.title(student),
            "unspecified" if info.teacher else "",
            name,
            "poisson",
            "100",
            "top1",
            unit="%",
        )
        for paper, ours_id in ((title, preset.scope.datasets.get(key)) for title, key in DATASETS.items())
        if ours_id is not None
        for student in preset.scope.students
        for name, info in METHODS.items()
        if name in preset.scope.methods and _asked(preset, paper, student, name)
    ]


def _asked(preset: Preset, dataset: str, student: str, method: str) -> bool:
    """Whether the paper trains this student so at the T of this table; conversion and methods of ours: all students.

    Of own networks that have the teacher that a method needs, everything.
    """
    if student in preset.config.networks.own:
        return student in preset.scope.teacher_of or not METHODS[method].teacher
    place = (dataset, preset.config.networks.title(student))
    paired = [cell.method for cell in paper_cells("Table II", "Fig 5a") if (cell.dataset, cell.student) == place]
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
