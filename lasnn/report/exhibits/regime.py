"""The regime map (ours): LaSNN and label KD less hybrid training, over how far hybrid training overfits.

Each corner is a size of the student and a number of training images (`scope.corners`), direct input at T = 8.
"""

from __future__ import annotations

import statistics
from dataclasses import replace

import numpy as np

from lasnn.plan.cells import CHOSEN, REGIME_STEPS, Cell, conversion_in, pairs_in, regime_cells, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import AnnRun, Run
from lasnn.report import style
from lasnn.report.columns import FOLDS, METHOD_TITLES
from lasnn.report.exhibit import Figure
from lasnn.report.finished import metrics_of
from lasnn.report.frame import of_cells
from lasnn.report.late import Drawing, pd
from lasnn.report.paired import estimated, same_seeds
from lasnn.report.statistics import holm
from lasnn.report.templates import dot

RIVALS = {
    "kd_label": (METHOD_TITLES["kd_label"], style.look_of("kd_label")),
    "lasnn_act": ("LaSNN, printed weight", style.look_of("lasnn_act")),
    CHOSEN: ("LaSNN, chosen weight", style.Look(style.look_of("lasnn_act").color, "D")),
}


def _lines(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    """A line for each corner and rival of hybrid training."""
    lines = [
        _line(corner, name, rival, runs, preset)
        for corner in preset.scope.corners
        for name, (hybrid, rival) in pairs_in(preset, corner).items()
        if (runs := same_seeds(runs_of(hybrid, preset), runs_of(rival, preset)))
    ]
    table = of_cells(cells, preset)
    if not lines:
        return table.assign(rival="", gap=np.nan, difference=np.nan)
    tidy = pd.DataFrame(lines)
    tidy["p_holm"] = holm(tidy["p"])
    tidy["decided"] = tidy["p_holm"] < preset.claims.alpha
    context = ["n", "ran_dataset", "train_images", "test_images", "assessed", "subset", "warnings"]
    context += ["teacher_weaker", "quoted", "revision", "runs", "variant", "student"]
    return tidy.merge(table[["method", *context]], on=["method", "variant"], how="left")


def _line(corner: str, name: str, cell: Cell, pairs: list[tuple[Run, Run]], preset: Preset) -> dict[str, object]:
    hybrid = [metrics_of(run, preset) for run, _ in pairs]
    other = [metrics_of(run, preset) for _, run in pairs]
    sure = estimated(pairs, preset)
    gaps = [one["train_accuracy"] - one["accuracy"] for one in hybrid]
    converted = [metrics_of(run, preset)["accuracy"] for run in runs_of(conversion_in(preset, corner), preset)]
    ann = next(parent for parent in preset.ancestors([pairs[0][0]]) if isinstance(parent, AnnRun))
    shares = [max(one["attention_share"].values()) for one in other if one.get("attention_share")]
    return {
        "corner": corner,
        "rival": name,
        "method": cell.method,
        "variant": cell.variant,
        "weights": int(metrics_of(ann, preset)["sizes"]["weights"]),
        "images": hybrid[0]["data"]["train_images"],
        "gap": statistics.mean(gaps),
        "gap_se": statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else None,
        "difference": sure["difference"],
        "se": sure["se"],
        "p": sure["p"],
        "_low": sure["low"],
        "_high": sure["high"],
        "hybrid": statistics.mean(one["accuracy"] for one in hybrid),
        "ours": statistics.mean(one["accuracy"] for one in other),
        "conversion": FOLDS["mean"](converted),
        "ann": statistics.mean(one["ann_accuracy"] for one in hybrid),
        "teacher": FOLDS["mean"]([one.get("teacher_accuracy") for one in other]),
        "share": FOLDS["mean"](shares),
    }


def draw(tidy: pd.DataFrame) -> Drawing:
    """A panel for each corner, sizes below one another, numbers of images side by side; a row for each rival."""
    ran = tidy[tidy["difference"].notna()]
    if ran.empty:
        return style.nothing()
    sizes, counts = sorted(set(ran["weights"])), sorted(set(ran["images"]))
    height = 0.9 + 1.05 * len(sizes)
    drawing, grid = style.sheet(len(sizes), len(counts), height=height, sharex=True, sharey=True)
    for size, panels in zip(sizes, grid, strict=True):
        for images, axes in zip(counts, panels, strict=True):
            corner = ran[(ran["weights"] == size) & (ran["images"] == images)]
            title = f"{images / 1000:g}k images, {size / 1e6:.2g} M weights"
            gaps = " to ".join(f"{gap:.0f}" for gap in dict.fromkeys(corner["gap"].round().sort_values()))
            axes.set_title(f"{title}\nhybrid training overfits by {gaps}" if gaps else title, fontsize=7)
            for line in corner.assign(ours=corner["difference"], sd=None).to_dict("records"):
                name, look = RIVALS[line["rival"]]
                look = look if line["decided"] else replace(look, open=True)
                dot(axes, list(RIVALS).index(line["rival"]), line | {"series": name}, look, "+.1f")
            axes.axvline(0, color="black", linewidth=0.8)
            axes.grid(visible=False, axis="y")
    grid[0][0].set_yticks(range(len(RIVALS)), [name for name, _ in RIVALS.values()])
    grid[0][0].set_ylim(len(RIVALS) - 0.5, -0.8)
    for axes in grid[-1]:
        axes.set_xlabel("less hybrid training, points")
    return drawing


EXHIBITS = {
    "figure_regime": Figure(
        "When layer-wise distillation helps: differences to hybrid training over overfitting",
        regime_cells,
        draw,
        lines=_lines,
        told=lambda tidy, preset: [
            f"VGG5, direct input, T = {REGIME_STEPS}. Overfits by: hybrid training's accuracy on training images less "
            "that on test images, in points, mean over seeds (two where rivals are compared with two settings of it). "
            f"Intervals over seeds and test images, as in the table of claims. Filled: with {preset.claims.seeds} "
            f"seeds or more, p below {preset.claims.alpha:g} after Holm's correction over such points. Chosen: each "
            "method with what held-out images chose for the corner, or for another in its place (`scope.corners`).",
        ],
        ours="Ours: mean over n seeds (in brackets), whiskers the 95 % interval of the difference; none with one seed",
        predictions=("snn",),
        sections=("scope", "claims"),
    )
}
