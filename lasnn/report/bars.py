"""Grouped bars: ours with their spread and value, and a cross where the paper prints a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lasnn.report import style
from lasnn.report.late import pd
from lasnn.report.style import OTHER_SIZE, PRINTED, PRINTED_LABEL, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes


GAP = 0.7  # between groups, in widths of a bar
INSIDE: dict[str, Any] = {"va": "top", "fontsize": 6, "style": "italic"}  # words within a panel
WHISKERS = {"elinewidth": 0.8, "capsize": 2}
COVERED = 1.2  # a cross up to so many times a bar's height covers the number above the bar


def grouped(
    axes: Axes,
    lines: pd.DataFrame,
    looks: Mapping[str, Look],
    value: str = "{:.1f}",
    *,
    log: bool = False,
    upright: bool = False,
) -> None:
    """Draw `lines` (columns group, series, ours, sd, and paper for the crosses), groups and series in their order.

    A group has room for its own series only. A series that was not run leaves its place empty. `value` is the format
    of the number above a bar, `upright` turns it; `log` makes the axis logarithmic.
    """
    place = 0.0
    ticks: dict[str, float] = {}
    seen: set[str] = set()
    for group, members in lines.groupby("group", sort=False):
        first = place
        for line in members.to_dict("records"):
            name = line["series"]
            if pd.notna(line["ours"]):
                words = looks[name].bar | {"label": None if name in seen else name}
                axes.bar(place, line["ours"], 0.86, yerr=_present(line["sd"]), error_kw=WHISKERS, **words)
                _value(axes, place, line, value, upright)
                seen.add(name)
            if pd.notna(line.get("paper")):
                axes.scatter(place, line["paper"], label=PRINTED_LABEL, **PRINTED)
            place += 1
        ticks[str(group)] = (first + place - 1) / 2
        place += GAP
    axes.set_xticks(list(ticks.values()), list(ticks))
    axes.set_xlim(-0.9, place - 0.8)
    axes.grid(visible=False, axis="x")
    other = of_another_size(lines)
    axes.margins(y=(0.3 if upright else 0.14) + (0.18 if other else 0))
    if other:  # in the room that the margin leaves
        axes.text(0.02, 0.975, OTHER_SIZE, transform=axes.transAxes, **INSIDE)
    if log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)


def of_another_size(lines: pd.DataFrame) -> bool:
    """Whether a cross stands beside a run of ours that has not the paper's network, images or T."""
    if not {"paper", "as_printed"} <= set(lines):
        return False
    return bool((lines["paper"].notna() & lines["as_printed"].eq(False)).any())


def accuracies(axes: Axes, lines: pd.DataFrame) -> None:
    """Make the y axis of drawn bars an accuracy, which begins below the least bar, whisker and cross."""
    ends = [lines["ours"].astype(float) - lines["sd"].astype(float).fillna(0), lines["paper"].astype(float)]
    style.percent(axes, pd.concat(ends).min())


def with_steps(
    tidy: pd.DataFrame, series: Mapping[tuple[str, str], tuple[str, Look]]
) -> tuple[list[str], dict[str, Look]]:
    """The series of each line, called by its title and the T that we ran, and the look of each.

    `series` maps a method and the paper's T to a title and a look.
    """
    names, looks = {}, {}
    for (method, steps), (title, look) in series.items():
        ran = tidy.loc[(tidy["method"] == method) & (tidy["timesteps"] == steps), "ran_steps"].dropna()
        names[method, steps] = f"{title}, T = {steps if ran.empty else format(ran.iloc[0], 'g')}"
        looks[names[method, steps]] = look
    return [names[key] for key in zip(tidy["method"], tidy["timesteps"], strict=True)], looks


def _present(value: float | None) -> float | None:
    return None if pd.isna(value) else value


def _value(axes: Axes, place: float, line: dict, value: str, upright: bool) -> None:
    """The number above a bar, its whisker, and a cross that would cover it."""
    top, cross = line["ours"] + (_present(line["sd"]) or 0), _present(line.get("paper")) or 0
    hidden = top < cross < COVERED * top
    axes.annotate(
        value.format(line["ours"]),
        xy=(place, cross if hidden else top),
        xytext=(0, 5 if hidden else 3),
        textcoords="offset points",
        rotation=90 if upright else 0,
        ha="center",
        va="bottom",
        fontsize=6,
    )


def only_run(lines: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The groups of which anything was run, without series that nothing stands for, and the names of other groups.

    All groups if nothing was run.
    """
    ran = lines.groupby("group", sort=False)["n"].transform("max") > 0
    if not ran.any():
        return lines, []
    shown = lines[ran]
    filled = (shown["n"] > 0) | shown["paper"].notna()
    return shown[filled.groupby(shown["series"]).transform("max")], list(dict.fromkeys(lines.loc[~ran, "group"]))
