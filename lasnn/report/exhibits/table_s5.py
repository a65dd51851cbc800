"""Table S5 (ours): every form of calibration at every T of its authors, beside plain conversion with direct input."""

from __future__ import annotations

from lasnn.plan.cells import Cell
from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE
from lasnn.report.context import with_context
from lasnn.report.exhibit import Table
from lasnn.report.labels import dataset, ours
from lasnn.report.late import pd
from lasnn.report.rows import number

STEPS = ("16", "32", "64", "100")
HEADLINE = "32"  # the T at which every student is shown, not only the one in focus
FORMS = {
    ("conversion", BASE): "conversion",
    ("calibration", "calibration_none"): "calibration: none",
    ("calibration", BASE): "calibration: light",
    ("calibration", "calibration_potential"): "calibration: potential",
    ("calibration", "calibration_weights"): "calibration: weights, potential",
}


def cells(preset: Preset) -> list[Cell]:
    """All forms of every student at the headline's T, and of the student in focus at each T."""
    places = [
        (student, steps)
        for student in preset.scope.students
        for steps in STEPS
        if preset.scope.steps.get(f"direct-T{steps}") and (steps == HEADLINE or student == preset.scope.focus)
    ]
    return [
        Cell(
            "Table S5",
            f"{preset.config.networks.title(student)} {title} T={steps}",
            *("CIFAR-10", preset.config.networks.title(student), "", method, "direct", steps, "top1"),
            unit="%",
            variant=variant,
        )
        for student, steps in places
        for (method, variant), title in FORMS.items()
    ]


class Calibrated(Table):
    """Also reads the ANN that each network comes from."""

    def tidy(self, preset: Preset) -> pd.DataFrame:
        tidy = with_context(super().tidy(preset), preset)
        tidy["form"] = [FORMS[key] for key in zip(tidy["method"], tidy["variant"], strict=True)]
        return tidy

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        return [
            *super().notes(tidy, preset),
            "Direct input everywhere. Conversion: thresholds balanced and scaled by s. Calibration: amplitudes and "
            "corrections from training images; weights trained in the last form only, each layer alone, never by "
            "backpropagation through time.",
        ]


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """One line for each student, T and form."""
    steps = tidy["ran_steps"].map(lambda value: "-" if pd.isna(value) else f"{value:g}")
    return pd.DataFrame(
        {
            "dataset": dataset(tidy),
            "network": tidy["student"],
            "T": steps + " (standing for " + tidy["timesteps"] + ")",
            "form": tidy["form"],
            "s": tidy["scale"].map(lambda value: number(value, digits=1)),
            "accuracy, %": ours(tidy),
            "ANN, %": tidy["ann"].map(number),
        }
    )


EXHIBIT = Calibrated("Table S5: forms of calibration", cells, arrange, main=False)
