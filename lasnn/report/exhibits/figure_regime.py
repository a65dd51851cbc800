"""The regime map (ours): LaSNN and label KD less hybrid training, over how far hybrid training overfits.

Each corner is a size of the student and a number of training images (`scope.corners`), direct input at T = 8.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

from lasnn.plan.cells import CHOSEN, REGIME_STEPS, Cell, conversion_in, pairs_in, regime_cells, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import AnnRun, Run
from lasnn.report import rows, style
from lasnn.report.crossed import crossed, p_either_way
from lasnn.report.exhibit import Figure
from lasnn.report.labels import METHOD_TITLES
from lasnn.report.late import pd
from lasnn.report.paired import percent_right, same_seeds
from lasnn.report.statistics import holm
from lasnn.report.style import Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


class Regime(Figure):
    """A line for each corner and rival of hybrid training."""

    ours = "Ours: mean over n seeds, whiskers one standard error to either side"

    def files(self, preset: Preset) -> list[str]:
        return [*super().files(preset), *(f"{preset.folder(run)}/predictions.npz" for run in self.runs(preset))]

    def tidy(self, preset: Preset) -> pd.DataFrame:
        lines = [
            _line(corner, name, rival, runs, preset)
            for corner in preset.scope.corners
            for name, (hybrid, rival) in pairs_in(preset, corner).items()
            if (runs := same_seeds(runs_of(hybrid, preset), runs_of(rival, preset)))
        ]
        table = rows.table(self.cells(preset), preset)
        if not lines:
            return table.assign(rival="", gap=np.nan, difference=np.nan)
        tidy = pd.DataFrame(lines)
        tidy["p"] = tidy["p"].astype(float)
        tidy["p_holm"] = pd.Series(holm([None if pd.isna(p) else p for p in tidy["p"]]), tidy.index).astype(float)
        tidy["decided"] = tidy["p_holm"] < preset.claims.alpha
        context = ["n", "ran_dataset", "train_images", "test_images", "assessed", "subset", "warnings"]
        context += ["teacher_weaker", "quoted", "revision", "runs", "variant", "student"]
        return tidy.merge(table[["method", *context]], on=["method", "variant"], how="left")

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        return [
            *super().notes(tidy, preset),
            f"VGG5, direct input, T = {REGIME_STEPS}. Gap: hybrid training's accuracy on training images less that on "
            "test images. Whiskers: its standard error over seeds, and that of the difference over seeds and test "
            f"images, as in the table of claims; none with one seed. Filled: with {preset.claims.seeds} seeds or more, "
            f"p below {preset.claims.alpha:g} after Holm's correction over all such points. Chosen: each method with "
            "what held-out images chose for the corner, or for another in its place (`scope.corners`).",
        ]


def _line(corner: str, name: str, cell: Cell, pairs: list[tuple[Run, Run]], preset: Preset) -> dict[str, object]:
    hybrid = [rows.metrics_of(run, preset) for run, _ in pairs]
    other = [rows.metrics_of(run, preset) for _, run in pairs]
    base, rival = percent_right(pairs, preset)
    gaps = [one["train_accuracy"] - one["accuracy"] for one in hybrid]
    converted = runs_of(conversion_in(preset, corner), preset)
    return {
        "corner": corner,
        "rival": name,
        "method": cell.method,
        "variant": cell.variant,
        "weights": _weights(pairs[0][0], preset),
        "images": hybrid[0]["data"]["train_images"],
        "gap": statistics.mean(gaps),
        "gap_se": _error(gaps),
        "difference": float((rival - base).mean()),
        **_sure(rival - base, preset),
        "hybrid": statistics.mean(one["accuracy"] for one in hybrid),
        "ours": statistics.mean(one["accuracy"] for one in other),
        "conversion": _mean([rows.metrics_of(run, preset)["accuracy"] for run in converted]),
        "ann": statistics.mean(one["ann_accuracy"] for one in hybrid),
        "teacher": _mean([one.get("teacher_accuracy") for one in other]),
        "share": _share(other),
    }


def _sure(d: np.ndarray, preset: Preset) -> dict[str, float | None]:
    """Standard error of the mean of d [S, N] over seeds and images, and p with seeds enough for a verdict."""
    if len(d) < 2:
        return {"se": None, "p": None}
    found = crossed([d])
    return {"se": found.se, "p": p_either_way(found) if found.seeds >= preset.claims.seeds else None}


def _weights(run: Run, preset: Preset) -> int:
    ann = next(parent for parent in preset.ancestors([run]) if isinstance(parent, AnnRun))
    return int(rows.metrics_of(ann, preset)["sizes"]["weights"])


def _share(found: list[dict]) -> float | None:
    """The attention loss's share of the gradient at the start, largest level, mean over seeds."""
    shares = [max(one["attention_share"].values()) for one in found if one.get("attention_share")]
    return statistics.mean(shares) if shares else None


def _mean(values: list[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return statistics.mean(found) if found else None


def _error(values: list[float]) -> float | None:
    """The standard error of a mean over seeds."""
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None


LOOKS = {
    "kd_label": style.look_of("kd_label"),
    "lasnn_act": style.look_of("lasnn_act"),
    CHOSEN: Look("#029e73", "D"),
}
TITLES = {name: METHOD_TITLES.get(name, name) for name in LOOKS} | {
    "lasnn_act": "LaSNN, printed weight",
    CHOSEN: "LaSNN, chosen weight",
}


def draw(tidy: pd.DataFrame) -> Drawing:
    """One panel: a mark for each corner and rival."""
    ran = tidy[tidy["difference"].notna()]
    if ran.empty:
        return style.nothing()
    drawing, ((axes,),) = style.sheet(height=3.4)
    for name, look in LOOKS.items():
        lines = ran[ran["rival"] == name].sort_values("gap")
        if lines.empty:
            continue
        spread: dict[str, Any] = {"xerr": lines["gap_se"].astype(float), "yerr": lines["se"].astype(float)}
        plain: dict[str, Any] = {"color": look.color, "linestyle": "", "elinewidth": 0.8, "capsize": 2}
        axes.errorbar(lines["gap"], lines["difference"], **spread, **plain)
        sure = lines["decided"]
        marks: dict[str, Any] = {"color": look.color, "marker": look.marker, "linestyle": "", "markersize": 6}
        axes.plot(lines["gap"][sure], lines["difference"][sure], label=TITLES[name], **marks)
        hollow = marks | {"markerfacecolor": "white"}
        if not sure.any():
            hollow |= {"label": TITLES[name]}
        axes.plot(lines["gap"][~sure], lines["difference"][~sure], **hollow)
    axes.axhline(0, color="black", linewidth=0.8)
    for _, points in ran.groupby("corner", sort=False):
        points = points.sort_values("difference")
        axes.plot(points["gap"], points["difference"], color="0.8", linewidth=0.8, zorder=0)  # what belongs together
        named = points[points["rival"] == "lasnn_act"] if "lasnn_act" in set(points["rival"]) else points
        one = named.iloc[0]
        axes.annotate(
            f"{one['images'] / 1000:g}k images\n{one['weights'] / 1e6:.2g} M weights",
            (one["gap"], one["difference"] - (0 if pd.isna(one["se"]) else one["se"])),
            xytext=(0, -7),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=6,
        )
    axes.margins(x=0.12, y=0.25)
    axes.set(xlabel="hybrid training: training less test accuracy, points", ylabel="to hybrid training, points")
    style.legend(drawing, columns=3)
    return drawing


EXHIBIT = Regime(
    "When layer-wise distillation helps: differences to hybrid training over overfitting",
    regime_cells,
    draw,
    sections=("scope", "claims"),
)
