"""Accuracy over T (ours): converted networks to the end of their curves, trained ones up to the T they trained for."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from lasnn.plan.cells import Cell, elsewhere, encoder_of, paper_cells, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, SnnRun, as_snn
from lasnn.plan.vocabulary import METHODS
from lasnn.report import rows, style
from lasnn.report.curves import converted_behind, converted_of, curves
from lasnn.report.exhibit import Figure, remarks
from lasnn.report.exhibits import table_s1
from lasnn.report.labels import METHOD_TITLES
from lasnn.report.late import pd
from lasnn.report.style import PRINTED, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

COLUMNS = 3
FULL_SIZE = "printed in the paper, at full size"
SCALE_LOOKS = (Look("#949494", ""), Look("#303030", "", dashes=(4, 1.5)), Look("#ca9161", "", dashes=(1, 1)))
CONTEXT = (
    "n",
    "variant",
    "teacher_weaker",
    "warnings",
    "quoted",
    "revision",
    "runs",
    "ran_dataset",
    "train_images",
    "test_images",
    "assessed",
    "subset",
)


INPUTS = {"poisson": "Poisson", "direct": "direct"}
DIRECT_STEPS = ("50", "30")  # the paper names both T and not which network has which


def cells(preset: Preset) -> list[Cell]:
    """Every trained method of Table S1, and LaSNN with direct input for the students of Figure 6."""
    direct = [cell for cell in paper_cells("Fig 6") if cell.encoding == "direct" and cell.metric == "top1"]
    return [
        *(cell for cell in table_s1.cells(preset) if METHODS[cell.method].trained),
        *(replace(cell, exhibit="over T", timesteps=steps) for cell in direct for steps in DIRECT_STEPS),
    ]


class Steps(Figure):
    """Reads the curves of converted networks beside the accuracy at every step of trained ones."""

    def runs(self, preset: Preset) -> list[Run]:
        runs = super().runs(preset)
        return [*converted_behind(runs, preset), *runs]

    def tidy(self, preset: Preset) -> pd.DataFrame:
        """A line for each panel, series and T; several seeds are averaged."""
        table = rows.table(self.cells(preset), preset)
        lines = []
        for cell, row in zip(self.cells(preset), table.to_dict("records"), strict=True):
            context = {key: row[key] for key in CONTEXT} | {"paper": None}
            panel = f"{cell.student}, {row['ran_dataset']}, {INPUTS[encoder_of(cell, preset)]} input"
            for run in runs_of(cell, preset):
                for series, steps, accuracy in _points(as_snn(run), preset):
                    lines.append({"panel": panel, "series": series, "steps": steps, "accuracy": accuracy} | context)
            if row["n"] and elsewhere(cell) is not None:
                printed = {"series": _title(as_snn(runs_of(cell, preset)[0])), "steps": int(cell.timesteps)}
                lines.append(context | {"panel": panel, "accuracy": None, "paper": elsewhere(cell)} | printed)
        if not lines:
            return table.assign(panel="", series="", steps=0, accuracy=math.nan, paper=math.nan)
        keys = ["panel", "series", "steps"]
        return (
            pd.DataFrame(lines)
            .astype({"accuracy": float, "paper": float})
            .groupby(keys, sort=False, as_index=False)
            .agg({"accuracy": "mean", "paper": "first"} | dict.fromkeys(CONTEXT, "first"))
        )

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        if (tidy["steps"] == 0).all():
            return remarks(tidy, preset)
        shown = {rows.metrics_of(run, preset)["curve_images"] for run in self.runs(preset) if run.kind == "converted"}
        return [
            *remarks(tidy, preset),
            "Trained networks: all test images, first encoder seed, read out after each step up "
            f"to the T of their training. Converted ones: the first {', '.join(map(str, sorted(shown)))} test images, "
            "leak 1, s scales the balanced thresholds; the dotted line is their ANN on the same images. Crosses, in "
            "the colour of their method: what the paper prints for full-size networks trained with that T on all "
            "images (Tables II and IV, Figure 6; for direct input one accuracy, with T = 30 or 50).",
        ]


def _title(run: SnnRun) -> str:
    """What a trained network's line is called."""
    return METHOD_TITLES[run.method] + (f" (T = {run.steps})" if run.encoder == "direct" else "")


def _points(run: SnnRun, preset: Preset) -> list[tuple[str, int, float]]:
    """Series, T and accuracy: of the run itself, and of the converted network behind it."""
    own = rows.metrics_of(run, preset)["accuracy_by_step"]
    points = [(_title(run), step, accuracy) for step, accuracy in enumerate(own, 1)]
    if converted := converted_of(run, preset):
        for scale, curve in curves(converted, preset).items():
            points += [(f"converted, s = {scale:g}", step, accuracy) for step, accuracy in curve.items()]
        analog = rows.metrics_of(converted, preset)["curve_ann_accuracy"]
        points += [("ANN", step, analog) for step in (1, max(curve))]
    return points


def draw(tidy: pd.DataFrame) -> Drawing:
    """A panel for each network, T on a logarithmic axis."""
    panels = list(dict.fromkeys(tidy.loc[tidy["steps"] > 0, "panel"]))
    if not panels:
        return style.nothing()
    titles = {title: style.look_of(name) for name, title in METHOD_TITLES.items()}
    scales = sorted({name for name in tidy["series"] if name.startswith("converted")}, reverse=True)
    direct = sorted({name for name in tidy["series"] if " (T = " in name}, key=lambda name: -int(name.split()[-1][:-1]))
    titles |= dict(zip(direct, (style.look_of("lasnn_act"), style.ENCODER_STYLE["direct"]), strict=False))
    looks = {"ANN": titles["ANN"]} | dict(zip(scales, SCALE_LOOKS, strict=False)) | titles
    drawing, titled, first = style.panels(panels, COLUMNS, row_height=2.0, head=0.6, sharey=True)
    for axes, panel in titled:
        _panel(axes, tidy[tidy["panel"] == panel], looks)
    top = 10 * math.ceil(max(tidy["accuracy"].max(), tidy["paper"].max()) / 10 - 1e-9)
    for axes in first:
        axes.set(ylabel="accuracy, %", ylim=(0, top + 3), yticks=range(0, top + 1, 20))
    style.legend(drawing, columns=4)
    return drawing


def _panel(axes: Axes, lines: pd.DataFrame, looks: dict[str, Look]) -> None:
    for series in [name for name in looks if name in set(lines["series"])]:
        points, words = lines[lines["series"] == series].sort_values("steps"), looks[series].line
        own, printed = points.dropna(subset=["accuracy"]), points.dropna(subset=["paper"])
        if series == "ANN":
            words |= {"marker": ""}
        else:  # a mark at every doubling of T, and at the end
            marked = {2**power for power in range(12)} | {own["steps"].max()}
            words |= {"markevery": [index for index, step in enumerate(own["steps"]) if step in marked]}
        axes.plot(own["steps"], own["accuracy"], label=series, **words)
        if not printed.empty:
            axes.scatter(printed["steps"], printed["paper"], **PRINTED | {"color": looks[series].color})
    if lines["paper"].notna().any():
        axes.scatter([], [], label=FULL_SIZE, **PRINTED)
    axes.set(xscale="log", xlabel="T")
    ticks = [power for power in (1, 10, 100, 1000) if power <= lines["steps"].max()]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])


EXHIBIT = Steps("Accuracy over T", cells, draw)
