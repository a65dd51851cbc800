"""Figure 5: activation-based against gradient-based distillation: accuracy, epoch time, memory."""

from typing import TYPE_CHECKING

import pandas as pd

from lasnn.report.cells import paper_cells
from lasnn.report.kinds import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

PANELS = {"top1": "accuracy, %", "epoch_time": "minutes per epoch", "gpu_memory": "peak memory, GB"}


def draw(tidy: pd.DataFrame) -> "Drawing":
    """A panel for each metric: bars are ours, crosses what the paper prints."""
    import seaborn as sns
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(7.2, 2.6))
    tidy = tidy.assign(series=tidy["row_label"].str.split(n=1).str[1] + ran_at(tidy))
    students = list(dict.fromkeys(tidy.loc[tidy["n"] > 0, "student"])) or list(dict.fromkeys(tidy["student"]))
    series = list(dict.fromkeys(tidy["series"]))
    for axes, (metric, label) in zip(drawing.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        part = tidy[(tidy["metric"] == metric) & tidy["student"].isin(students)]
        sns.barplot(part, x="student", y="ours", hue="series", order=students, hue_order=series, ax=axes, errorbar=None)
        for index, name in enumerate(series):
            printed = part[(part["series"] == name) & part["paper"].notna()]
            offset = (index - (len(series) - 1) / 2) * 0.8 / len(series)
            places = [students.index(student) + offset for student in printed["student"]]
            axes.scatter(places, printed["paper"], marker="x", color="black", zorder=3, label="printed in the paper")
        for bars in axes.containers:
            axes.bar_label(bars, fmt="%.3g" if metric == "top1" else "%.2g", fontsize="x-small")
        axes.set(xlabel="", ylabel=label, yscale="log" if metric == "epoch_time" else "linear")
        axes.get_legend().remove() if axes.get_legend() else None
    handles, labels = axes.get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True))
    drawing.legend(found.values(), found.keys(), loc="outside upper center", ncols=4, frameon=False)
    return drawing


def ran_at(tidy: pd.DataFrame) -> pd.Series:
    """A remark for series whose T is not the paper's."""
    steps = tidy.groupby("timesteps")["ran_steps"].transform("max")
    other = steps.notna() & (steps.astype("Float64").astype("string") != tidy["timesteps"].astype(float).astype(str))
    return (" (ours: T-" + steps.map(lambda value: f"{value:g}") + ")").where(other, "")


EXHIBIT = Figure(
    "Figure 5: activation- and gradient-based distillation", lambda preset: list(paper_cells("Fig 5a", "Fig 5b")), draw
)
