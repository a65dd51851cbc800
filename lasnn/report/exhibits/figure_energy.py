"""Energy and accuracy (ours): what each network gives for its joules, and its ANN beside it."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

from lasnn.plan.cells import runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, as_snn
from lasnn.report import rows, spikes_and_energy, style
from lasnn.report.curves import converted_behind, converted_of
from lasnn.report.exhibit import Figure, remarks
from lasnn.report.exhibits.table_s2 import cells
from lasnn.report.labels import METHOD_TITLES
from lasnn.report.late import pd
from lasnn.report.style import Look
from lasnn.results.energy import LEFT_OUT, snn_joules

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

COLUMNS = 3
LONG = Look("#303030", "v")  # the converted network at the end of its curve


class Pareto(Figure):
    """A point for each network and method, mean over seeds."""

    def runs(self, preset: Preset) -> list[Run]:
        runs = super().runs(preset)
        return [*converted_behind(runs, preset), *runs]

    def tidy(self, preset: Preset) -> pd.DataFrame:
        cells = self.cells(preset)
        table, lines = rows.table(cells, preset), []
        for cell, row in zip(cells, table.to_dict("records"), strict=True):
            runs = runs_of(cell, preset)
            if not runs:
                continue
            spent = spikes_and_energy.mean(runs, lambda run: spikes_and_energy.spent(as_snn(run), preset))
            panel = f"{cell.student}, {row['ran_dataset']}"
            direct = " direct" if cell.encoding == "direct" else ""
            series = f"{METHOD_TITLES[cell.method]}{direct}"
            ann = statistics.mean(rows.metrics_of(run, preset)["ann_accuracy"] for run in runs)
            lines += [row | {"panel": panel, "series": series, "accuracy": row["ours"], "joules": spent["joules"]},
                row | {"panel": panel, "series": "ANN", "accuracy": ann, "joules": spent["ann_joules"]},
                *(row | {"panel": panel} | point for point in _ends(runs, preset))]  # fmt: skip
        if not lines:
            return table.assign(panel="", series="", accuracy=math.nan, joules=math.nan)
        return pd.DataFrame(lines).drop_duplicates(["panel", "series", "accuracy", "joules"])

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        energy = preset.energy
        return [
            *remarks(tidy, preset),
            f"Joules of one image from counted operations: {energy.ac_pj:g} pJ for a synaptic operation, "
            f"{energy.mac_pj:g} pJ for a multiply-add (customary values at 45 nm). {LEFT_OUT}",
            "Converted, long: the converted network at the end of its curve, at each s, on the images of the curve.",
        ]


def _ends(runs: list[Run], preset: Preset) -> list[dict]:
    """The converted network behind these runs at the end of its curve, for each scale."""
    behind = [run for run in (converted_of(as_snn(run), preset) for run in runs) if run is not None]
    if len(behind) < len(runs):
        return []
    curves = zip(*(rows.metrics_of(run, preset)["curves"] for run in behind), strict=True)
    return [
        {
            "series": "converted, long",
            "accuracy": statistics.mean(curve["final"] for curve in same),
            "joules": statistics.mean(
                snn_joules(curve["operations"], behind[0].encoder, max(map(int, curve["accuracy"])), preset.energy)
                for curve in same
            ),
        }
        for same in curves
    ]


def draw(tidy: pd.DataFrame) -> Drawing:
    """A panel for each network."""
    panels = [name for name in dict.fromkeys(tidy["panel"]) if name]
    if not panels:
        return style.nothing()
    looks = {"ANN": style.look_of("ann"), "converted, long": LONG}
    looks |= {title: style.look_of(name) for name, title in METHOD_TITLES.items()}
    looks |= {f"{title} direct": style.ENCODER_STYLE["direct"] for title in METHOD_TITLES.values()}
    drawing, titled, first = style.panels(panels, COLUMNS, row_height=2.1, head=0.7)
    for axes, panel in titled:
        _panel(axes, tidy[tidy["panel"] == panel], looks)
    for axes in first:
        axes.set_ylabel("accuracy, %")
    style.legend(drawing, columns=4)
    return drawing


def _panel(axes: Axes, lines: pd.DataFrame, looks: dict[str, Look]) -> None:
    for series in [name for name in looks if name in set(lines["series"])]:
        points, look = lines[lines["series"] == series], looks[series]
        words: dict[str, Any] = {
            "marker": look.marker or "o",
            "color": look.color,
            "edgecolor": "black",
            "linewidths": 0.4,
        }
        axes.scatter(points["joules"] * 1e9, points["accuracy"], s=26, label=series, zorder=3, **words)
    axes.set(xscale="log", xlabel="nJ per image")
    axes.margins(x=0.12, y=0.12)


EXHIBIT = Pareto("Energy and accuracy", cells, draw, sections=("scope", "energy"))
