"""Figure 1: the pipeline, drawn from the plan itself: kinds of runs with their numbers, edges from their parents."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from lasnn.plan.config import Preset
from lasnn.plan.runs import AnnRun, ConvertedRun, Run
from lasnn.report import style
from lasnn.report.columns import METHOD_TITLES
from lasnn.report.exhibit import Figure
from lasnn.report.late import Axes, Drawing, pd
from lasnn.report.style import METHOD_STYLE, Look

IMAGES = "images"
WIDE, HIGH, APART = 0.96, 0.62, 1.4  # of a box, where rows are 1 apart; columns are APART
# A column from top to bottom, such that few arrows cross a box.
DOWNWARDS = (
    *("calibration", "conversion", "hybrid", "kd_spike", "kd_label", "kd_features"),
    *("kd_blurred", "kd_aligned", "kd_head", "kd_saliency", "lasnn_act", "lasnn_grad"),
)
FREE = ((0, 0, 0), (0, 2, 0), (1, 0, 2), (0, 0, 0))  # of each column: shares above, between and below its boxes
COLUMNS = ("", "1: analog networks", "2: conversion", "3: spiking networks at T steps")


@dataclass(frozen=True)
class Node:
    """One kind of runs: its column, its name, what is below the name, and its colour."""

    column: int
    name: str
    remark: str
    look: Look


def node_of(run: Run, preset: Preset) -> Node:
    """The box that a run belongs to."""
    if isinstance(run, AnnRun) and run.network in preset.config.networks.teachers:
        return Node(1, "teacher ANNs", "bias, batch norm", METHOD_STYLE["ann_teacher"])
    if isinstance(run, AnnRun):
        return Node(1, "intermediate ANNs", "shaped as the student", METHOD_STYLE["ann"])
    if isinstance(run, ConvertedRun):
        return Node(2, f"thresholds, {run.encoder}", "balancing, curve over T", style.look_of("conversion"))
    return Node(3, *named(run.method), style.look_of(run.method))


def named(method: str) -> tuple[str, str]:
    """What a box of a method says, and below it: a title's words in brackets."""
    title, _, remark = METHOD_TITLES[method].partition(" (")
    return title, remark.removesuffix(")")


class Pipeline(Figure):
    """Made from the plan of all other exhibits; it needs no run to be finished."""

    def plan(self, preset: Preset) -> str:
        return self.tidy(preset).to_json(orient="values")

    def tidy(self, preset: Preset) -> pd.DataFrame:
        """One line for each box (`to` empty) and each arrow, with its number of runs or parents."""
        from lasnn.report import runs_of_target

        runs = runs_of_target(preset, "all")
        boxes = Counter(node_of(run, preset).name for run in runs)
        pairs = [(parent, run) for run in runs for parent in preset.parents(run)]
        arrows = Counter((node_of(parent, preset).name, node_of(run, preset).name) for parent, run in pairs)
        arrows |= Counter((IMAGES, node_of(run, preset).name) for run in runs if isinstance(run, AnnRun))
        datasets = len({run.dataset for run in runs})
        lines = [("box", IMAGES, "", datasets), *(("box", name, "", count) for name, count in boxes.items())]
        lines += [("arrow", *ends, count) for ends, count in arrows.items()]
        return pd.DataFrame(lines, columns=["what", "from", "to", "count"])

    def remarks(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        total = tidy.loc[(tidy["what"] == "box") & (tidy["from"] != IMAGES), "count"].sum()
        return [
            f"Preset {preset.name}, {len(preset.scope.seeds)} seed(s): {total} runs behind all tables and figures. In "
            "brackets the runs of each kind. An arrow leads from the runs that others start from; the CSV says "
            "how many of these do. Every run also reads the images; arrows are drawn to those trained on them alone.",
        ]

    def picture(self, tidy: pd.DataFrame, preset: Preset) -> Drawing:
        from lasnn.report import runs_of_target

        nodes = {node.name: node for node in (node_of(run, preset) for run in runs_of_target(preset, "all"))}
        nodes = {IMAGES: Node(0, IMAGES, "canonical order", style.OTHER)} | nodes
        counts = {(line["from"], line["to"]): line["count"] for line in tidy.to_dict("records")}
        return pipeline(nodes, counts)


def pipeline(nodes: dict[str, Node], counts: dict[tuple[str, str], int]) -> Drawing:
    """Boxes in columns by stage, arrows by parenthood; `counts` of a box has an empty second name."""
    rows = max(6, *Counter(node.column for node in nodes.values()).values())
    places = placed(nodes, rows)
    drawing, ((axes,),) = style.sheet(height=0.8 + 0.42 * rows)
    for head in nodes:
        tails = sorted((tail for tail, to in counts if to == head), key=lambda tail: -places[tail][1])
        for index, tail in enumerate(tails):
            (x, y), color = places[head], nodes[tail].look.color
            right = places[tail][0] + WIDE / 2 + 0.02
            start, bend = (right, places[tail][1]), 0.0
            end = (x - WIDE / 2 - 0.03, y + 0.3 * ((len(tails) - 1) / 2 - index))
            if tail == head:  # a chain of runs of one kind
                start, end, bend = (right, y + 0.2), (right, y - 0.2), -1.2
            arrow = {"arrowstyle": "-|>", "connectionstyle": f"arc3,rad={bend}", "mutation_scale": 7, "color": color}
            axes.annotate("", end, start, arrowprops=arrow | {"linewidth": 0.9, "shrinkA": 0, "shrinkB": 0})
    for name, node in nodes.items():
        _box(axes, places[name], node, counts[name, ""])
    for column, title in enumerate(COLUMNS):
        axes.text(APART * column, rows / 2 + 0.1, title, ha="center", va="bottom", fontsize=7, style="italic")
    axes.set(xlim=(-0.56, APART * (len(COLUMNS) - 1) + 0.7), ylim=(-rows / 2, rows / 2 + 0.5))
    axes.axis("off")
    return drawing


def placed(nodes: dict[str, Node], rows: int) -> dict[str, tuple[float, float]]:
    """The middle of each box: a column's boxes share its height, but for what is kept free for arrows to pass."""
    names = [*(named(method)[0] for method in DOWNWARDS), "intermediate ANNs", "teacher ANNs"]
    order = {name: place for place, name in enumerate(names)}
    places = {}
    for column, (above, between, below) in enumerate(FREE):
        members = sorted((name for name in nodes if nodes[name].column == column), key=lambda name: order.get(name, -1))
        step = rows / max(1, above + len(members) + between * (len(members) - 1) + below)
        for row, name in enumerate(members):
            places[name] = (APART * column, rows / 2 - (above + row * (1 + between) + 0.5) * step)
    return places


def _box(axes: Axes, place: tuple[float, float], node: Node, count: int) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = place
    shape = FancyBboxPatch(
        (x - WIDE / 2, y - HIGH / 2),
        WIDE,
        HIGH,
        "round,pad=0.02,rounding_size=0.08",
        zorder=3,
        facecolor="white",
        edgecolor=node.look.color,
        linewidth=1.6,
    )
    axes.add_patch(shape)
    shift = 0.09 if node.remark else 0
    axes.text(x, y + shift, f"{node.name} ({count})", ha="center", va="center", fontsize=7, zorder=4)
    if node.remark:
        axes.text(x, y - 0.16, node.remark, ha="center", va="center", fontsize=5.5, zorder=4, color="#505050")


EXHIBITS = {
    "figure1": Pipeline("Figure 1: the pipeline as it is planned", lambda preset: (), lambda tidy: style.nothing())
}
