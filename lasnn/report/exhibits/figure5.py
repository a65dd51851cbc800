"""Figure 5: activation-based against gradient-based distillation: accuracy (5a), epoch time and peak memory (5b)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lasnn.plan.cells import elsewhere, paper_cells
from lasnn.plan.config import Preset
from lasnn.report import bars, style
from lasnn.report.exhibit import Figure, with_training_logs
from lasnn.report.late import pd
from lasnn.report.style import METHOD_STYLE, Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

PANELS = {"top1": "", "epoch_time": "minutes per epoch", "gpu_memory": "peak memory, GB"}
FORMATS = {"top1": "{:.1f}", "epoch_time": "{:.2g}", "gpu_memory": "{:.2g}"}
SERIES = {
    ("lasnn_act", "100"): ("activation", METHOD_STYLE["lasnn_act"]),
    ("lasnn_grad", "100"): ("gradient", METHOD_STYLE["lasnn_grad"]),
    ("lasnn_grad", "30"): ("gradient", Look("#cc78bc", hatch="..")),
}


class Costs(Figure):
    """Time and memory are measured in the runs themselves, on whatever device ran them."""

    def read(self, preset: Preset) -> list[str]:
        return with_training_logs(preset, self.files(preset), self.runs(preset))

    def tidy(self, preset: Preset) -> pd.DataFrame:
        tidy = super().tidy(preset)
        tidy["paper"] = [elsewhere(cell) for cell in self.cells(preset)]
        return tidy

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        return [
            *super().notes(tidy, preset),
            "Time: mean of all epochs, with the look at the test images after each. Memory: the device's peak, on a "
            "CPU the process's (provenance.json names the device). Crosses: Table II for accuracy, the text on one RTX "
            "3090 for time and memory; other networks and data than the paper's where n_train is not 50000.",
        ]


def draw(tidy: pd.DataFrame) -> Drawing:
    """A panel for each metric, a group of bars for each student."""
    series, looks = bars.with_steps(tidy, SERIES)
    lines, _ = bars.only_run(tidy.assign(group=tidy["student"], series=series))
    drawing, (panels,) = style.sheet(1, len(PANELS), height=2.6)
    for axes, (metric, label) in zip(panels, PANELS.items(), strict=True):
        part = lines[lines["metric"] == metric]
        bars.grouped(axes, part, looks, FORMATS[metric], log=metric == "epoch_time", upright=len(part) > 3)
        bars.accuracies(axes, part) if metric == "top1" else axes.set_ylabel(label)
    style.legend(drawing)
    return drawing


EXHIBIT = Costs(
    "Figure 5: activation- and gradient-based distillation", lambda preset: list(paper_cells("Fig 5a", "Fig 5b")), draw
)
