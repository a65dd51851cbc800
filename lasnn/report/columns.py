"""Every column of tables, of the numbers behind them and of the frame of runs: one line each, used everywhere.

A column of the frame has `of`, its value for a run, and `fold`, how the runs of a cell become one value. A column of a
table has `head` and a format; where its text is more than a formatted value, `show` writes it from the table's lines.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lasnn.plan.runs import BASE, parse
from lasnn.plan.vocabulary import METHODS, pick
from lasnn.report import finished
from lasnn.report.late import pd
from lasnn.report.readings import (
    Of,
    analog_joules,
    average,
    epoch_minutes,
    field,
    joules,
    level,
    peak_gigabytes,
    said,
    share,
    silent,
)
from lasnn.storage.marks import from_converted, marks_of, start_of

METHOD_TITLES = {name: method.title for name, method in METHODS.items()} | {
    "ann": "ANN",
    "ann_teacher": "teacher ANN",
    "lasnn_act": "LaSNN",
}
MARK = "†"  # behind a number that a note says more of

# How the values of a cell's runs become one; of numbers a run may lack, those that are there.
FOLDS: dict[str, Callable[[list[Any]], Any]] = {
    "mean": lambda values: statistics.mean(there) if (there := [one for one in values if pd.notna(one)]) else None,
    "sd": lambda values: statistics.stdev(values) if len(values) > 1 else None,
    "first": lambda values: values[0],
    "any": any,
    "all": all,
    "each": " ".join,
    "kinds": lambda values: " ".join(sorted(set(values))),
    "notes": lambda values: " | ".join(filter(None, values)),
}


@dataclass(frozen=True)
class Column:
    """`form` is a format specification, empty for words; `missing` is written where there is no value.

    `reads`: the column of the lines that a table's column shows, where it is called otherwise.
    """

    meaning: str
    unit: str = ""
    of: Of | None = None
    fold: str = "mean"
    head: str = ""
    form: str = ".2f"
    missing: str = "-"
    show: Callable[[pd.DataFrame], Any] | None = None
    reads: str = ""

    def texts(self, name: str, tidy: pd.DataFrame) -> list[str]:
        """What a table says in this column, line by line."""
        if self.show is not None:
            return list(self.show(tidy))
        return [
            self.missing if pd.isna(value) or value == "" else format(value, self.form)
            for value in tidy[self.reads or name]
        ]


def shown(tidy: pd.DataFrame, names: str) -> pd.DataFrame:
    """These columns, named in one string, as a reader sees them; InputError for a column that isn't known."""
    found = {name: pick(COLUMNS, name, "column") for name in names.split()}
    return pd.DataFrame({one.head or name: one.texts(name, tidy) for name, one in found.items()})


def number(mean: float | None, sd: float | None = None, n: int | None = None, warnings: object = None) -> str:
    """A value as a table shows it: `-` where nothing was run, `±` where several seeds were, `†` with a warning."""
    if mean is None or pd.isna(mean):
        return "-"
    spread = "" if sd is None or pd.isna(sd) else f" ± {sd:.2f}"
    count = "" if n is None else f" (n={n:g})"
    return f"{mean:.2f}{spread}{count}{MARK if isinstance(warnings, str) and warnings else ''}"


def numbers(values: Iterable[float]) -> str:
    """Different values in their order."""
    return ", ".join(f"{value:g}" for value in sorted(set(values)))


def dataset(tidy: pd.DataFrame) -> pd.Series:
    """The paper's dataset, and ours where it is another."""
    other = (tidy["n"] > 0) & (tidy["ran_dataset"] != tidy["dataset"])
    return tidy["dataset"].where(~other, tidy["ran_dataset"] + " (for " + tidy["dataset"] + ")")


def _method(tidy: pd.DataFrame) -> pd.Series:
    """The method's title; what the paper quotes is no reconstruction."""
    return tidy["method"].map(METHOD_TITLES).mask((tidy["method"] == "kd_spike") & tidy["quoted"].eq(True), "spike KD")


def _steps(tidy: pd.DataFrame) -> pd.Series:
    """The paper's T, and ours where it is another; of spike KD the paper names none that ours could differ from."""
    ours = tidy["ran_steps"].map(lambda value: "" if pd.isna(value) else f"{value:g}")
    paper = tidy["timesteps"].where(tidy["timesteps"] != "", "-")
    stands = (tidy["method"] == "kd_spike").map({True: " (for ", False: " (paper: "})
    return paper.where((ours == "") | (ours == paper), ours + stands + paper + ")")


def _input(tidy: pd.DataFrame) -> pd.Series:
    """The paper's encoder, and ours where it is another; of a frame of runs it is theirs."""
    paper = tidy["encoding"].fillna("").replace("", "-")
    if "runs" not in tidy:
        return paper
    ours = tidy["runs"].fillna("").map(lambda runs: getattr(parse(runs.split()[0]), "encoder", "") if runs else "")
    return paper.where((ours == "") | (ours == paper), ours + " (paper: " + paper + ")")


def accuracy(tidy: pd.DataFrame) -> list[str]:
    """Mean ± sd (n), marked where a run behind it needs a warning."""
    return [number(*line) for line in zip(tidy["ours"], tidy["sd"], tidy["n"], tidy["warnings"], strict=True)]


def _settled(tidy: pd.DataFrame) -> list[str]:
    return [
        "-" if pd.isna(change) else "yes" if abs(change) < error else "no"
        for change, error in zip(tidy["change"], tidy["standard_error"], strict=True)
    ]


def _snn_joules(tidy: pd.DataFrame) -> list[str]:
    pairs = zip(tidy["joules"], tidy["joules_pessimistic"], strict=True)
    return [f"{1e6 * one:.2f}" + ("" if one == other else f" ({1e6 * other:.2f})") for one, other in pairs]


def _work(tidy: pd.DataFrame) -> pd.Series:
    quoted = tidy["quoted"].map({True: " (quoted)", False: ""})
    return tidy["row_label"].str.replace("This work", "LaSNN") + quoted


def _unlike_base(tidy: pd.DataFrame) -> pd.Series:
    return tidy["variant"].where(tidy["variant"] != BASE, "-")


DATASET = Column("dataset of the paper; with another in brackets, that stood for it", head="dataset", show=dataset)
UNLIKE_BASE = Column("variant, `-` for base", head="variant", form="", show=_unlike_base)

COLUMNS: dict[str, Column] = {
    # who a run is
    "run": Column("path below the preset's folder", of=lambda run, metrics, preset: str(run), form=""),
    "kind": Column("ann, converted or snn", of=field("kind"), form=""),
    "source": Column("dataset's id in config.yaml", of=field("dataset"), form=""),
    "ran_dataset": Column("dataset's title", of=said("data", "title"), fold="first", form=""),
    "student": Column(
        "network: ANN, converted or spiking",
        of=lambda run, metrics, preset: preset.config.networks.title(run.network_name),
        head="network",
        form="",
    ),
    "method": Column("method of a spiking run", of=field("method"), form="", show=_method),
    "encoding": Column(
        "encoder; the paper's in brackets where it is another", of=field("encoder"), head="input", form="", show=_input
    ),
    "ran_steps": Column("T", "steps", of=field("steps"), fold="first", head="T", form="g"),
    "taught_by": Column("teacher's id", of=field("teacher"), form=""),
    "variant": Column("overlay of config.yaml, `base` without any", of=field("variant", BASE), form=""),
    "seed": Column("seed of the whole chain", of=field("seed"), fold="", form="g"),
    "subset": Column("whether the source has a part of the dataset", of=said("data", "subset"), fold="first"),
    "train_images": Column("training images", of=said("data", "train_images"), fold="first", form="g"),
    "test_images": Column("images that it was judged by", of=said("data", "test_images"), fold="first", form="g"),
    "assessed": Column("test, or held_out training images", of=said("data", "assessed"), fold="first", form=""),
    # what it reached
    "accuracy": Column("accuracy", "%", said("accuracy"), head="accuracy, %", show=accuracy),
    "accuracy_of_run": Column("accuracy", "%", head="accuracy, %", reads="accuracy"),
    "train_accuracy": Column("accuracy on training images of the choices", "%", said("train_accuracy")),
    "start": Column(
        "accuracy before training, on training images of the choices",
        "%",
        lambda run, metrics, preset: start_of(metrics),
        head="start, %",
    ),
    "ann": Column("accuracy of its own ANN", "%", said("ann_accuracy"), head="ANN, %"),
    "teacher_accuracy": Column("accuracy of its teacher", "%", said("teacher_accuracy"), head="teacher, %"),
    "epochs": Column("epochs of training", "", level("epochs"), "first", "epochs", "g"),
    "before": Column(
        "accuracy before the last fifth of the epochs", "%", level("before"), head="before the last fifth, %"
    ),
    "end": Column("accuracy after the last epoch", "%", level("end"), head="end, %"),
    "best_epoch": Column(
        "accuracy of the best epoch above the last's, on the test images watched in training",
        "points",
        level("best"),
        head="best epoch, points",
    ),
    "standard_error": Column("of `end`, binomial", "points", level("standard_error"), head="standard error"),
    # what was chosen for it
    "scale": Column("threshold scale s", "", said("choices", "scale"), "first", "s", ".1f"),
    "leak": Column("leak of the membrane", "", said("choices", "leak"), "first", "leak"),
    "logit_scale": Column("reading of the logits", "", said("choices", "logit_scale"), "first", "logits", ""),
    "attention_share": Column(
        "the attention loss's share of the gradient before training, the largest level's",
        of=share,
        head="share of the gradient",
    ),
    "added_share": Column(
        "norm of the gradient of all that is added to cross-entropy, over cross-entropy's, before training",
        of=said("added_share", "start"),
        head="added / CE gradient, start",
        form=".3f",
    ),
    "added_share_end": Column("the same after training", of=said("added_share", "end"), head="end", form=".3f"),
    "from_converted": Column(
        "whether it starts as the converted network",
        of=lambda run, metrics, preset: from_converted(metrics),
        fold="all",
    ),
    # what it spends on an image
    "spikes": Column("spikes of a neuron, at most T", "", average("network"), head="spikes per neuron", form=".3f"),
    "network_spikes": Column("`spikes`", head="per neuron", form=".3f"),
    "layers_added": Column(
        "averages of all layers, summed", "", average("layers_added"), head="layers added", form=".3f"
    ),
    "batch_added": Column(
        "`spikes` not divided by the batch", "", average("batch_added"), head="not divided by the batch"
    ),
    "spikes_per_image": Column("spikes of all neurons", "", average("per_image"), head="spikes per image", form=".0f"),
    "silent": Column("neurons that never spike", "%", silent, head="silent, %", form=".1f"),
    "synops": Column("synaptic operations", "", said("operations", "synops"), head="SynOps per image", form=",.0f"),
    "macs": Column("multiply-adds of the ANN", "", said("operations", "macs"), form=",.0f"),
    "joules": Column("energy of the SNN", "J", joules(), head="SNN, µJ", show=_snn_joules),
    "joules_pessimistic": Column("the same, an analog first layer computed in each step", "J", joules(each=True)),
    "ann_joules": Column(
        "energy of its ANN",
        "J",
        analog_joules,
        head="ANN, µJ",
        show=lambda tidy: [f"{1e6 * one:.2f}" for one in tidy["ann_joules"]],
    ),
    "microjoules": Column("energy of the SNN", "µJ", joules(unit=1e6), head="SNN, µJ"),
    # what it cost
    "epoch_minutes": Column("wall time of an epoch of training, mean", "min", epoch_minutes, head="minutes per epoch"),
    "peak_gigabytes": Column("peak memory of the device, else of the process", "GB", peak_gigabytes),
    "seconds": Column("wall time", "s", lambda run, metrics, preset: finished.provenance(run, preset).get("seconds")),
    # what a reader must know
    "warnings": Column(
        "what a reader of the number must be warned of",
        of=lambda run, metrics, preset: " | ".join(f"{run}: {mark}" for mark in marks_of(metrics)),
        fold="notes",
        form="",
    ),
    "teacher_weaker": Column(
        "whether the teacher is weaker than its ANN",
        of=lambda run, metrics, preset: bool(metrics.get("teacher_weaker")),
        fold="any",
    ),
    "revision": Column(
        "kind and revision of the code",
        of=lambda run, metrics, preset: f"{metrics['run']['kind']}{metrics['revision']}",
        fold="kinds",
        form="",
    ),
    # of lines of tables
    "dataset": DATASET,
    "data": Column(DATASET.meaning, head="data", show=dataset),
    "work": Column("work, as the paper names it", head="work", show=_work),
    "teacher": Column(
        "teacher's id",
        head="teacher",
        show=lambda tidy: [line.split("/")[5] if line else "-" for line in tidy["runs"].fillna("")],
    ),
    "steps": Column("our T; the paper's in brackets where it is another", head="T", show=_steps),
    "steps_for": Column(
        "our T, standing for another",
        head="T",
        show=lambda tidy: [
            f"{'-' if pd.isna(ours) else format(ours, 'g')} (standing for {paper})"
            for ours, paper in zip(tidy["ran_steps"], tidy["timesteps"], strict=True)
        ],
    ),
    "timesteps": Column("the paper's T", head="T", form=""),
    "ours": Column("mean ± sd over n seeds", "%", head="ours, %", show=accuracy),
    "paper": Column("what the paper prints", "%", head="paper, %"),
    "paper_spikes": Column("what the paper prints", head="paper"),
    "n": Column("seeds", show=lambda tidy: tidy["n"]),
    "form": Column("form of calibration", form=""),
    "changes": Column("what the variant changes", form=""),
    "unlike_base": UNLIKE_BASE,
    "option": Column(UNLIKE_BASE.meaning, show=_unlike_base),
    "difference": Column(
        "difference to the base runs with the same seeds",
        "points",
        head="to base, points",
        show=lambda tidy: [
            "-" if name == BASE or pd.isna(value) else f"{value:+.2f}"
            for name, value in zip(tidy["variant"], tidy["difference"], strict=True)
        ],
    ),
    "to_ann": Column("difference to the ANN", "points", head="to ANN, points", form="+.2f"),
    "p_base": Column(
        "p of the sign-flip test against the base runs", head="p, these networks", form=".2g", reads="p_holm"
    ),
    "p_holm": Column(
        "p of the sign-flip test against calibration", head="p of these networks, calibration", form=".2g"
    ),
    "p_hybrid_holm": Column(
        "p of the sign-flip test against hybrid training", head="p of these networks, hybrid", form=".2g"
    ),
    "energy_ratio": Column(
        "energy of the ANN over that of the SNN",
        head="ANN / SNN",
        show=lambda tidy: [number(one) for one in tidy["ann_joules"] / tidy["joules"]],
    ),
    "change": Column(
        "accuracy after the last epoch less that before the last fifth", "points", head="change, points", form="+.2f"
    ),
    "level": Column("whether the change is below the standard error", head="level", show=_settled),
    "reading": Column("reading of the logits", head="logits", form=""),
    "tap": Column("level of the attention loss", head="level", form="", reads="level"),
    "share": Column(
        "the attention loss's share of the gradient before training", head="start", form=".4f", reads="start"
    ),
    # of methods at equal budget (Table S10)
    "series": Column("method, and what is varied of it", head="method", form=""),
    "beside": Column("the row that it is compared with", head="beside", form=""),
    "above": Column(
        "points above that row, with an interval",
        "points",
        head="above, points",
        show=lambda tidy: [
            "-" if pd.isna(one) else f"{one:+.2f}" + ("" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]")
            for one, low, high in zip(tidy["difference"], tidy["low"], tidy["high"], strict=True)
        ],
    ),
    "verdict": Column("what the seeds say of it", head="verdict", form=""),
    "trials": Column("settings tried on held-out images", head="trials", form="g"),
    # of a converted network's curve (Table S3)
    "curve_scale": Column("threshold scale s of the curve", head="s", form="g"),
    "curve_ann": Column("accuracy of the ANN on the curve's images", "%", head="ANN, %"),
    "t_star_1": Column(
        "T* at the ANN's accuracy less 1", "steps", head="T* (ANN - 1)", form="g", missing="not reached"
    ),
    "t_star_2": Column(
        "T* at the ANN's accuracy less 2", "steps", head="T* (ANN - 2)", form="g", missing="not reached"
    ),
    "curve_lasnn": Column("accuracy of LaSNN on the curve's images", "%", head="LaSNN, %"),
    "lasnn_steps": Column("T of LaSNN", "steps", head="LaSNN's T", form="g"),
    "t_star_lasnn": Column("T* at LaSNN's accuracy", "steps", head="T* (LaSNN)", form="g", missing="not reached"),
    "speed_up": Column("T* (LaSNN) over LaSNN's T", head="speed-up", form=".1f"),
    "spread": Column("difference of thresholds between balancing batches", head="spread"),
}
