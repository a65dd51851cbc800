"""Firing and accuracy (ours): each training of Table S4 by how often a neuron spikes and how well the network does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE
from lasnn.plan.vocabulary import METHODS
from lasnn.report import style
from lasnn.report.context import with_context
from lasnn.report.exhibit import Figure
from lasnn.report.exhibits.table_s4 import cells
from lasnn.report.labels import METHOD_TITLES
from lasnn.report.late import pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

NAMED = 15  # points that have room for a name each


class Firing(Figure):
    """Reads spikes beside accuracies."""

    def tidy(self, preset: Preset) -> pd.DataFrame:
        return with_context(super().tidy(preset), preset)

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        return [
            *super().notes(tidy, preset),
            "Filled: the base run of a method; open: a variant (of many, those below the mean are named). Spikes of a "
            "neuron for one image, over all T, mean over the network.",
        ]


def draw(tidy: pd.DataFrame) -> Drawing:
    """One panel, spikes on a logarithmic axis."""
    trained = [METHODS[method].trained for method in tidy["method"]]
    ran = tidy[trained].dropna(subset=["ours", "spikes"])
    if ran.empty:
        return style.nothing()
    drawing, ((axes,),) = style.sheet(height=3.6)
    named_below = ran["ours"].mean() if len(ran) > NAMED else math.inf
    for method in dict.fromkeys(ran["method"]):
        look, lines = style.look_of(method), ran[ran["method"] == method]
        for variant, spikes, accuracy in zip(lines["variant"], lines["spikes"], lines["ours"], strict=True):
            base = variant == BASE
            face, size = (look.color, 40) if base else ("none", 24)
            words: dict[str, Any] = {"s": size, "facecolor": face, "edgecolor": look.color}
            label = METHOD_TITLES[method] if base else None
            axes.scatter(spikes, accuracy, marker=look.marker, linewidths=1, label=label, zorder=3, **words)
            if not base and accuracy < named_below:
                place: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
                axes.annotate(variant, (spikes, accuracy), **place, fontsize=5, color="#505050")
    axes.set(xscale="log", xlabel="spikes per neuron and image", ylabel="accuracy, %")
    axes.margins(x=0.12, y=0.08)
    axes.tick_params(axis="x", which="both", length=0, pad=3)  # one line of labels: minor ticks are shorter
    for ticks in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        ticks("{x:g}")
    style.legend(drawing)
    return drawing


EXHIBIT = Firing("Firing and accuracy of controls and knobs", cells, draw)
