"""The two pictures of README.md: `python docs/pictures/draw.py` in the repository's root, after the main job.

`accuracy.png`: the kept runs of `results/reference/verdicts`. `method.png`: the method, and maps of the main job.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

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
READINGS = {"logits: sum over T, as printed": "logit_sum", "logits: mean over T": "base"}  # and the variant of each
METHODS = {  # label: method, and the folder of its runs below that of VGG5, for a reading of the logits
    "ANN": ("ann", "base"),
    "converted": ("conversion", "conversion/poisson-T16/none/base"),
    "hybrid training": ("hybrid", "hybrid/poisson-T16/none/{}"),
    "label KD": ("kd_label", "kd_label/poisson-T16/vgg16bn/{}"),
    "LaSNN, α = 0.9 (printed)": ("lasnn_act", "lasnn_act/poisson-T16/vgg16bn/{}"),
    "LaSNN, α = 0.1": ("lasnn_act", "lasnn_act/poisson-T16/vgg16bn/alpha01__{}"),
}
SHOWN = (0, 3)  # test images whose maps are drawn


def accuracies(method: str, folder: str) -> list[float]:
    """Accuracy of each kept seed in percent; empty where nothing was run."""
    kind = "ann" if method == "ann" else "snn"
    runs = sorted((KEPT / kind / "cifar10" / "vgg5" / folder).glob("s*/metrics.json"))
    return [float(json.loads(path.read_text())["accuracy"]) for path in runs]


def printed(title: str, method: str) -> float | None:
    """The paper's accuracy of a full-size network with Poisson input and T = 100."""
    cells = paper_cells("Table II", "Table IV", dataset="CIFAR-10", student=title, method=method)
    return next((cell.paper for cell in cells if cell.paper), None)


def dots() -> Iterator[tuple[str, str, str, list[float], float | None]]:
    """(reading, label, method, accuracy by seed, the paper's) of each row of the picture."""
    for title, variant in READINGS.items():
        for label, (method, folder) in METHODS.items():
            paper = None if "alpha01" in folder else printed("VGG5", method)
            yield title, label, method, accuracies(method, folder.format(variant).removesuffix("__base")), paper


def accuracy() -> None:
    """A dot for each seed, a bar for the mean; the paper's numbers as a grey column."""
    drawing, (panels,) = style.sheet(1, 2, height=2.3, sharey=True)
    for axes, title in zip(panels, READINGS, strict=True):
        rows = [row[1:] for row in dots() if row[0] == title]
        for place, (_, method, found, paper) in enumerate(rows):
            color = style.look_of(method).color
            if found:
                axes.plot(found, [place] * len(found), "o", color=color, markersize=4.5, markeredgewidth=0, alpha=0.8)
                axes.plot([mean(found)] * 2, [place - 0.32, place + 0.32], color=color, linewidth=2)
            else:
                axes.text(
                    0.5,
                    place,
                    "not run",
                    transform=axes.get_yaxis_transform(),
                    va="center",
                    ha="center",
                    color="#767676",
                )
            words = "-" if paper is None else f"{paper:.2f}"
            axes.text(1.03, place, words, transform=axes.get_yaxis_transform(), va="center", color="#767676")
        axes.text(1.03, -0.9, "paper", transform=axes.get_yaxis_transform(), color="#767676")
        axes.set(xlabel="test accuracy, VGG5, T = 16, %", yticks=range(len(rows)), yticklabels=[row[0] for row in rows])
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
    images = dict(zip(digits.test_ids, digits.test_images, strict=True))
    for column, index in enumerate(SHOWN):
        picture = images[maps["image_ids"][index]].transpose(1, 2, 0)
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
