"""The frame of runs of a preset as an exhibit (ours): every column in its CSV, for people who plot for themselves."""

from __future__ import annotations

from functools import cache

from lasnn.plan.cells import Cell
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run
from lasnn.report.exhibit import Table
from lasnn.report.frame import frame
from lasnn.report.late import pd


class Runs(Table):
    """Every run behind all other exhibits, parents before children."""

    @cache  # noqa: B019 -- as any exhibit's
    def behind(self, preset: Preset) -> list[tuple[Cell, list[Run]]]:
        from lasnn.report.catalogue import EXHIBITS

        others = [run for other in EXHIBITS.values() if other is not self for run in other.runs(preset)]
        return [(_cell(run), [run]) for run in preset.ancestors(others)]

    def tidy(self, preset: Preset) -> pd.DataFrame:
        found = frame(self.shown_runs(preset), preset)
        return found.assign(runs=found["run"])

    def remarks(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        return [
            f"Preset {preset.name}, {len(tidy)} runs. The CSV has all columns; docs/exhibits.md says what they mean."
        ]


def _cell(run: Run) -> Cell:
    """A run as the cell of a table."""
    teacher, method, encoder, steps = (str(getattr(run, one, "")) for one in ("teacher", "method", "encoder", "steps"))
    words = (run.dataset, run.network_name, teacher, method, encoder, steps, "top1")
    return Cell("Runs", str(run), *words, variant=run.variant)


EXHIBITS = {
    "runs": Runs(
        "Runs: a line for each",
        lambda preset: (),
        "run accuracy_of_run start ann teacher_accuracy spikes synops microjoules",
        logs=True,
        costs=True,
        main=False,
        sections=("scope", "energy"),
    )
}
