"""Figure 7: spikes of every convolution at the same T and the same thresholds, by method."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

from lasnn.plan.cells import Cell, focus_cell, paper_cells, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import as_snn
from lasnn.report import bars, rows, spikes_and_energy, style
from lasnn.report.exhibit import Figure, remarks
from lasnn.report.labels import METHOD_TITLES
from lasnn.report.late import pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

METHODS = ("conversion", "kd_label", "lasnn_act")


def cells(preset: Preset) -> list[Cell]:
    """The paper's VGG7 on CIFAR-100; where a preset leaves it out, its student in focus."""
    first = [replace(cell, metric="top1", row_label=f"VGG7 {cell.method}") for cell in paper_cells("Fig 7")]
    paper = list(dict.fromkeys(cell for cell in first if cell.method in METHODS))
    if any(runs_of(cell, preset) for cell in paper):
        return paper
    return [focus_cell(preset, "Fig 7", name) for name in METHODS]


class Spikes(Figure):
    """A line for each convolution and method, with the threshold of the layer."""

    def tidy(self, preset: Preset) -> pd.DataFrame:
        cells = self.cells(preset)
        table, lines = rows.table(cells, preset), []
        for cell, row in zip(cells, table.to_dict("records"), strict=True):
            runs = runs_of(cell, preset)
            found = [spikes_and_energy.by_layer(as_snn(run), preset) for run in runs]
            thresholds = rows.metrics_of(runs[0], preset)["thresholds"] if runs else {}
            for layer in (name for name in thresholds if not name.startswith(("f", "readout"))):
                values = [one[layer] for one in found]
                spread = statistics.stdev(values) if len(values) > 1 else None
                own = {"ours": statistics.mean(values), "sd": spread, "paper": None, "threshold": thresholds[layer]}
                lines.append(row | own | {"layer": layer, "series": METHOD_TITLES[cell.method]})
        if not lines:
            return table.assign(layer="", threshold=None, series="")
        return pd.DataFrame(lines)

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        notes = remarks(tidy, preset)
        ran = tidy[tidy["layer"] != ""]
        if not ran.empty:
            pairs = sorted(set(zip(ran["method"], ran["leak"], strict=True)))
            leaks = ", ".join(f"{METHOD_TITLES[name]} {leak:g}" for name, leak in pairs)
            notes.append(
                f"{ran['student'].iloc[0]}, T = {ran['ran_steps'].iloc[0]:g}. Thresholds θ (below each layer, first "
                f"seed) are those of all three: balanced once, scaled by s = {ran['scale'].iloc[0]:g}. Leak: {leaks}. "
                "Counted on all test images, before dropout and pool. The paper prints no number here."
            )
        return notes


def draw(tidy: pd.DataFrame) -> Drawing:
    """A group of bars for each convolution."""
    ran = tidy[tidy["layer"] != ""]
    if ran.empty:
        return style.nothing()
    drawing, ((axes,),) = style.sheet(height=2.6)
    looks = {METHOD_TITLES[name]: style.look_of(name) for name in METHODS}
    first = ran[ran["method"] == ran["method"].iloc[0]].set_index("layer")["threshold"]
    groups = {layer: f"{layer}\nθ = {threshold:.2f}" for layer, threshold in first.items()}
    ordered = ran.assign(group=ran["layer"].map(groups), paper=None)
    ordered = ordered.sort_values("layer", key=lambda names: names.map(list(groups).index), kind="stable")
    bars.grouped(axes, ordered, looks, "{:.2f}")
    axes.set_ylabel("spikes per neuron and image")
    style.legend(drawing)
    return drawing


EXHIBIT = Spikes("Figure 7: spikes of each convolution", cells, draw, sections=("scope", "energy"))
