"""Figures from the CSV files: ratios by implementation, and how ours grows with T, batch and width."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

LABELS = {"train": "training step", "infer": "inference"}


def latest(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The last run of each setting."""
    return table.sort_values("time").drop_duplicates(keys, keep="last")


def caption(figure: plt.Figure, table: pd.DataFrame) -> None:
    """What a figure must not be shown without."""
    last = table.iloc[-1]
    words = f"{last.hardware}, {last.threads} threads, torch {last.torch}, 1-min load at start {last.load_1min}"
    figure.text(0.01, 0.005, words, fontsize=6, color="0.4")


def ratios(path: Path) -> Path:
    """Time of each implementation over the float32 floor's, by network, width and T."""
    keys = ["network", "steps", "batch", "width", "fc", "rate", "device", "clock", "amp", "implementation"]
    table = latest(pd.read_csv(path), keys)
    table = table[(table.implementation != "floor") & table.ratio_to_floor.notna()]
    share = table.rate.map(lambda rate: "" if pd.isna(rate) else f"\n{rate:.0%} spike")
    setting = table.network + ", " + table.width.map("{:g}".format) + "\nT=" + table.steps.astype(str) + share
    name = table.implementation + table.amp.map(lambda amp: "" if amp == "off" else f", {amp}")
    table = table.assign(setting=setting, implementation=name).sort_values("implementation")
    sns.set_theme(style="whitegrid", context="paper")
    figure, axes = plt.subplots(figsize=(2 + 1.2 * max(2, table.setting.nunique()), 3))
    if len(table):
        sns.barplot(table, x="setting", y="ratio_to_floor", hue="implementation", ax=axes)
        axes.legend(title=None, fontsize=7)
        caption(figure, table)
    axes.axhline(1, color="0.2", linewidth=1)
    axes.set(xlabel=None, ylabel="time / kernel floor", title=f"{path.stem}, medians by turns")
    return saved(figure, path.with_suffix(".png"))


def growth(path: Path) -> Path:
    """Time and memory of ours against T, batch and width; the dashed line is proportion to the first point."""
    table = latest(pd.read_csv(path), ["network", "axis", "action", "steps", "batch", "width", "device"])
    sns.set_theme(style="whitegrid", context="paper")
    axes_names = {"T": "steps", "batch": "batch", "width": "width"}
    figure, grid = plt.subplots(2, 3, figsize=(9, 5), sharex="col")
    for column, (axis, field) in enumerate(axes_names.items()):
        rows = table[table.axis == axis].assign(kind=lambda t: t.network + " " + t.action.map(LABELS))
        for row, (value, label) in enumerate({"median_s": "seconds", "above_imports_mb": "MB above imports"}.items()):
            axes = grid[row][column]
            if len(rows):
                sns.lineplot(rows, x=field, y=value, hue="kind", marker="o", ax=axes, legend=(row, column) == (0, 2))
                axes.set(xscale="log", yscale="log")
                plain_log(axes.xaxis, sorted(rows[field].unique()))
                plain_log(axes.yaxis)
            if row == 0 and axis != "width":
                for _, line in rows.groupby("kind"):
                    line = line.sort_values(field)
                    share = line[field] / line[field].iloc[0] * line[value].iloc[0]
                    axes.plot(line[field], share, "--", color="0.6", linewidth=0.8)
            axes.set(xlabel=axis, ylabel=label)
    if len(table):
        sns.move_legend(grid[0][2], "upper left", title=None, fontsize=7)
        caption(figure, table)
    return saved(figure, path.with_suffix(".png"))


def plain_log(axis: Axis, values: Sequence[float] | None = None) -> None:
    """Plain numbers on a logarithmic axis: at most six of `values`, or 1, 2 and 5 times powers of ten."""
    chosen = values[:: -(-len(values) // 6)] if values else None
    axis.set_major_locator(FixedLocator(chosen) if chosen else LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def saved(figure: plt.Figure, path: Path) -> Path:
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(path, dpi=160)
    plt.close(figure)
    return path


PLOTS = {"training": ratios, "inference": ratios, "scaling": growth}
