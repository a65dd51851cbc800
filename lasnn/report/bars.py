"""Grouped bars: ours with their spread and value, and a cross where the paper prints a number."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from lasnn.report.style import PRINTED, PRINTED_LABEL, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def grouped(axes: "Axes", lines: pd.DataFrame, looks: Mapping[str, Look], value: str = "{:.1f}", log=False) -> None:
    """Draw `lines` (columns group, series, ours, sd, and paper for the crosses), groups and series in their order.

    A group has room for its own series only. A series that was not run leaves its place empty. `value` is the format
    of the number above a bar; `log` makes the axis logarithmic.
    """
    place, ticks, seen = 0.0, {}, set()
    for group, members in lines.groupby("group", sort=False):
        first = place
        for line in members.to_dict("records"):
            name = line["series"]
            label = None if name in seen else name
            if pd.notna(line["ours"]):
                spread = None if pd.isna(line["sd"]) else line["sd"]
                style = looks[name].bar | {"error_kw": {"elinewidth": 0.8, "capsize": 2}}
                axes.bar(place, line["ours"], 0.86, yerr=spread, label=label, **style)
                top = line["ours"] + (spread or 0)
                axes.annotate(
                    value.format(line["ours"]),
                    (place, top),
                    (0, 1.5),
                    textcoords="offset points",
                    ha="center",
                    va="bottom",
                    fontsize=6,
                    rotation=90 if len(lines) > 12 else 0,
                )
                seen.add(name)
            if pd.notna(line.get("paper")):
                axes.scatter(place, line["paper"], label=PRINTED_LABEL, **PRINTED)
            place += 1
        ticks[group] = (first + place - 1) / 2
        place += 0.7
    axes.set_xticks(list(ticks.values()), list(ticks))
    axes.grid(visible=False, axis="x")
    axes.margins(y=0.14 if len(lines) <= 12 else 0.2)
    if log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)


def only_run(lines: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The groups of which anything was run, and the names of the others; all groups if nothing was."""
    ran = lines.groupby("group", sort=False)["n"].transform("max") > 0
    if not ran.any():
        return lines, []
    return lines[ran], list(dict.fromkeys(lines.loc[~ran, "group"]))
