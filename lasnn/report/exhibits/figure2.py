"""Figure 2: attention maps of the teacher and of the student that it taught, at three levels, on 8 test images."""

from __future__ import annotations

import numpy as np

from lasnn.datasets.arrays import load
from lasnn.plan.cells import Cell, focus_cell, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, SnnRun, as_snn
from lasnn.plan.vocabulary import LEVELS
from lasnn.report import style
from lasnn.report.exhibit import Figure
from lasnn.report.finished import metrics_of
from lasnn.report.frame import of_cells
from lasnn.report.late import Drawing, pd
from lasnn.results.scores import judged_by
from lasnn.storage import files

SHOWN = 8


def cells(preset: Preset) -> list[Cell]:
    """LaSNN's student in focus."""
    return [focus_cell(preset, "Fig 2", "lasnn_act")]


class Maps(Figure):
    """Draws what the first seed's run kept, and the images from the prepared data file."""

    def files(self, preset: Preset) -> list[str]:
        return [*super().files(preset), *(path for run in _first(preset) for path in _arrays(preset, run))]

    def picture(self, tidy: pd.DataFrame, preset: Preset) -> Drawing:
        runs = _first(preset)
        return draw(_images(preset, runs[0]), _maps(preset, runs[0])) if runs else style.nothing()


def _distances(found: list[Cell], preset: Preset) -> pd.DataFrame:
    """A line for each image and level: the distance of its two maps, which is what the loss adds up."""
    tidy = of_cells(found, preset)
    lines = [
        {"image": image, "level": level, "distance": float(np.linalg.norm(teacher[image] - student[image]))}
        for run in _first(preset)
        for level, (teacher, student) in _maps(preset, run).items()
        for image in range(len(teacher))
    ]
    return tidy.merge(pd.DataFrame(lines, columns=["image", "level", "distance"]), how="cross") if lines else tidy


def _told(tidy: pd.DataFrame, preset: Preset) -> list[str]:
    names = [f"{run.student} taught by {run.teacher}, {run.encoder} input, T = {run.steps}" for run in _first(preset)]
    return [
        f"The first {SHOWN} test images; {names[0] if names else 'nothing run'}. Maps as the loss compares them: "
        "mean over channels of squared activations (teacher) and firing rates (student), at the smaller "
        "resolution, each a unit vector; brightest is the map's largest entry. Below a pair: the distance of the "
        "two (0: equal, 1.41: nothing in common)."
    ]


def draw(images: np.ndarray, maps: dict[str, tuple[np.ndarray, np.ndarray]]) -> Drawing:
    """Images [n, side, side, 3] in the first row, then for each level the teacher's and the student's maps."""
    count = len(images)
    drawing, panels = style.sheet(1 + 2 * len(maps), count, height=0.9 + 0.8 * (1 + 2 * len(maps)))
    drawing.set_layout_engine("constrained", w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    rows = [("image", images)]
    for level, pair in maps.items():
        rows += [(f"{level}\n{name}", map_) for name, map_ in zip(("teacher", "student"), pair, strict=True)]
    for (name, pictures), line in zip(rows, panels, strict=True):
        for axes, picture in zip(line, pictures, strict=True):
            shown = axes.imshow(picture, cmap="viridis", vmin=0, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.grid(visible=False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
    for index, (teacher, student) in enumerate(maps.values()):
        for axes, one, other in zip(panels[2 + 2 * index], teacher, student, strict=True):
            axes.set_xlabel(f"{np.linalg.norm(one - other):.2f}", fontsize=6, labelpad=1)
    bar = drawing.colorbar(shown, ax=[axes for line in panels for axes in line], shrink=0.4, aspect=30, pad=0.02)
    bar.set_ticks([0, picture.max()], labels=["0", "a map's\nlargest"], fontsize=6)
    return drawing


def _first(preset: Preset) -> list[SnnRun]:
    return [as_snn(run) for run in runs_of(cells(preset)[0], preset)[:1]]


def _arrays(preset: Preset, run: Run) -> list[str]:
    return [f"{preset.folder(run)}/predictions.npz", preset.config.data_file(run.dataset)]


def _maps(preset: Preset, run: Run) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    kept = files.read_arrays(_arrays(preset, run)[0])
    pairs = {level: (kept[f"maps_teacher_{level}"], kept[f"maps_student_{level}"]) for level in LEVELS}
    return {level: (one.astype(float), other.astype(float)) for level, (one, other) in pairs.items()}  # kept as halves


def _images(preset: Preset, run: Run) -> np.ndarray:
    """The images [n, side, side, 3] whose maps were kept."""
    prepared = load(preset.config.data_file(run.dataset))
    split, places = judged_by(metrics_of(run, preset)["data"])
    pixels: np.ndarray = getattr(prepared, f"{split}_images")
    return pixels[places][:SHOWN].transpose(0, 2, 3, 1)


EXHIBITS = {
    "figure2": Maps(
        "Figure 2: attention maps of teacher and student",
        cells,
        lambda tidy: style.nothing(),
        lines=_distances,
        told=_told,
        shows_images=True,
    )
}
