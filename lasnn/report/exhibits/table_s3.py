"""Table S3 (ours): the steps that conversion needs, T*, and what that makes of the paper's "20 times faster"."""

from __future__ import annotations

from lasnn.plan.cells import Cell, paper_cells, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.lookup import given
from lasnn.plan.runs import Run, SnnRun, as_snn
from lasnn.report import rows
from lasnn.report.curves import accuracy_on_first, converted_behind, converted_of, curves
from lasnn.report.exhibit import Table, remarks
from lasnn.report.labels import dataset
from lasnn.report.late import pd
from lasnn.report.rows import number
from lasnn.report.speedup import relative_spread, speed_up, steps_needed

GAPS = (1, 2)  # points below the ANN
NOT_REACHED = "not reached"


def cells(preset: Preset) -> list[Cell]:
    """LaSNN of Table II: each has its converted network behind it."""
    return [cell for cell in paper_cells("Table II") if cell.method == "lasnn_act"]


class SpeedUp(Table):
    """A line for each network, seed and threshold scale."""

    def runs(self, preset: Preset) -> list[Run]:
        runs = super().runs(preset)
        return [*converted_behind(runs, preset), *runs]

    def files(self, preset: Preset) -> list[str]:
        trained = super().runs(preset)
        return [*super().files(preset), *(f"{preset.folder(run)}/predictions.npz" for run in trained)]

    def tidy(self, preset: Preset) -> pd.DataFrame:
        tidy = rows.table(self.cells(preset), preset)
        lines = []
        for cell, row in zip(self.cells(preset), tidy.to_dict("records"), strict=True):
            found = [line for run in runs_of(cell, preset) for line in _lines(as_snn(run), preset)]
            lines += [row | line for line in found or [{}]]
        return pd.DataFrame(lines)

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        notes = remarks(tidy, preset)
        if "curve_images" in tidy:
            shown = ", ".join(f"{count:g}" for count in sorted(set(tidy["curve_images"].dropna())))
            grid = ", ".join(str(steps) for steps in sorted(set().union(*tidy["grid"].dropna())))
            notes.append(
                f"ANN, LaSNN and curves on the same first {shown} test images, one encoder seed; T* out of {grid}."
            )
        return [
            *notes,
            "T*: the smallest T from which on the converted network never falls below the ANN minus 1 or 2 points, or "
            "below LaSNN. Speed-up: T* at LaSNN's accuracy, divided by LaSNN's T. The paper says 20 times.",
            "Spread: how much a layer's threshold differs between balancing batches, (max - min) / mean, the largest "
            "layer; `-` with one batch.",
        ]


def _lines(run: SnnRun, preset: Preset) -> list[dict]:
    converted = given(converted_of(run, preset))
    metrics = rows.metrics_of(converted, preset)
    lasnn = accuracy_on_first(run, preset, metrics["curve_images"])
    ann, lines = metrics["curve_ann_accuracy"], []
    for scale, curve in curves(converted, preset).items():
        needed = {gap: steps_needed(curve, ann - gap) for gap in GAPS}
        equal = steps_needed(curve, lasnn)
        lines.append(
            {"seed": run.seed, "curve_scale": scale, "curve_images": metrics["curve_images"], "grid": tuple(curve)}
            | {"curve_ann": ann, "curve_lasnn": lasnn, "lasnn_steps": run.steps}
            | {f"t_star_{gap}": needed[gap] for gap in GAPS}
            | {"t_star_lasnn": equal, "speed_up": speed_up(equal, run.steps)}
            | {"spread": relative_spread(metrics["thresholds_by_batch"])}
        )
    return lines


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """What a reader sees; lines that were not run are left out."""
    ran = tidy[tidy["n"] > 0]
    if ran.empty:
        return pd.DataFrame({"network": ["nothing run in this preset"]})

    def steps(column: str) -> list[str]:
        return [NOT_REACHED if pd.isna(value) else f"{value:g}" for value in ran[column]]

    return pd.DataFrame(
        {
            "data": dataset(ran),
            "network": ran["student"],
            "seed": ran["seed"].map("{:g}".format),
            "s": [f"{value:g}" for value in ran["curve_scale"]],
            "ANN, %": ran["curve_ann"].map(number),
            **{f"T* (ANN - {gap})": steps(f"t_star_{gap}") for gap in GAPS},
            "LaSNN, %": ran["curve_lasnn"].map(number),
            "LaSNN's T": ran["lasnn_steps"].map("{:g}".format),
            "T* (LaSNN)": steps("t_star_lasnn"),
            "speed-up": ran["speed_up"].map(lambda value: number(value, digits=1)),
            "spread": ran["spread"].map(number),
        }
    )


EXHIBIT = SpeedUp("Table S3: steps that conversion needs, and LaSNN's speed-up", cells, arrange)
