"""The common look of all figures: one colour, marker and line for each method, one page width, remarks below.

Colours are seaborn's `colorblind` palette, its yellow darker. Each method's marker and dashes differ as well, so that a
figure reads in greyscale. Nothing here loads matplotlib before a figure is drawn.
"""

import math
import os
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lasnn.report.late import Axes, Drawing

WIDTH = 7.0  # inches: the text width of a two-column page
REMARK_SIZE, REMARK_LETTERS = 6.5, 134  # points, and letters of that size in a line of WIDTH


@dataclass(frozen=True)
class Look:
    """How one series is drawn, wherever it is drawn: `open` marks are white inside."""

    color: str
    marker: str = "o"
    dashes: tuple[float, ...] = ()
    open: bool = False

    @property
    def mark(self) -> dict[str, Any]:
        """Keywords of `Axes.plot` for marks alone."""
        face = "white" if self.open else self.color
        return {"color": self.color, "marker": self.marker, "markerfacecolor": face, "linestyle": ""}

    @property
    def line(self) -> dict[str, Any]:
        """Keywords of `Axes.plot`."""
        dashes: dict[str, Any] = {"dashes": self.dashes} if self.dashes else {}
        return self.mark | {"linestyle": "-", "markersize": 3.5, "linewidth": 1.2} | dashes


METHOD_STYLE = {
    "ann": Look("#303030", "s", (1, 1)),
    "ann_teacher": Look("#ca9161", "D", (4, 1, 1, 1)),
    "conversion": Look("#949494", "v"),
    "calibration": Look("#b8a800", "P", (5, 2)),
    "hybrid": Look("#56b4e9", "^", (4, 1.5)),
    "kd_label": Look("#de8f05", "s", (2, 1)),
    "kd_features": Look("#cc78bc", ">", (3, 1)),
    "kd_blurred": Look("#6a3d9a", "<", (7, 2)),
    "kd_aligned": Look("#029e73", "h", (3, 2, 1, 2)),
    "kd_head": Look("#8c613c", "p", (1, 3)),
    "kd_saliency": Look("#b40426", "*", (5, 1, 1, 1)),
    "kd_spike": Look("#fbafe4", "X", (1, 2)),
    "lasnn_act": Look("#0173b2", "o"),
    "lasnn_grad": Look("#d55e00", "D", (6, 1, 1, 1)),
}
OTHER = Look("#000000", "*", (1, 3))  # a method that has no look of its own yet
OPEN = (("", ()), ("d", (4, 1.5)), ("p", (1, 1)), ("h", (6, 1, 1, 1)), ("<", (3, 3)))  # marker and dashes of variations
PRINTED_LABEL = "printed in the paper"
FULL_SIZE = f"{PRINTED_LABEL}, at its full size"  # beside a run of another size
PRINTED: dict[str, Any] = {"marker": "x", "color": "black", "s": 20, "linewidths": 1.2, "zorder": 4}


def look_of(method: str, variation: int = 0) -> Look:
    """The look of a method; of its variations (another start, T, input, recipe) the same colour with open marks."""
    look = METHOD_STYLE.get(method, OTHER)
    if not variation:
        return look
    marker, dashes = OPEN[(variation - 1) % len(OPEN)]
    return replace(look, marker=marker or look.marker, dashes=dashes or (2, 2), open=True)


def looks_of(series: Iterable[tuple[str, str]]) -> dict[str, Look]:
    """Name -> look of series, given as (name, method): a method's first series is filled, the others are open."""
    found: dict[str, Look] = {}
    counts: Counter[str] = Counter()
    for name, method in dict.fromkeys(series):
        found[name] = look_of(method, counts[method])
        counts[method] += 1
    return found


def theme() -> None:
    """Set seaborn's and matplotlib's defaults; the same numbers give the same bytes (a fixed salt, no date).

    Neither MPLBACKEND nor a matplotlibrc of the user's changes anything.
    """
    os.environ.pop("MPLBACKEND", None)  # both are read as matplotlib is loaded, which fails on a bad one
    os.environ["MATPLOTLIBRC"] = os.devnull
    import matplotlib as mpl
    import seaborn as sns

    mpl.use("Agg")
    mpl.rcdefaults()  # a matplotlibrc in the working folder has been read nevertheless
    sns.set_theme(context="paper", style="whitegrid", palette="colorblind", font_scale=0.85)
    mpl.rcParams.update(
        {
            "svg.hashsalt": "lasnn",
            "svg.fonttype": "none",
            "figure.constrained_layout.use": True,
            "axes.linewidth": 0.6,
            "axes.axisbelow": True,
            "grid.linewidth": 0.5,
            "legend.handlelength": 2.4,
        }
    )


def sheet(rows: int = 1, columns: int = 1, height: float = 2.6, **options: Any) -> tuple[Drawing, list[list[Axes]]]:
    """A drawing of the page's width with `rows` x `columns` panels, as a list of rows."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(WIDTH, height))
    panels: list[list[Axes]] = drawing.subplots(rows, columns, squeeze=False, **options).tolist()
    return drawing, panels


def panels(names: Sequence[str], head: float, **options: Any) -> tuple[Drawing, list[tuple[Axes, str]]]:
    """A drawing with a titled panel of accuracies for each name, three in a row; the legend takes `head` inches."""
    count = math.ceil(len(names) / 3)
    drawing, grid = sheet(count, min(3, len(names)), height=head + 2.2 * count, **options)
    flat = [axes for line in grid for axes in line]
    for axes in flat[len(names) :]:
        axes.axis("off")
    titled = list(zip(flat, names, strict=False))
    for place, (axes, name) in enumerate(titled):
        name_y(axes, f"{name}\n{' ' if place % 3 else 'accuracy, %'}")
    return drawing, titled


def name_y(axes: Axes, label: str) -> None:
    """Write what the y axis shows above it: no word is turned."""
    axes.set_title(label, loc="left", fontsize=7.5)


def nothing() -> Drawing:
    """The placeholder of a figure of which the preset runs nothing."""
    drawing, ((axes,),) = sheet(height=0.8)
    axes.axis("off")
    axes.text(0.5, 0.5, "not run in this preset", ha="center", va="center")
    return drawing


def legend(drawing: Drawing, columns: int = 4) -> None:
    """One legend above all panels, each label once."""
    found: dict[str, Any] = {}
    for axes in drawing.axes:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    found |= {label: found.pop(label) for label in (PRINTED_LABEL, FULL_SIZE) if label in found}  # last
    if found:
        drawing.legend(list(found.values()), list(found), loc="outside upper center", ncols=columns, frameon=False)


def remarks_below(drawing: Drawing, notes: Sequence[str]) -> None:
    """Set remarks below the panels, broken so that they stay inside the page's width."""
    lines = [line for note in notes for line in textwrap.wrap(note, REMARK_LETTERS)]
    drawing.text(0.01, -0.08 / drawing.get_figheight(), "\n".join(lines), va="top", fontsize=REMARK_SIZE)
