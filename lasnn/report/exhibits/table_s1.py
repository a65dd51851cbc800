"""Table S1 (ours): every method from the same converted networks, with the settings that each number hangs on."""

import pandas as pd

from lasnn.config import Preset
from lasnn.energy import averages
from lasnn.report import rows
from lasnn.report.cells import DATASETS, Cell, paper_cells
from lasnn.report.kinds import Table
from lasnn.report.labels import dataset, method, ours, steps
from lasnn.report.rows import number
from lasnn.runs import parse
from lasnn.vocabulary import METHODS, STUDENTS


def cells(preset: Preset) -> list[Cell]:
    """Poisson input at the paper's T = 100: every student and method of the preset."""
    return [
        Cell(
            "Table S1",
            STUDENTS[student].title,
            paper,
            STUDENTS[student].title,
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
        if name in preset.scope.methods and _asked(paper, student, name)
    ]


def _asked(dataset: str, student: str, method: str) -> bool:
    """Whether the paper trains this student so at the T of this table; conversion and methods of ours: all students."""
    place = (dataset, STUDENTS[student].title)
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


class WithCompany(Table):
    """Also reads what the runs started from and how much they spike."""

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        return [
            *super().notes(tidy, preset),
            "Start: the converted network at this T, s and leak before training, on the training images that automatic "
            "choices look at; its ANN has seen them, so it lies above the accuracy on new images.",
        ]

    def tidy(self, preset: Preset) -> pd.DataFrame:
        tidy = super().tidy(preset)
        found = [
            rows.metrics_of(parse(line.split()[0]), preset) if isinstance(line, str) else {} for line in tidy["runs"]
        ]
        choices = [one.get("choices", {}) for one in found]
        converted = [_start(one) in (None, "converted") for one in found]
        tidy["start"] = [
            one.get("start_accuracy") if start else None for one, start in zip(choices, converted, strict=True)
        ]
        tidy.loc[[not start for start in converted], "scale"] = None  # thresholds are 1, whatever was balanced
        tidy["ann"] = [one.get("ann_accuracy") for one in found]
        tidy["teacher_accuracy"] = [one.get("teacher_accuracy") for one in found]
        tidy["spikes"] = [_network_mean(one.get("spikes")) for one in found]
        return tidy


def _start(metrics: dict) -> str | None:
    """What a spiking network was trained from."""
    return (metrics.get("settings", {}).get("spiking") or {}).get("init")


def _network_mean(spikes: dict | None) -> float | None:
    """S_net: spikes for each neuron of the network and image."""
    if not spikes:
        return None
    return averages(spikes, batch=1).network


EXHIBIT = WithCompany(
    "Table S1: every method from the same converted network, with what each number hangs on", cells, arrange
)
