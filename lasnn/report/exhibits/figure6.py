"""Figure 6: Poisson against direct input: accuracy, and spikes both at equal training and at similar accuracy."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

from lasnn.plan.cells import Cell, paper_cells, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import SnnRun, as_snn
from lasnn.report import bars, rows, style
from lasnn.report.exhibit import Figure, with_training_logs
from lasnn.report.late import pd
from lasnn.report.style import ENCODER_STYLE, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

DIRECT_STEPS = ("50", "30")  # the paper names both T and not which network has which
ACCURACY, EQUAL, SIMILAR = "accuracy, equal training", "spikes, equal training", "spikes, similar accuracy"
LOOKS = {("poisson", "100"): ENCODER_STYLE["poisson"], ("direct", "50"): ENCODER_STYLE["direct"]}
LOOKS |= {("direct", "30"): Look("#cc78bc", "^", "..", (2, 1))}


def cells(preset: Preset) -> list[Cell]:
    """The paper's twelve, direct input at both T; Poisson input first."""
    found = [
        one
        for cell in paper_cells("Fig 6")
        for one in ([cell] if cell.encoding == "poisson" else [replace(cell, timesteps=t) for t in DIRECT_STEPS])
    ]
    return sorted(found, key=lambda cell: cell.encoding == "direct")


def first_reaching(accuracies: list[float], target: float) -> int:
    """The first epoch, from 1 on, whose accuracy is at least `target`; the last one reaches it by construction."""
    return next(epoch for epoch, accuracy in enumerate(accuracies, 1) if accuracy >= target)


class Encodings(Figure):
    """A line for each panel, network and encoding. A run is also read where it first comes near the weakest of its
    network and seed.
    """

    def read(self, preset: Preset) -> list[str]:
        return with_training_logs(preset, self.files(preset), self.runs(preset))

    def tidy(self, preset: Preset) -> pd.DataFrame:
        cells, lines = self.cells(preset), []
        for cell, row in zip(cells, rows.table(cells, preset).to_dict("records"), strict=True):
            if cell.metric == "top1":
                lines.append(row | {"panel": ACCURACY})
                continue
            lines.append(row | {"panel": EQUAL, "paper": None})
            found = [_read(run, self._target(run, preset), preset) for run in map(as_snn, runs_of(cell, preset))]
            lines.append(row | {"panel": SIMILAR} | _mean(found))
        order = [ACCURACY, EQUAL, SIMILAR].index
        lines.sort(key=lambda line: order(line["panel"]))
        return pd.DataFrame(lines).astype({"paper": float})

    def _target(self, run: SnnRun, preset: Preset) -> float:
        """The lowest final accuracy of this network and seed over all encodings, less the margin."""
        rivals = [one for one in self.runs(preset) if _who(as_snn(one)) == _who(run)]
        finals: list[float] = [rows.training_log(one, preset)[-1]["test_accuracy"] for one in rivals]
        return min(finals) - preset.claims.similar

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        return [
            *super().notes(tidy, preset),
            "Spikes: for each neuron and image, at most T, on all test images under the first encoder seed. Equal "
            "training: after the last epoch. Similar accuracy: each run after the first epoch that reaches the lowest "
            f"final accuracy of its network less {preset.claims.similar:g} points{_epochs(tidy)}.",
            "Crosses: for direct input the paper prints one accuracy, with T = 30 or 50, and no spikes; its spikes for "
            "Poisson input exceed T = 100 twice: they are no spikes per neuron and image, so they stand in words.",
        ]


def _who(run: SnnRun) -> tuple[str, str, int]:
    return run.dataset, run.student, run.seed


def _read(run: SnnRun, target: float, preset: Preset) -> dict:
    """Epoch, accuracy in percent and spikes per neuron and image where the run first reaches `target`."""
    lines = rows.training_log(run, preset)
    epoch = first_reaching([line["test_accuracy"] for line in lines], target)
    line, layers = lines[epoch - 1], rows.metrics_of(run, preset)["spikes"]
    fired = sum(rate * layers[name]["neurons"] for name, rate in line["rates"].items())
    spikes = run.steps * fired / sum(layers[name]["neurons"] for name in line["rates"])
    return {"epoch": epoch, "read_accuracy": line["test_accuracy"], "ours": spikes}


def _mean(found: list[dict]) -> dict:
    """Means over seeds, and the spread of the spikes."""
    if not found:
        return {"ours": None, "sd": None}
    values = [one["ours"] for one in found]
    means = {key: statistics.mean(one[key] for one in found) for key in found[0]}
    return means | {"sd": statistics.stdev(values) if len(values) > 1 else None}


def _epochs(tidy: pd.DataFrame) -> str:
    """Where the runs were read, in the order of the bars."""
    if "epoch" not in tidy:
        return ""
    read = tidy[(tidy["panel"] == SIMILAR) & (tidy["n"] > 0)]
    parts = [
        f"{student} " + ", ".join(f"{epoch:g} ({at:.1f} %)" for epoch, at in part)
        for student, part in (
            (student, zip(lines["epoch"], lines["read_accuracy"], strict=True))
            for student, lines in read.groupby("student", sort=False)
        )
    ]
    return f", here epochs {'; '.join(parts)}"


def draw(tidy: pd.DataFrame) -> Drawing:
    """A panel for accuracy and two for spikes, a group of bars for each network."""
    names, looks = {}, {}
    for (encoder, steps), look in LOOKS.items():
        ran = tidy.loc[(tidy["encoding"] == encoder) & (tidy["timesteps"] == steps), "ran_steps"].dropna()
        title = {"poisson": "Poisson"}.get(encoder, encoder)
        names[encoder, steps] = f"{title}, T = {steps if ran.empty else format(ran.iloc[0], 'g')}"
        looks[names[encoder, steps]] = look
    series = [names[key] for key in zip(tidy["encoding"], tidy["timesteps"], strict=True)]
    lines, _ = bars.only_run(tidy.assign(group=tidy["student"], series=series))
    drawing, (panels,) = style.sheet(1, 3, height=2.6)
    for axes, name in zip(panels, (ACCURACY, EQUAL, SIMILAR), strict=True):
        part, counts = lines[lines["panel"] == name], name != ACCURACY
        own = part.assign(paper=None) if counts else part
        bars.grouped(axes, own, looks, "{:.2f}" if counts else "{:.1f}", upright=True)
        axes.set_title(name, fontsize=8)
        axes.set_ylabel("spikes per neuron and image") if counts else bars.accuracies(axes, part)
        if counts and part["paper"].notna().any():
            _printed(axes, part)
    panels[2].set_ylim(top=1.15 * max(axes.get_ylim()[1] for axes in panels[1:]))  # sharing takes the limits of one
    panels[1].sharey(panels[2])
    style.legend(drawing)
    return drawing


def _printed(axes: Axes, lines: pd.DataFrame) -> None:
    """The printed spikes in words: they are another quantity than ours, so no mark among our bars stands for them."""
    found = lines.dropna(subset=["paper"]).drop_duplicates("group")
    values = ", ".join(f"{group} {value:g}" for group, value in zip(found["group"], found["paper"], strict=True))
    said = f"the paper, of another definition:\n{values} (Poisson)"
    axes.text(0.02, 0.975, said, transform=axes.transAxes, **bars.INSIDE)


EXHIBIT = Encodings("Figure 6: Poisson and direct input", cells, draw, sections=("scope", "claims"))
