"""The two pictures of README.md: `python docs/pictures/draw.py` in the repository's root, after the main job.

`accuracy.png`: the kept runs of `results/reference/verdicts`. `method.png`: the method, and maps of the main job.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MultipleLocator

from lasnn.datasets.arrays import load
from lasnn.plan.cells import paper_cells
from lasnn.report import style

HERE = Path("docs/pictures")
KEPT = Path("results/reference/verdicts")
QUICK = Path("results/quick/snn/digits/vgg5/lasnn_act/poisson-T10/vgg16bn/base/s0")
STUDENTS = {"VGG5": "vgg5", "3Conv2Linear": "conv3fc2"}
READINGS = {"sum": "logit_sum", "mean": "base"}  # of the logits over T, and the variant that reads so
METHODS = {  # label: method, and the folder of its runs below that of a student, for a reading of the logits
    "ANN": ("ann", "base"),
    "converted": ("conversion", "conversion/poisson-T16/none/base"),
    "hybrid training": ("hybrid", "hybrid/poisson-T16/none/{}"),
    "label KD": ("kd_label", "kd_label/poisson-T16/vgg16bn/{}"),
    "LaSNN, α = 0.9 (printed)": ("lasnn_act", "lasnn_act/poisson-T16/vgg16bn/{}"),
}
SHOWN = (0, 3)  # test images whose maps are drawn


def accuracies(student: str, method: str, folder: str) -> list[float]:
    """Accuracy of each kept seed in percent."""
    kind = "ann" if method == "ann" else "snn"
    runs = sorted((KEPT / kind / "cifar10" / student / folder).glob("s*/metrics.json"))
    return [float(json.loads(path.read_text())["accuracy"]) for path in runs]


def printed(title: str, method: str) -> float | None:
    """The paper's accuracy of a full-size network with Poisson input and T = 100."""
    cells = paper_cells("Table II", "Table IV", dataset="CIFAR-10", student=title, method=method)
    return next((cell.paper for cell in cells if cell.paper), None)


class Row(NamedTuple):
    """A line of a panel: accuracy by seed under each reading of the logits (the same where a method has none)."""

    student: str
    label: str
    method: str
    found: dict[str, list[float]]
    paper: float | None


def rows() -> Iterator[Row]:
    """Each line of the picture."""
    for title, student in STUDENTS.items():
        for label, (method, folder) in METHODS.items():
            found = {name: accuracies(student, method, folder.format(read)) for name, read in READINGS.items()}
            yield Row(title, label, method, found, printed(title, method))


def accuracy() -> None:
    """A panel for each student; a dot for each seed, full as printed and hollow with the mean; the paper's number."""
    drawing, (panels,) = style.sheet(1, len(STUDENTS), height=2.3, sharey=True)
    for axes, title in zip(panels, STUDENTS, strict=True):
        mine = [row for row in rows() if row.student == title]
        for place, row in enumerate(mine):
            color = style.look_of(row.method).color
            apart = 0.17 if "{}" in METHODS[row.label][1] else 0
            for shift, (name, found) in zip((-apart, apart), row.found.items(), strict=True):
                line = place + shift
                fill = color if name == "sum" or not apart else "none"
                axes.plot(found, [line] * len(found), "o", color=color, markerfacecolor=fill, markersize=4, alpha=0.8)
                axes.plot([mean(found)] * 2, [line - 0.15, line + 0.15], color=color, linewidth=2)
            words = "-" if row.paper is None else f"{row.paper:.2f}"
            axes.text(1.03, place, words, transform=axes.get_yaxis_transform(), va="center", color="#767676")
        axes.text(1.03, -0.9, "paper", transform=axes.get_yaxis_transform(), color="#767676")
        axes.set(xlabel="test accuracy, T = 16, %", yticks=range(len(mine)), yticklabels=[row.label for row in mine])
        axes.set_title(title, fontsize=8)
        axes.xaxis.set_major_locator(MultipleLocator(4))
        axes.grid(visible=False, axis="y")
    panels[0].invert_yaxis()
    save(drawing, "accuracy")


def box(axes: Axes, place: tuple[float, float], words: str, small: str, color: str) -> None:
    """A box of the strip, 2.3 wide and 1 high, with its lower left corner at `place`."""
    axes.add_patch(
        FancyBboxPatch(place, 2.3, 1, boxstyle="round,pad=0.06", facecolor="white", edgecolor=color, linewidth=1.6)
    )
    axes.text(place[0] + 1.15, place[1] + 0.68, words, ha="center", va="center", fontsize=8)
    axes.text(place[0] + 1.15, place[1] + 0.26, small, ha="center", va="center", fontsize=6, color="#555555")


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], words: str = "") -> None:
    """An arrow of the strip, with words beside it."""
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": "#303030", "linewidth": 1})
    axes.text((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.13, words, ha="center", fontsize=6, color="#303030")


def method() -> None:
    """Teacher, student-shaped ANN, converted network, distilled network; then two digits with both maps."""
    drawing, _ = style.sheet(height=1.75)
    drawing.clear()
    drawing.set_layout_engine("none")
    strip = drawing.add_axes((0.005, 0.02, 0.645, 0.96))
    strip.set(xlim=(0, 10.4), ylim=(-0.2, 3.6))
    strip.axis("off")
    box(strip, (0.1, 0.3), "student's ANN", "ReLU, trained on labels", style.look_of("ann").color)
    box(strip, (4.05, 0.3), "converted SNN", "balanced thresholds", style.look_of("conversion").color)
    box(strip, (8.0, 0.3), "LaSNN student", "spikes over T steps", style.look_of("lasnn_act").color)
    box(strip, (8.0, 2.3), "teacher", "a large CNN", style.look_of("ann_teacher").color)
    arrow(strip, (2.5, 0.8), (3.98, 0.8), "conversion")
    arrow(strip, (6.45, 0.8), (7.93, 0.8), "training")
    arrow(strip, (9.15, 2.2), (9.15, 1.4))
    strip.text(
        8.95,
        1.8,
        "attention maps at three levels:\nloss = cross-entropy + α/2 × distance of maps",
        ha="right",
        va="center",
        fontsize=7,
    )
    maps = np.load(QUICK / "predictions.npz")
    digits = load("data/digits.npz")
    for column, index in enumerate(SHOWN):
        picture = digits.test_images[index].transpose(1, 2, 0)
        rows = [picture, maps["maps_teacher_low"][index], maps["maps_student_low"][index]]
        for line, (content, words) in enumerate(zip(rows, ("image", "teacher", "student"), strict=True)):
            axes = drawing.add_axes((0.685 + 0.105 * line, 0.5 - 0.47 * column, 0.1, 0.4))
            axes.imshow(content, cmap="viridis", vmin=0, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            if not column:
                axes.set_title(words, fontsize=7, pad=2)
    save(drawing, "method")


def save(drawing: Figure, name: str) -> None:
    """Write a picture without a date."""
    drawing.savefig(HERE / f"{name}.png", dpi=200, bbox_inches="tight", pad_inches=0.05, metadata={"Software": None})


if __name__ == "__main__":
    style.theme()
    accuracy()
    method()
