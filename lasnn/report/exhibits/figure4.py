"""Figure 4: what each stage is good for: without distillation, without its layers, LaSNN; and three controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lasnn.plan.cells import Cell, elsewhere, focus_cell, paper_cells
from lasnn.plan.config import Preset
from lasnn.report import bars, style
from lasnn.report.exhibit import Figure
from lasnn.report.labels import METHOD_TITLES, dataset
from lasnn.report.late import pd
from lasnn.report.style import METHOD_STYLE, Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

# Ours: the same network from random weights without and with the layer-wise loss, and from an untrained teacher.
CONTROLS = {
    ("hybrid", "scratch"): ("hybrid training, random start", Look("#cc78bc", hatch="---")),
    ("lasnn_act", "scratch"): ("LaSNN, random start", Look("#ece133", hatch="xx")),
    ("lasnn_act", "random_teacher"): ("LaSNN, untrained teacher", Look("#029e73", hatch="++")),
}
NAMES = {"conversion": "conversion (no distillation)", "hybrid": "hybrid training (no layers)"}


def cells(preset: Preset) -> list[Cell]:
    """The paper's nine, and for the student in focus the same three beside the controls that the preset runs."""
    wanted = [tuple(name.split("+")) for name in preset.scope.ablations]
    controls = [control for control in CONTROLS if control in wanted]
    extra = [("conversion", "base"), ("hybrid", "base"), ("lasnn_act", "base"), *controls] if controls else []
    return [*paper_cells("Fig 4"), *(focus_cell(preset, "Fig 4", method, variant) for method, variant in extra)]


class Ablation(Figure):
    """Crosses are what other tables of the paper print for the same configuration."""

    def tidy(self, preset: Preset) -> pd.DataFrame:
        tidy = super().tidy(preset)
        tidy["paper"] = [elsewhere(cell) for cell in self.cells(preset)]
        tidy["series"] = [
            CONTROLS[key][0] if key in CONTROLS else NAMES.get(key[0], METHOD_TITLES[key[0]])
            for key in zip(tidy["method"], tidy["variant"], strict=True)
        ]
        tidy["group"] = tidy["student"] + "\n" + dataset(tidy).groupby(tidy["student"]).transform("max")
        return tidy

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        _, left_out = bars.only_run(tidy)
        notes = super().notes(tidy, preset)
        notes.append(
            "Crosses: printed in Tables II and IV for the same configuration; Figure 4 itself prints no number."
        )
        if left_out:
            notes.append(f"Not run in this preset: {', '.join(' on '.join(name.splitlines()) for name in left_out)}.")
        return notes


def draw(tidy: pd.DataFrame) -> Drawing:
    """A group of bars for each network."""
    looks = {NAMES.get(name, METHOD_TITLES[name]): METHOD_STYLE[name] for name in ("conversion", "hybrid", "lasnn_act")}
    looks |= dict(CONTROLS.values())
    drawing, ((axes,),) = style.sheet(height=2.9)
    lines, _ = bars.only_run(tidy)
    bars.grouped(axes, lines, looks, upright=len(lines) > 12)
    bars.accuracies(axes, lines)
    style.legend(drawing, columns=3)
    return drawing


EXHIBIT = Ablation("Figure 4: ablation, with controls", cells, draw)
