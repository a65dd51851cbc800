"""Figures 3 to 7 of the paper: ours as dots with intervals, and a cross where the paper prints a number."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lasnn.plan.cells import DIRECT_STEPS, Cell, elsewhere, focus_cell, paper_cells, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import SnnRun, as_snn
from lasnn.report import style
from lasnn.report.columns import FOLDS, METHOD_TITLES, dataset, numbers
from lasnn.report.exhibit import Figure
from lasnn.report.finished import metrics_of, training_log
from lasnn.report.frame import SEEDS, Line, each, of_cells
from lasnn.report.late import Drawing, pd
from lasnn.report.templates import DOTS, dots, only_run, with_steps
from lasnn.results.energy import averages
from lasnn.storage.marks import watched

CALIBRATED = {
    ("lasnn_act", "100"): "LaSNN",
    ("calibration", "32"): "calibration",
    ("calibration", "100"): "calibration",
}
# Ours in Figure 4: random weights without and with the layer-wise loss, and an untrained teacher.
CONTROLS = {
    ("hybrid", "scratch"): "hybrid training, random start",
    ("lasnn_act", "scratch"): "LaSNN, random start",
    ("lasnn_act", "random_teacher"): "LaSNN, untrained teacher",
}
STAGES = {"conversion": "conversion (no distillation)", "hybrid": "hybrid training (no layers)"}
MAPS = {("lasnn_act", "100"): "activation", ("lasnn_grad", "100"): "gradient", ("lasnn_grad", "30"): "gradient"}
INPUTS = {("poisson", "100"): "Poisson", ("direct", "50"): "direct", ("direct", "30"): "direct"}
ACCURACY, EQUAL, SIMILAR = "accuracy, equal training", "spikes, equal training", "spikes, similar accuracy"
COUNTED = ("conversion", "kd_label", "lasnn_act")  # methods of Figure 7
TOP1 = {"top1": ("accuracy, %", ".1f")}
SPIKES = "spikes per neuron and image"


def at_steps(exhibit: str, steps: Sequence[str], **key: str) -> list[Cell]:
    """The paper's cells of a figure, those with this key at each of these T, which it does not print."""
    ((name, value),) = key.items()
    return [
        one
        for cell in paper_cells(exhibit)
        for one in ([replace(cell, timesteps=at) for at in steps] if getattr(cell, name) == value else [cell])
    ]


def _beside(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    """Lines with what the paper prints for the same configuration in any of its tables."""
    return of_cells(cells, preset).assign(paper=pd.Series(map(elsewhere, cells), dtype=float))


def rows(lines: pd.DataFrame, panels: dict[str, tuple[str, str]], by: str = "metric", **options: Any) -> Drawing:
    """A panel (label, format) for each value of the column `by`: groups of lines of which something was run."""
    looks = style.looks_of(zip(lines["series"], lines["method"], strict=True))
    shown = only_run(lines)[0]
    return dots([(label, shown[shown[by] == one], form) for one, (label, form) in panels.items()], looks, **options)


def by_student(tidy: pd.DataFrame, series: pd.Series) -> pd.DataFrame:
    """Lines with their series, in groups by their network."""
    return tidy.assign(group=tidy["student"], series=series)


def stages(preset: Preset) -> list[Cell]:
    """Figure 4: the paper's nine, and for the student in focus the same three beside the controls that are run."""
    wanted = [tuple(name.split("+")) for name in preset.scope.ablations]
    controls = [control for control in CONTROLS if control in wanted]
    extra = [("conversion", "base"), ("hybrid", "base"), ("lasnn_act", "base"), *controls] if controls else []
    return [*paper_cells("Fig 4"), *(focus_cell(preset, "Fig 4", method, variant) for method, variant in extra)]


def _stages(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    tidy = _beside(cells, preset)
    keys = zip(tidy["method"], tidy["variant"], strict=True)
    tidy["series"] = [CONTROLS.get(key, STAGES.get(key[0], METHOD_TITLES[key[0]])) for key in keys]
    tidy["group"] = tidy["student"] + "\n" + dataset(tidy).groupby(tidy["student"]).transform("max")
    return tidy


def _told4(tidy: pd.DataFrame, preset: Preset) -> list[str]:
    left_out = ", ".join(" on ".join(name.splitlines()) for name in only_run(tidy)[1])
    said = "Crosses: printed in Tables II and IV for the same configuration; Figure 4 itself prints no number."
    return [said, *([f"Not run in this preset: {left_out}."] if left_out else [])]


def gradients(preset: Preset) -> list[Cell]:
    """Figure 5: accuracy (5a), epoch time and peak memory (5b)."""
    return list(paper_cells("Fig 5a", "Fig 5b"))


def _draw5(tidy: pd.DataFrame) -> Drawing:
    panels = TOP1 | {"epoch_time": ("minutes per epoch", ".2g"), "gpu_memory": ("peak memory, GB", ".2g")}
    return rows(by_student(tidy, with_steps(tidy, MAPS)), panels, log="minutes per epoch")


def encodings(preset: Preset) -> list[Cell]:
    """Figure 6: the paper's twelve, direct input at both T; Poisson input first."""
    found = at_steps("Fig 6", DIRECT_STEPS, encoding="direct")
    return sorted(found, key=lambda cell: cell.encoding == "direct")


def first_reaching(accuracies: list[float], target: float) -> int:
    """The first epoch, from 1 on, whose accuracy is at least `target`; the last one reaches it by construction."""
    return next(epoch for epoch, accuracy in enumerate(accuracies, 1) if accuracy >= target)


def _encodings(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    """A line for each panel, network and encoding; a run is also read where it first comes near the weakest."""
    lines: list[Line] = []
    runs = list(dict.fromkeys(as_snn(run) for cell in cells for run in runs_of(cell, preset)))
    for cell, row, own in each(cells, preset):
        if cell.metric == "top1":
            lines.append(row | {"panel": ACCURACY})
            continue
        found = [_read(run, _target(run, runs, preset), preset) for run in map(as_snn, own)]
        similar = _means(found) if found else {"ours": None, "sd": None}
        lines += [row | {"panel": EQUAL, "paper": None}, row | {"panel": SIMILAR} | similar]
    lines.sort(key=lambda line: [ACCURACY, EQUAL, SIMILAR].index(line["panel"]))
    return pd.DataFrame(lines).astype({"paper": float})


def _target(run: SnnRun, runs: list[SnnRun], preset: Preset) -> float:
    """The lowest final accuracy of this network and seed over all encodings, less the margin."""
    same = [one for one in runs if (one.dataset, one.student, one.seed) == (run.dataset, run.student, run.seed)]
    finals: list[float] = [training_log(one, preset)[-1]["test_accuracy"] for one in same]
    return min(finals) - preset.claims.similar


def _read(run: SnnRun, target: float, preset: Preset) -> dict[str, float]:
    """Epoch, accuracy in percent and spikes per neuron and image where the run first reaches `target`."""
    log = training_log(run, preset)
    epoch = first_reaching([line["test_accuracy"] for line in log], target)
    metrics = metrics_of(run, preset)
    line, layers = log[epoch - 1], metrics["spikes"]
    fired = sum(rate * layers[name]["neurons"] for name, rate in line["rates"].items())
    spikes = run.steps * fired / sum(layers[name]["neurons"] for name in line["rates"])
    found = {"epoch": epoch, "read_accuracy": line["test_accuracy"], "ours": spikes}
    return found | {"_watched": watched(metrics)}


def _means(found: list[dict[str, float]]) -> dict[str, Any]:
    """Means over seeds, and the spread of the spikes."""
    spikes = [one["ours"] for one in found]
    means: dict[str, Any] = {key: statistics.mean(one[key] for one in found) for key in found[0]}
    return means | {"sd": FOLDS["sd"](spikes), SEEDS: tuple(spikes)}


def _told6(tidy: pd.DataFrame, preset: Preset) -> list[str]:
    read = tidy[(tidy["panel"] == SIMILAR) & (tidy["n"] > 0)]
    parts = [
        f"{student} " + ", ".join(f"{epoch:g} ({at:.1f} %)" for epoch, at in zip(*columns, strict=True))
        for student, lines in read.groupby("student", sort=False)
        for columns in [(lines["epoch"], lines["read_accuracy"])]
    ]
    counts = tidy[tidy["panel"] == SIMILAR].dropna(subset=["paper"]).drop_duplicates("student")
    printed = [f"{name} {value:g}" for name, value in zip(counts["student"], counts["paper"], strict=True)]
    epochs = f", here epochs {'; '.join(parts)}" if parts else ""
    if parts and (read["_watched"] < read["test_images"]).any():  # the log's images
        epochs = f", on the first {numbers(read['_watched'])} test images, which training watched{epochs}"
    return [
        "Spikes: for each neuron and image, at most T, on all test images under the first encoder seed. Equal "
        "training: after the last epoch. Similar accuracy: each run after the first epoch that reaches the lowest "
        f"final accuracy of its network less {preset.claims.similar:g} points{epochs}.",
        "Crosses: for direct input the paper prints one accuracy, with T = 30 or 50, and no spikes; its spikes for "
        f"Poisson input ({', '.join(printed)}) exceed T = 100 twice: they are no spikes per neuron and image.",
    ]


def _draw6(tidy: pd.DataFrame) -> Drawing:
    lines = by_student(tidy, with_steps(tidy, INPUTS, "encoding"))
    lines["paper"] = lines["paper"].where(lines["panel"] == ACCURACY)
    panels = {ACCURACY: (f"{ACCURACY}, %", ".1f"), EQUAL: (EQUAL, ".2f"), SIMILAR: (SIMILAR, ".2f")}
    drawing = rows(lines, panels, "panel")
    counts = drawing.axes[1:]
    for axes in counts:
        axes.set_xlim(0, max(one.dataLim.x1 for one in counts) * 1.08)
    return drawing


def counted(preset: Preset) -> list[Cell]:
    """Figure 7: the paper's VGG7 on CIFAR-100; where a preset leaves it out, its student in focus."""
    first = [replace(cell, metric="top1", row_label=f"VGG7 {cell.method}") for cell in paper_cells("Fig 7")]
    paper = list(dict.fromkeys(cell for cell in first if cell.method in COUNTED))
    found = any(runs_of(cell, preset) for cell in paper)
    return paper if found else [focus_cell(preset, "Fig 7", name) for name in COUNTED]


def _counts(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    """A line for each convolution and method, with the threshold of the layer."""
    lines = []
    for cell, row, runs in each(cells, preset):
        found = [averages(metrics_of(run, preset)["spikes"], preset.energy.batch).by_layer for run in runs]
        thresholds = metrics_of(runs[0], preset)["thresholds"] if runs else {}
        for layer in (name for name in thresholds if not name.startswith(("f", "readout"))):
            values = [one[layer] for one in found]
            own = {"ours": statistics.mean(values), "sd": FOLDS["sd"](values), SEEDS: tuple(values), "paper": None}
            own |= {"threshold": thresholds[layer], "layer": layer, "series": METHOD_TITLES[cell.method]}
            lines.append(row | own)
    return pd.DataFrame(lines or of_cells(cells, preset).assign(layer="", threshold=None, series=""))


def _told7(tidy: pd.DataFrame, preset: Preset) -> list[str]:
    ran = tidy[tidy["layer"] != ""]
    if ran.empty:
        return []
    leaks = sorted(set(zip(ran["method"], ran["leak"], strict=True)))
    return [
        f"{ran['student'].iloc[0]}, T = {ran['ran_steps'].iloc[0]:g}. Thresholds θ (beside each layer, first "
        f"seed) are those of all three: balanced once, scaled by s = {ran['scale'].iloc[0]:g}. Leak: "
        f"{', '.join(f'{METHOD_TITLES[name]} {leak:g}' for name, leak in leaks)}. "
        "Counted on all test images, before dropout and pool. The paper prints no number here."
    ]


def _draw7(tidy: pd.DataFrame) -> Drawing:
    first = tidy[tidy["method"] == tidy["method"].iloc[0]].set_index("layer")["threshold"]
    groups = {layer: f"{layer}\nθ = {threshold:.2f}" for layer, threshold in first.items()}
    ordered = tidy.sort_values("layer", key=lambda names: names.map(list(groups).index), kind="stable")
    looks = style.looks_of(zip(tidy["series"], tidy["method"], strict=True))
    drawing = dots([(SPIKES, ordered.assign(group=ordered["layer"].map(groups)), ".2f")], looks)
    drawing.axes[0].set_xlim(left=0)
    return drawing


EXHIBITS = {
    "figure3": Figure(
        "Figure 3: LaSNN and SNN calibration",
        lambda preset: at_steps("Fig 3", ("32", "100"), method="calibration"),
        lambda tidy: rows(by_student(tidy, with_steps(tidy, CALIBRATED)), TOP1),
        lines=_beside,
        told="LaSNN: signed Poisson input. Calibration: direct input, no training (bias correction), so another "
        "budget. Crosses: LaSNN in Table II; Figure 3 itself prints no number, nor at which T or how it calibrates.",
        ours=DOTS,
    ),
    "figure4": Figure(
        "Figure 4: ablation, with controls",
        stages,
        lambda tidy: rows(tidy, TOP1, columns=3),
        lines=_stages,
        told=_told4,
        ours=DOTS,
    ),
    "figure5": Figure(
        "Figure 5: activation- and gradient-based distillation",
        gradients,
        _draw5,
        lines=_beside,
        told="Time: mean of all epochs, with the look at the test images after each. Memory: the device's peak, on a "
        "CPU the process's (provenance.json names the device). Crosses: Table II for accuracy, the text on one RTX "
        "3090 for time and memory; other networks and data than the paper's where n_train is not 50000.",
        ours=DOTS,
        logs=True,
        costs=True,
    ),
    "figure6": Figure(
        "Figure 6: Poisson and direct input",
        encodings,
        _draw6,
        lines=_encodings,
        told=_told6,
        ours=DOTS,
        logs=True,
        sections=("scope", "claims"),
    ),
    "figure7": Figure(
        "Figure 7: spikes of each convolution",
        counted,
        _draw7,
        lines=_counts,
        told=_told7,
        ours=DOTS,
        sections=("scope", "energy"),
    ),
}
