"""What each network spends on an image (ours): spikes, in the four readings of "average", and energy (S2, a figure)."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

from lasnn.plan.cells import Cell, paper_cells
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, as_snn
from lasnn.report import style
from lasnn.report.columns import METHOD_TITLES
from lasnn.report.exhibit import Figure, Table
from lasnn.report.exhibits import over_time, tables
from lasnn.report.finished import converted_of, metrics_of
from lasnn.report.frame import IMAGES, Line, each, of_cells
from lasnn.report.late import Drawing, pd
from lasnn.report.templates import marks
from lasnn.results.energy import LEFT_OUT, snn_joules

SPENT = "spikes layers_added batch_added spikes_per_image synops joules joules_pessimistic ann_joules"
LONG = "converted, long"  # at the end of its curve


def cells(preset: Preset) -> list[Cell]:
    """Every method of Table S1 with Poisson input, and LaSNN with direct input."""
    direct = [cell for cell in over_time.cells(preset) if cell.encoding == "direct"]
    return [*tables.every_method(preset), *direct]


def _spent(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    """With the average that Figure 6 prints."""
    tidy = of_cells(cells, preset, SPENT).rename(columns={"spikes": "network_spikes"})
    return tidy.assign(paper_spikes=pd.Series(map(_printed, cells), tidy.index, dtype=float))


def _printed(cell: Cell) -> float | None:
    keys = {key: getattr(cell, key) for key in ("dataset", "student", "method", "encoding")}
    found = paper_cells("Fig 6", metric="avg_spikes", **keys)
    return found[0].paper if found else None


def _told(tidy: pd.DataFrame, preset: Preset) -> list[str]:
    energy = preset.energy
    return [
        "Per neuron: all spikes / (images x neurons), at most T. Layers added: the averages of all layers, summed. "
        f"Not divided by the batch: the first, times {energy.batch}. The paper's averages exceed its T = 100 for "
        "two networks, so they are not the first. Counted on all test images, first encoder seed, before dropout "
        "and pool.",
        "SynOps: spikes times the weights that they meet, the encoder's included. Energy of an SNN: "
        f"{energy.ac_pj:g} pJ x SynOps, and under direct encoding {energy.mac_pj:g} pJ x the MACs of the first "
        f"layer, once (in brackets: in every step). Of an ANN: {energy.mac_pj:g} pJ x MACs. {LEFT_OUT}",
    ]


def _points(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    """A point for each network and method, mean over seeds, for its ANN, and for the converted network behind it."""
    lines: list[Line] = []
    for cell, row, runs in each(cells, preset, "ann joules ann_joules"):
        if not runs:
            continue
        ann, spent, of_ann = (row.pop(name) for name in ("ann", "joules", "ann_joules"))
        row |= {"panel": f"{cell.student}, {row['ran_dataset']}", IMAGES: None, "_ann": None}
        name = f"{METHOD_TITLES[cell.method]}{' direct' if cell.encoding == 'direct' else ''}"
        lines += [row | {"series": name, "accuracy": row["ours"], "joules": spent}]
        lines += [row | {"series": "ANN", "accuracy": ann, "joules": of_ann}]
        lines += [row | point | {"_ann_joules": of_ann} for point in _ends(runs, preset)]
    if not lines:
        return of_cells(cells, preset).assign(panel="", series="", accuracy=math.nan, joules=math.nan)
    return pd.DataFrame(lines).drop_duplicates(["panel", "series", "accuracy", "joules"])


def _ends(runs: list[Run], preset: Preset) -> list[dict]:
    """The converted network behind these runs at the end of its curve, for each scale."""
    behind = [run for run in (converted_of(as_snn(run), preset) for run in runs) if run is not None]
    if len(behind) < len(runs):
        return []
    found = [metrics_of(run, preset) for run in behind]
    on_same = {IMAGES: found[0]["curve_images"], "_ann": statistics.mean(one["curve_ann_accuracy"] for one in found)}
    return [
        {
            "series": LONG,
            "accuracy": statistics.mean(curve["final"] for curve in same),
            "joules": statistics.mean(
                snn_joules(curve["operations"], behind[0].encoder, max(map(int, curve["accuracy"])), preset.energy)
                for curve in same
            ),
        }
        | on_same
        for same in zip(*(one["curves"] for one in found), strict=True)
    ]


def draw(tidy: pd.DataFrame) -> Drawing:
    """A panel for each network; open squares are the ANN on the images of the converted network's curve."""
    panels = list(dict.fromkeys(tidy["panel"]))
    others = tidy[~tidy["series"].isin(["ANN", LONG])]
    looks = {"ANN": style.look_of("ann")} | style.looks_of(zip(others["series"], others["method"], strict=True))
    drawing, titled = style.panels(panels, head=0.8)
    for axes, panel in titled:
        points = tidy[tidy["panel"] == panel].assign(microjoules=lambda lines: lines["joules"] * 1e6)
        marks(axes, points, "microjoules", "accuracy", looks, tidy["n"].max())
        long = points[points["series"] == LONG]
        for images, part in long.groupby(IMAGES):
            names = (f"ANN, first {images:g} images", f"converted, end of its curve, first {images:g} images")
            analog, converted = (replace(style.look_of(method), open=True) for method in ("ann", "conversion"))
            part = part.assign(ann_microjoules=part["_ann_joules"] * 1e6)
            same = part.assign(series=names[0]).drop_duplicates("_ann")
            marks(axes, same, "ann_microjoules", "_ann", {names[0]: analog})
            marks(axes, part.assign(series=names[1]), "microjoules", "accuracy", {names[1]: converted})
        axes.set(xscale="log", xlabel="µJ per image")
        axes.margins(x=0.12, y=0.12)
    style.legend(drawing, columns=3)
    return drawing


EXHIBITS = {
    "table_s2": Table(
        "Table S2: spikes and energy of one image",
        cells,
        "data student method encoding steps accuracy network_spikes layers_added batch_added paper_spikes "
        "spikes_per_image synops joules ann_joules energy_ratio",
        ran_only=True,
        lines=_spent,
        told=_told,
        main=False,
        sections=("scope", "energy"),
    ),
    "figure_energy": Figure(
        "Energy and accuracy",
        cells,
        draw,
        lines=_points,
        told=lambda tidy, preset: [
            f"Energy of one image from counted operations: {preset.energy.ac_pj:g} pJ for a synaptic operation, "
            f"{preset.energy.mac_pj:g} pJ for a multiply-add (customary values at 45 nm). {LEFT_OUT}",
            "Open: the converted network at the end of its curve, at each s, on the first images that the curve was "
            "drawn on, and its ANN on the same; compare these with one another alone.",
        ],
        ours="Ours: mean over n seeds",
        converted=True,
        sections=("scope", "energy"),
    ),
}
