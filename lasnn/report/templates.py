"""What figures are made of: rows of dots with intervals, and marks. No bars: few of the values have a meaningful zero.

A dot's whisker is the 95 % interval of the mean over seeds, small dots are the seeds, and n follows each value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lasnn.report import style
from lasnn.report.frame import SEEDS
from lasnn.report.late import Axes, Drawing, pd
from lasnn.report.statistics import reach
from lasnn.report.style import FULL_SIZE, PRINTED, PRINTED_LABEL, Look

DOTS = "Ours: mean over n seeds (in brackets), whiskers its 95 % interval, small dots the seeds"
ROW, GAP = 0.19, 0.5  # inches of a row; rows between groups
LETTER = 0.13  # inches from one name at the end of a line to the next


def places(lines: pd.DataFrame) -> dict[tuple[str, str], float]:
    """How far below the first each row is, by its group and its `row`, or its series where lines have none."""
    found: dict[tuple[str, str], float] = {}
    place = 0.0
    for group, members in lines.groupby("group", sort=False):
        for name in dict.fromkeys(members["row" if "row" in lines else "series"]):
            found[str(group), name] = place
            place += 1
        place += GAP
    return found


def dots(
    panels: Sequence[tuple[str, pd.DataFrame, str]], looks: Mapping[str, Look], columns: int = 4, log: str = ""
) -> Drawing:
    """Panels (label, lines, format of a value) side by side with the same rows, groups below one another.

    Lines have the columns group, series, ours, sd, n, and paper for crosses. With a column `row` each row has its name,
    else each group, and the legend names the series. The axis that is called `log` is logarithmic.
    """
    rows = places(pd.concat([lines for _, lines, _ in panels]))
    named = any("row" in lines for _, lines, _ in panels)
    drawing, (found,) = style.sheet(1, len(panels), height=0.95 + ROW * max(rows.values()), sharey=True)
    for axes, (label, lines, form) in zip(found, panels, strict=True):
        for line in lines.to_dict("records"):
            dot(axes, rows[line["group"], line.get("row", line["series"])], line, looks[line["series"]], form)
        axes.set(xlabel=label, xscale="log" if label == log else "linear")
        axes.margins(x=0.08)
        axes.grid(visible=False, axis="y")
    groups = pd.Series(rows).groupby(level=0, sort=False).mean()
    found[0].set_yticks(list(rows.values()) if named else groups, [row for _, row in rows] if named else groups.index)
    found[0].set_ylim(max(rows.values()) + 0.6, -0.6)  # the first row on top
    style.legend(drawing, columns)
    return drawing


def dot(axes: Axes, row: float, line: Mapping[Any, Any], look: Look, form: str) -> None:
    """A mark with its whisker, from `_low` to `_high` where the line has them, its seeds and its value in a row."""
    if pd.notna(line["ours"]):
        seeds = line[SEEDS] if line.get(SEEDS) and line["n"] > 1 else ()
        axes.plot(seeds, [row] * len(seeds), **look.mark | {"markersize": 2, "marker": "o", "alpha": 0.5})
        middle, half = line["ours"], reach(line["sd"], line["n"]) if pd.notna(line["sd"]) else 0.0
        low, high = line.get("_low", middle - half), line.get("_high", middle + half)
        wide = [[middle - low], [high - middle]] if low < high else None
        axes.errorbar(middle, row, xerr=wide, label=line["series"], capsize=2, **look.mark | {"markersize": 5})
        text = f"{middle:{form}} ({line['n']:g})"
        axes.text(1.015, row, text, transform=axes.get_yaxis_transform(), va="center", fontsize=6)
    if pd.notna(line.get("paper")):
        label = FULL_SIZE if line["as_printed"] is False else PRINTED_LABEL
        axes.scatter(line["paper"], row, label=label, **PRINTED)


def name_ends(axes: Axes, ends: Mapping[str, float], looks: Mapping[str, Look]) -> None:
    """The mark and name of each line behind its end at `ends`, moved up where the one below is too near."""
    low, high = axes.get_ylim()
    apart = (high - low) * LETTER * axes.figure.dpi / axes.bbox.height
    place, right = -math.inf, axes.get_yaxis_transform()
    for name in sorted(ends, key=lambda one: ends[one]):
        place = max(ends[name], place + apart)
        axes.plot(1.04, place, transform=right, clip_on=False, **looks[name].mark | {"markersize": 4})
        axes.text(1.08, place, name, transform=right, va="center", fontsize=7)


def only_run(lines: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The groups of which anything was run, without series that have no value, and the names of other groups."""
    ran = lines.groupby("group", sort=False)["n"].transform("max") > 0
    shown = lines[ran]
    filled = (shown["n"] > 0) | shown["paper"].notna()
    return shown[filled.groupby(shown["series"]).transform("max")], list(dict.fromkeys(lines.loc[~ran, "group"]))


def with_steps(tidy: pd.DataFrame, titles: Mapping[tuple[str, str], str], key: str = "method") -> pd.Series:
    """The series of each line: its title, by its `key` and the paper's T, and the T that we ran."""
    ran = tidy.groupby([key, "timesteps"])["ran_steps"].transform("first")
    steps = [paper if pd.isna(ours) else format(ours, "g") for ours, paper in zip(ran, tidy["timesteps"], strict=True)]
    keys = zip(tidy[key], tidy["timesteps"], strict=True)
    return pd.Series([f"{titles[one]}, T = {at}" for one, at in zip(keys, steps, strict=True)], tidy.index)


def marks(axes: Axes, points: pd.DataFrame, x: str, y: str, looks: Mapping[str, Look], most: float = 0) -> None:
    """A mark for each point by its column `series`, in the order of `looks`; fewer seeds than `most` are named."""
    for name in [name for name in looks if name in set(points["series"])]:
        for seeds, part in points[points["series"] == name].groupby(points["n"].astype(float)):
            label = name if float(part["n"].iloc[0]) >= most else f"{name} (n = {seeds:g})"
            axes.plot(part[x], part[y], label=label, **looks[name].mark | {"markersize": 5.5})
