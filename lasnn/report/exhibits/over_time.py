"""Accuracy over T (ours): a figure of converted and trained networks, and the steps that conversion needs (S3)."""

from __future__ import annotations

import math
from dataclasses import replace

from lasnn.plan.cells import DIRECT_STEPS, Cell, elsewhere, encoder_of, paper_cells
from lasnn.plan.config import Preset
from lasnn.plan.runs import SnnRun, as_snn
from lasnn.plan.vocabulary import METHODS, given
from lasnn.report import style
from lasnn.report.columns import METHOD_TITLES, numbers
from lasnn.report.exhibit import Figure, Table
from lasnn.report.exhibits.tables import every_method
from lasnn.report.finished import accuracy_on_first, converted_of, curves, metrics_of
from lasnn.report.frame import IMAGES, Line, each, of_cells
from lasnn.report.late import Axes, Drawing, pd
from lasnn.report.speedup import relative_spread, speed_up, steps_needed
from lasnn.report.style import PRINTED, Look

GAPS = (1, 2)  # points below the ANN
FULL_SIZE = "printed in the paper, at full size"
INPUTS = {"poisson": "Poisson", "direct": "direct"}
CURVE_DASHES = ((), (4, 1.5), (1, 1))
CONTEXT = "n variant teacher_weaker warnings quoted revision runs ran_dataset train_images test_images assessed subset"


def _needed(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    """A line for each network, seed and threshold scale."""
    lines = []
    for _, row, runs in each(cells, preset):
        found = [line for run in runs for line in _of_curves(as_snn(run), preset)]
        lines += [row | line for line in found or [{}]]
    return pd.DataFrame(lines)


def _of_curves(run: SnnRun, preset: Preset) -> list[dict]:
    converted = given(converted_of(run, preset))
    metrics = metrics_of(converted, preset)
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


def _told_of_steps_needed(tidy: pd.DataFrame, preset: Preset) -> list[str]:
    notes = []
    if "curve_images" in tidy:
        images, grid = numbers(tidy["curve_images"].dropna()), numbers(set().union(*tidy["grid"].dropna()))
        notes = [f"ANN, LaSNN and curves on the same first {images} test images, one encoder seed; T* out of {grid}."]
    return [
        *notes,
        "T*: the smallest T from which on the converted network never falls below the ANN minus 1 or 2 points, or "
        "below LaSNN. Speed-up: T* at LaSNN's accuracy, divided by LaSNN's T. The paper says 20 times.",
        "Spread: how much a layer's threshold differs between balancing batches, (max - min) / mean, the largest "
        "layer; `-` with one batch.",
    ]


def cells(preset: Preset) -> list[Cell]:
    """Every trained method of Table S1, and LaSNN with direct input for the students of Figure 6."""
    direct = paper_cells("Fig 6", metric="top1", encoding="direct")
    return [
        *(cell for cell in every_method(preset) if METHODS[cell.method].trained),
        *(replace(cell, exhibit="over T", timesteps=steps) for cell in direct for steps in DIRECT_STEPS),
    ]


def _by_step(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    """A line for each panel, series and T, the mean of its networks: one behind several methods counts once."""
    lines: list[Line] = []
    for cell, row, runs in each(cells, preset):
        context = {key: row[key] for key in CONTEXT.split()} | {"paper": None, IMAGES: None, "_method": cell.method}
        context |= {"panel": f"{cell.student}, {row['ran_dataset']}, {INPUTS[encoder_of(cell, preset)]} input"}
        for run in map(as_snn, runs):
            lines += [context | point for point in _points(run, preset)]
        if row["n"] and elsewhere(cell) is not None:
            printed = {"series": _title(as_snn(runs[0])), "steps": int(cell.timesteps)}
            lines.append(context | {"accuracy": None, "paper": elsewhere(cell)} | printed)
    if not lines:
        return of_cells(cells, preset).assign(panel="", series="", steps=0, accuracy=math.nan, paper=math.nan)
    keys = ["panel", "series", "steps"]
    folds = {"accuracy": "mean", "paper": "first"} | dict.fromkeys([*CONTEXT.split(), IMAGES, "_method"], "first")
    found = pd.DataFrame(lines).astype({"accuracy": float, "paper": float})
    once = found.groupby([*keys, "_run"], sort=False, dropna=False)["n"].idxmax()  # beside the method of most seeds
    return found.loc[once].groupby(keys, sort=False, as_index=False).agg(folds)


def _title(run: SnnRun) -> str:
    """What a trained network's line is called."""
    return METHOD_TITLES[run.method] + (f" (T = {run.steps})" if run.encoder == "direct" else "")


def _points(run: SnnRun, preset: Preset) -> list[dict]:
    """Series, T and accuracy: of the run itself, and of the converted network behind it on the images of its curve."""
    own = metrics_of(run, preset)["accuracy_by_step"]
    head = {"series": _title(run), "_run": str(run)}
    points = [head | {"steps": step, "accuracy": value} for step, value in enumerate(own, 1)]
    if converted := converted_of(run, preset):
        metrics, found = metrics_of(converted, preset), curves(converted, preset)
        on = {IMAGES: metrics["curve_images"], "_run": str(converted)}
        for scale, curve in found.items():
            line = on | {"series": f"converted, s = {scale:g}", "_method": "conversion"}
            points += [line | {"steps": step, "accuracy": accuracy} for step, accuracy in curve.items()]
        line = on | {"series": "ANN", "_method": "ann", "accuracy": metrics["curve_ann_accuracy"]}
        points += [line | {"steps": step} for step in (1, max(curve))]
    return points


def _told(tidy: pd.DataFrame, preset: Preset) -> list[str]:
    if (tidy["steps"] == 0).all():
        return []
    return [
        "Trained networks: all test images, first encoder seed, read out after each step up "
        f"to the T of their training. Converted ones: the first {numbers(tidy[IMAGES].dropna())} test images, "
        "leak 1, s scales the balanced thresholds; the dotted line is their ANN on the same images. Crosses, in "
        "the colour of their method: what the paper prints for full-size networks trained with that T on all "
        "images (Tables II and IV, Figure 6; for direct input one accuracy, with T = 30 or 50).",
    ]


def draw(tidy: pd.DataFrame) -> Drawing:
    """A panel for each network, T on a logarithmic axis."""
    panels = list(dict.fromkeys(tidy["panel"]))
    kinds = tidy.drop_duplicates("series").set_index("series")["_method"]
    of_curves = sorted((name for name in kinds.index if name.startswith("converted")), reverse=True)
    looks = {"ANN": replace(style.look_of("ann"), marker="")}
    grey = style.look_of("conversion").color
    looks |= {name: Look(grey, "", dashes) for name, dashes in zip(of_curves, CURVE_DASHES, strict=False)}
    looks |= style.looks_of((name, kinds[name]) for name in kinds.index if name != "ANN" and name not in of_curves)
    seeds = tidy.groupby("panel")["n"].agg(numbers)
    titles = ["\n".join(panel.rsplit(", ", 1)) + f", n = {seeds[panel]}" for panel in panels]
    drawing, titled = style.panels(titles, head=0.7, sharey=True)
    for (axes, _), panel in zip(titled, panels, strict=True):
        _panel(axes, tidy[tidy["panel"] == panel], looks)
    top = 10 * math.ceil(max(tidy["accuracy"].max(), tidy["paper"].max()) / 10 - 1e-9)
    titled[0][0].set(ylim=(0, top + 3), yticks=range(0, top + 1, 20))
    style.legend(drawing, columns=3)
    return drawing


def _panel(axes: Axes, lines: pd.DataFrame, looks: dict[str, Look]) -> None:
    for series in [name for name in looks if name in set(lines["series"])]:
        points, words = lines[lines["series"] == series].sort_values("steps"), looks[series].line
        own, printed = points.dropna(subset=["accuracy"]), points.dropna(subset=["paper"])
        marked = {2**power for power in range(12)} | {own["steps"].max()}  # every doubling of T, and the end
        places = [index for index, step in enumerate(own["steps"]) if step in marked]
        images = "" if own[IMAGES].isna().all() else f" ({own[IMAGES].iloc[0]:g} images)"
        label = series + images
        axes.plot(own["steps"], own["accuracy"], label=label, **words, markevery=places)
        if not printed.empty:
            axes.scatter(printed["steps"], printed["paper"], **PRINTED | {"color": looks[series].color})
    if lines["paper"].notna().any():
        axes.scatter([], [], label=FULL_SIZE, **PRINTED)
    axes.set(xscale="log", xlabel="T")
    ticks = [power for power in (1, 10, 100, 1000) if power <= lines["steps"].max()]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])


EXHIBITS = {
    "table_s3": Table(
        "Table S3: steps that conversion needs, and LaSNN's speed-up",
        lambda preset: paper_cells("Table II", method="lasnn_act"),
        "data student seed curve_scale curve_ann t_star_1 t_star_2 curve_lasnn lasnn_steps t_star_lasnn speed_up "
        "spread",
        ran_only=True,
        lines=_needed,
        told=_told_of_steps_needed,
        converted=True,
        predictions=("ann", "snn"),
    ),
    "figure_steps": Figure(
        "Accuracy over T",
        cells,
        draw,
        lines=_by_step,
        told=_told,
        ours="Ours: mean over n seeds",
        converted=True,
    ),
}
