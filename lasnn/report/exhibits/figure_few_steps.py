"""Accuracy and spikes at T = 2, 4 and 8 (ours): the numbers of Table S8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lasnn.plan.config import Preset
from lasnn.plan.runs import AND, BASE
from lasnn.report import style
from lasnn.report.context import with_context
from lasnn.report.exhibit import Figure
from lasnn.report.exhibits.table_s8 import STEPS, cells
from lasnn.report.labels import METHOD_TITLES
from lasnn.report.late import pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


class FewStepsFigure(Figure):
    """A series for each method and recipe."""

    def tidy(self, preset: Preset) -> pd.DataFrame:
        tidy = with_context(super().tidy(preset), preset)
        several = tidy.groupby("method")["variant"].nunique() > 1  # recipes: the method's name is no name for one
        tidy["series"] = [
            METHOD_TITLES[method] + (f" ({in_words(variant)})" if several[method] and variant != BASE else "")
            for method, variant in zip(tidy["method"], tidy["variant"], strict=True)
        ]
        return tidy

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        told = [*recipes(tidy), "Dotted: the intermediate ANN. Spikes: for each neuron and image."]
        return [*super().notes(tidy, preset), *told]

    def below(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        return [*super().below(tidy, preset), *recipes(tidy)]


def recipes(tidy: pd.DataFrame) -> list[str]:
    """What the methods are trained with, as a sentence; none where no recipe is shown."""
    found = dict.fromkeys(in_words(variant) for variant in tidy["variant"] if variant != BASE)
    return [f"Trained with: {'; '.join(found)}."] if found else []


def in_words(variant: str) -> str:
    """The options of a recipe, in a line."""
    return variant.replace(AND, ", ")


def draw(tidy: pd.DataFrame) -> Drawing:
    """Accuracy on the left, spikes on the right, T as places of equal distance."""
    spiking = tidy[(tidy["n"] > 0) & (tidy["timesteps"] != "")]
    if spiking.empty:
        return style.nothing()
    drawing, ((left, right),) = style.sheet(1, 2, height=3.0)
    names = list(dict.fromkeys(spiking["series"]))
    methods = dict(zip(spiking["series"], spiking["method"], strict=True))
    looks = {name: style.look_of(methods[name]) for name in names if name == METHOD_TITLES[methods[name]]}
    others = [name for name in names if name not in looks]
    looks |= dict(zip(others, style.SERIES * (1 + len(others) // len(style.SERIES)), strict=False))
    for name in names:
        _series(left, spiking[spiking["series"] == name], "ours", looks[name].line | {"label": name})
        _series(right, spiking[spiking["series"] == name], "spikes", looks[name].line)
    for value in tidy.loc[tidy["method"] == "ann", "ours"].dropna():
        left.axhline(value, label="ANN", **(style.look_of("ann").line | {"marker": ""}))
    left.set_ylabel("accuracy, %")
    right.set(ylabel="spikes per neuron", ylim=(0, None))
    for axes in (left, right):
        axes.set_xticks(range(len(STEPS)), STEPS)
        axes.set(xlabel="T", xlim=(-0.25, len(STEPS) - 0.75))
    style.legend(drawing, columns=3)
    return drawing


def _series(axes: Axes, lines: pd.DataFrame, column: str, words: dict[str, Any]) -> None:
    places = [STEPS.index(step) for step in lines["timesteps"]]
    spread = lines["sd"].astype(float).fillna(0) if column == "ours" else None
    axes.errorbar(places, lines[column].astype(float), yerr=spread, capsize=2, elinewidth=0.8, **words)


EXHIBIT = FewStepsFigure("Accuracy and spikes at T = 2, 4 and 8, direct input", cells, draw)
