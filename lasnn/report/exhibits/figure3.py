"""Figure 3: LaSNN beside SNN calibration (Li et al. 2021), which corrects a converted network without training it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lasnn.plan.cells import Cell, elsewhere, paper_cells
from lasnn.plan.config import Preset
from lasnn.report import bars, style
from lasnn.report.exhibit import Figure
from lasnn.report.late import pd
from lasnn.report.style import METHOD_STYLE, Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

STEPS = ("32", "100")  # the paper does not say at which T it calibrates
SERIES = {
    ("lasnn_act", "100"): ("LaSNN", METHOD_STYLE["lasnn_act"]),
    ("calibration", "32"): ("calibration", METHOD_STYLE["calibration"]),
    ("calibration", "100"): ("calibration", Look("#ca9161", hatch="xx")),
}


def cells(preset: Preset) -> list[Cell]:
    """The paper's ten, its calibration at both T."""
    return [
        one
        for cell in paper_cells("Fig 3")
        for one in ([replace(cell, timesteps=steps) for steps in STEPS] if cell.method == "calibration" else [cell])
    ]


class Beside(Figure):
    """A group for each student; what LaSNN reaches there in Table II is drawn as a cross."""

    def tidy(self, preset: Preset) -> pd.DataFrame:
        tidy = super().tidy(preset)
        tidy["paper"] = [elsewhere(cell) for cell in self.cells(preset)]
        return tidy

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        return [
            *super().notes(tidy, preset),
            "LaSNN: signed Poisson input. Calibration: direct input, no training (bias correction), so another budget. "
            "Crosses: LaSNN in Table II; Figure 3 itself prints no number, nor at which T or how it calibrates.",
        ]


def draw(tidy: pd.DataFrame) -> Drawing:
    """A group of bars for each student."""
    series, looks = bars.with_steps(tidy, SERIES)
    lines, _ = bars.only_run(tidy.assign(group=tidy["student"], series=series))
    drawing, ((axes,),) = style.sheet(height=2.6)
    bars.grouped(axes, lines, looks, upright=len(lines) > 12)
    bars.accuracies(axes, lines)
    style.legend(drawing)
    return drawing


EXHIBIT = Beside("Figure 3: LaSNN and SNN calibration", cells, draw)
