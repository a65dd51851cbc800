"""The common look of all figures: one colour, marker, line and hatch for each method, one page width, remarks below.

Colours are seaborn's `colorblind` palette. Each method's lightness, hatch, marker and dashes differ as well, so that a
figure reads in greyscale. Nothing here loads matplotlib before a figure is drawn.
"""

import math
import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lasnn.plan.vocabulary import given

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

WIDTH = 7.0  # inches: the text width of a two-column page
REMARK_SIZE, REMARK_LETTERS = 6.5, 134  # points, and letters of that size in a line of WIDTH


@dataclass(frozen=True)
class Look:
    """How one method is drawn, wherever it is drawn."""

    color: str
    marker: str = "o"
    hatch: str = ""
    dashes: tuple[float, ...] = ()

    @property
    def bar(self) -> dict[str, Any]:
        """Keywords of `Axes.bar`."""
        return {"color": self.color, "hatch": self.hatch, "edgecolor": "white", "linewidth": 0.4}

    @property
    def line(self) -> dict[str, Any]:
        """Keywords of `Axes.plot`."""
        dashes: dict[str, Any] = {"dashes": self.dashes} if self.dashes else {}
        return {"color": self.color, "marker": self.marker, "markersize": 3.5, "linewidth": 1.2} | dashes


METHOD_STYLE = {
    "ann": Look("#303030", "s", "", (1, 1)),
    "ann_teacher": Look("#ca9161", "D", "xx", (4, 1, 1, 1)),
    "conversion": Look("#949494", "v", "..."),
    "calibration": Look("#ece133", "P", "++", (5, 2)),
    "hybrid": Look("#56b4e9", "^", "//", (4, 1.5)),
    "kd_label": Look("#de8f05", "s", "\\\\", (2, 1)),
    "kd_spike": Look("#fbafe4", "X", "oo", (1, 2)),
    "lasnn_act": Look("#0173b2", "o"),
    "lasnn_grad": Look("#d55e00", "D", "xxx", (6, 1, 1, 1)),
}
OTHER = Look("#000000", "*", "**", (1, 3))  # a method that has no look of its own yet
ENCODER_STYLE = {"poisson": Look("#0173b2"), "direct": Look("#029e73", "D", "//", (4, 1.5))}
SERIES = (  # for series that are not methods: in this order
    Look("#0173b2"),
    Look("#de8f05", "s", "//", (4, 1.5)),
    Look("#029e73", "^", "\\\\", (2, 1)),
    Look("#cc78bc", "D", "..", (5, 1, 1, 1)),
    Look("#949494", "v", "xx", (1, 1)),
    Look("#303030", "P", "++", (3, 3)),
)
PRINTED_LABEL = "printed in the paper"
OTHER_SIZE = "crosses: the paper's full size,\nnot the reduced one of our bars"
PRINTED: dict[str, Any] = {
    "marker": "X",
    "color": "black",
    "edgecolor": "white",
    "s": 26,
    "linewidths": 0.6,
    "zorder": 4,
}


def look_of(method: str) -> Look:
    """The look of a method."""
    return METHOD_STYLE.get(method, OTHER)


def theme() -> None:
    """Set seaborn's and matplotlib's defaults; the same numbers give the same bytes (a fixed salt, no date).

    Neither MPLBACKEND nor a matplotlibrc of the user's changes anything.
    """
    os.environ.pop("MPLBACKEND", None)  # both are read as matplotlib is loaded, and a bad one ends that
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
            "hatch.linewidth": 0.5,
            "axes.linewidth": 0.6,
            "axes.axisbelow": True,
            "grid.linewidth": 0.5,
            "legend.handlelength": 2.4,
        }
    )


def sheet(rows: int = 1, columns: int = 1, height: float = 2.6, **options: Any) -> tuple["Drawing", list[list["Axes"]]]:
    """A drawing of the page's width with `rows` x `columns` panels, as a list of rows."""
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(WIDTH, height))
    panels: list[list[Axes]] = drawing.subplots(rows, columns, squeeze=False, **options).tolist()
    return drawing, panels


def panels(
    names: Sequence[str], columns: int, row_height: float, head: float, **options: Any
) -> tuple["Drawing", list[tuple["Axes", str]], list["Axes"]]:
    """A drawing with a titled panel for each name, `columns` in a row; the panels, and the first one of each row.

    `row_height` and `head`, what the legend takes, are in inches.
    """
    count = math.ceil(len(names) / columns)
    drawing, grid = sheet(count, min(columns, len(names)), height=head + row_height * count, **options)
    flat = [axes for line in grid for axes in line]
    for axes in flat[len(names) :]:
        axes.axis("off")
    titled = list(zip(flat, names, strict=False))
    for axes, name in titled:
        axes.set_title(name, fontsize=8)
    return drawing, titled, [line[0] for line in grid]


def percent(axes: "Axes", least: float) -> None:
    """Make the y axis an accuracy, from the tens below `least`; where that is not 0 it says so."""
    low, (_, margin) = lowest(least), given(axes.margins())
    high = axes.dataLim.y1 + margin * (axes.dataLim.y1 - low)
    axes.set_ylim(low, high)
    axes.set_yticks(range(low, min(101, int(high) + 1), 10 if high - low <= 60 else 20))
    axes.set_ylabel(accuracy_label(low))


def lowest(value: float) -> int:
    """Where an axis of accuracies that shows `value` begins: at tens, with room below; 0 for what is near it."""
    low = 10 * math.floor((value - 4) / 10)
    return low if low >= 20 else 0


def accuracy_label(low: int) -> str:
    """The axis's name, which says where it is cut."""
    return f"accuracy, % (axis from {low})" if low else "accuracy, %"


def nothing() -> "Drawing":
    """What stands for a figure of which the preset runs nothing."""
    drawing, ((axes,),) = sheet(height=0.8)
    axes.axis("off")
    axes.text(0.5, 0.5, "not run in this preset", ha="center", va="center")
    return drawing


def legend(drawing: "Drawing", columns: int = 4) -> None:
    """One legend above all panels, each label once."""
    found: dict[str, Artist] = {}
    for axes in drawing.axes:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    found |= {PRINTED_LABEL: found.pop(PRINTED_LABEL)} if PRINTED_LABEL in found else {}  # last
    if found:
        drawing.legend(list(found.values()), list(found), loc="outside upper center", ncols=columns, frameon=False)


def remarks_below(drawing: "Drawing", notes: Sequence[str]) -> None:
    """Set remarks below the panels, broken so that they stay inside the page's width."""
    lines = [line for note in notes for line in textwrap.wrap(note, REMARK_LETTERS)]
    drawing.text(0.01, -0.08 / drawing.get_figheight(), "\n".join(lines), va="top", fontsize=REMARK_SIZE)
