"""The frame of runs, a line for each finished run with flat columns (`columns.py`), and the lines of exhibits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lasnn.plan.cells import DATASETS, KEYS, Cell, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run
from lasnn.plan.vocabulary import KNOWN_DATASETS, pick
from lasnn.report.columns import COLUMNS, FOLDS
from lasnn.report.finished import metrics_of, same_images
from lasnn.report.late import pd

OF_RUNS = tuple(name for name, column in COLUMNS.items() if column.of)
METRICS = {"top1": "accuracy", "avg_spikes": "spikes", "epoch_time": "epoch_minutes", "gpu_memory": "peak_gigabytes"}
# Columns of an exhibit's lines that only a cell with runs fills; words keep their kind where all are empty.
WORDS = ("ran_dataset", "assessed", "logit_scale", "revision", "runs", "warnings")
FILLED = ("subset", "ran_steps", "train_images", "test_images", "scale", "leak", "as_printed", "teacher_weaker")
# For figures, in no CSV: values of all seeds, the variant's title, and on how many images where these are not all.
SEEDS, TITLE, IMAGES = "_seeds", "_title", "_images"
Line = dict[Any, Any]  # column -> value


def frame(runs: Iterable[Run], preset: Preset, names: Sequence[str] = OF_RUNS) -> pd.DataFrame:
    """A line for each of these finished runs; InputError for one that doesn't fit the plan or an unknown column."""
    of = {name: pick({known: COLUMNS[known].of for known in OF_RUNS}, name, "column") for name in names}
    found = [(run, metrics_of(run, preset)) for run in runs]
    return pd.DataFrame({name: [value(*one, preset) for one in found] for name, value in of.items() if value})


def of_cells(cells: Sequence[Cell], preset: Preset, more: str = "") -> pd.DataFrame:
    """A line for each cell: its keys, the paper's value, ours over seeds, and what a number has to be seen with.

    `more`: further columns of the frame, empty where no run has a value. With `start` among them the scale of a network
    that starts from random weights is left out: its thresholds are 1, whatever was balanced.
    """
    extra = more.split()
    behind = [(place, run) for place, cell in enumerate(cells) for run in dict.fromkeys(runs_of(cell, preset))]
    folds = {name: COLUMNS[name].fold for name in (*WORDS, *FILLED, *extra, "from_converted") if name in COLUMNS}
    measures = [METRICS[cells[place].metric] for place, _ in behind]
    each = frame((run for _, run in behind), preset, list(dict.fromkeys([*folds, *measures])))
    each["ours"] = [each[name].iloc[line] for line, name in enumerate(measures)]
    each["runs"] = [str(run) for _, run in behind]
    each["as_printed"] = [as_printed(cells[place], run, metrics_of(run, preset)) for place, run in behind]
    folds |= {"ours": "mean", "runs": "each", "as_printed": "first"}
    lines = {}
    for place, seeds in each.groupby(pd.Series([place for place, _ in behind], each.index), sort=False):
        values = {name: list(seeds[name]) for name in folds}
        same_images([metrics_of(run, preset) for at, run in behind if at == place])
        lines[place] = {name: FOLDS[fold](values[name]) for name, fold in folds.items()}
        lines[place] |= {"sd": FOLDS["sd"](values["ours"]), "n": len(seeds), SEEDS: tuple(values["ours"])}
    found = [
        {key: getattr(cell, key) for key in (*KEYS, "variant", "unit", "paper", "quoted")}
        | {"n": 0, "preset": preset.name, SEEDS: (), TITLE: preset.config.title(cell.variant)}
        | lines.get(place, {})
        for place, cell in enumerate(cells)
    ]
    head = (*KEYS, "variant", "unit", "paper", "quoted", "ours", "sd", "n", "preset")
    tidy = pd.DataFrame(found, columns=[*head, *WORDS, *FILLED, *extra, SEEDS, TITLE, "from_converted"])
    if "start" in extra:
        tidy.loc[tidy["from_converted"].eq(False), "scale"] = None
    kinds = dict.fromkeys(WORDS, object) | dict.fromkeys(("ours", "sd", "paper", *extra), float)
    return tidy.drop(columns="from_converted").astype(kinds)


def each(cells: Sequence[Cell], preset: Preset, more: str = "") -> list[tuple[Cell, Line, list[Run]]]:
    """Each cell with its line, as `of_cells` makes it, and its runs."""
    lines = of_cells(cells, preset, more).to_dict("records")
    return [(cell, line, runs_of(cell, preset)) for cell, line in zip(cells, lines, strict=True)]


def as_printed(cell: Cell, run: Run, metrics: dict) -> bool:
    """Whether a run is of the paper's own size: the cell's dataset with all images, width, input and T."""
    known, data = KNOWN_DATASETS.get(run.dataset), metrics["data"]
    network = metrics.get("settings", {}).get("network") or {}
    whole = known is not None and (data["train_images"], data["test_images"]) == (known.train, known.test)
    wide = network.get("width") == 1 and network.get("fc") is None
    steps = str(getattr(run, "steps", cell.timesteps))
    fed = getattr(run, "encoder", cell.encoding) == cell.encoding and cell.timesteps in ("", steps)
    return whole and wide and fed and DATASETS.get(cell.dataset) == run.dataset


def csv(tidy: pd.DataFrame) -> str:
    """What the CSV of an exhibit says."""
    return tidy[[name for name in tidy if not str(name).startswith("_")]].to_csv(index=False)
