"""Controls and knobs as a figure (ours): the numbers of Table S4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE
from lasnn.report import style
from lasnn.report.exhibit import Figure
from lasnn.report.exhibits.table_s4 import cells, compared
from lasnn.report.labels import METHOD_TITLES
from lasnn.report.late import pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


class Knobs(Figure):
    """Says below what each variant changes."""

    def tidy(self, preset: Preset) -> pd.DataFrame:
        return compared(super().tidy(preset), preset)

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        changes = tidy[tidy["variant"] != BASE].drop_duplicates("variant")
        words = "; ".join(
            f"{name}: {change}" for name, change in zip(changes["variant"], changes["changes"], strict=True)
        )
        return [
            *super().notes(tidy, preset),
            "Broken line: the base run of the method, over all of its seeds. A bar without a whisker is of one seed, "
            "so no pair of that line: Table S4 has the difference to the base run of the same seed.",
            f"Variants: {words}.",
        ]


def draw(tidy: pd.DataFrame) -> Drawing:
    """A horizontal bar for each run, methods one below the other, each with its base run first."""
    ran = tidy[tidy["n"] > 0]
    ran = tidy if ran.empty else ran
    methods = list(dict.fromkeys(ran["method"]))
    counts = [int((ran["method"] == method).sum()) for method in methods]
    drawing, panels = style.sheet(
        len(methods), 1, height=0.7 + 0.17 * sum(counts) + 0.2 * len(methods), sharex=True, height_ratios=counts
    )
    for (axes,), method in zip(panels, methods, strict=True):
        lines = ran[ran["method"] == method]
        spread = lines["sd"].astype(float).fillna(0)
        words = style.look_of(method).bar | {"error_kw": {"elinewidth": 0.8}}
        axes.barh(lines["variant"], lines["ours"].astype(float), 0.8, xerr=spread, label=METHOD_TITLES[method], **words)
        for place, (value, sd) in enumerate(zip(lines["ours"], spread, strict=True)):
            if pd.notna(value):
                text = f"{value:.1f}"
                box = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}
                where: dict[str, Any] = {"xy": (value + sd, place), "xytext": (3, 0), "textcoords": "offset points"}
                axes.annotate(text, **where, va="center", fontsize=6, bbox=box)
        base = lines.loc[lines["variant"] == BASE, "ours"]
        if base.notna().any():
            axes.axvline(base.iloc[0], color="black", linewidth=0.8, linestyle="--")
        axes.set_ylim(len(lines) - 0.4, -0.6)  # the first at the top
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", labelsize=7, pad=0)
    ends = ran["ours"].astype(float) - ran["sd"].astype(float).fillna(0)
    low = style.lowest(ends.min()) if ends.notna().any() else 0
    room = 0.12 * ((ran["ours"].astype(float) + ran["sd"].astype(float).fillna(0)).max() - low)
    panels[-1][0].set(xlabel=style.accuracy_label(low))
    panels[-1][0].locator_params(axis="x", integer=True, steps=[1, 2, 5, 10])
    panels[-1][0].set_xlim(low, panels[-1][0].dataLim.x1 + room if ends.notna().any() else 100)
    style.legend(drawing)
    return drawing


EXHIBIT = Knobs("Controls and knobs, each beside its base run", cells, draw)
