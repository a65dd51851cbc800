"""What training logs say (ours): whether each training has levelled off (S6), and the attention loss's share (S9)."""

from __future__ import annotations

from dataclasses import replace

from lasnn.plan.cells import Cell, focus_cell, logit_scale_of, regime_cells, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run
from lasnn.plan.vocabulary import LEVELS, METHODS
from lasnn.report.columns import COLUMNS, FOLDS, shown
from lasnn.report.exhibit import Table
from lasnn.report.exhibits import claims, printed, tables, variants
from lasnn.report.finished import metrics_of, training_log
from lasnn.report.frame import WORDS, each, of_cells
from lasnn.report.late import pd

SHOWN = 10  # epochs, the last among them
EPOCH = "epoch_"  # and its number: a column of the lines of Table S9
OTHERS = (  # whose trainings Table S9 shows
    *(tables.every_method, claims.cells, variants.knobs, variants.low_steps, variants.few_steps),
    *(printed.gradients, printed.encodings, regime_cells),
)


def trainings(preset: Preset) -> list[Cell]:
    """Every training of Tables S1 and S4, each once."""
    unique: dict[tuple[str, ...], Cell] = {}
    for cell in (*tables.every_method(preset), *variants.knobs(preset)):
        unique.setdefault((cell.dataset, cell.student, cell.method, cell.variant), cell)
    return [cell for cell in unique.values() if METHODS[cell.method].trained]


def _levels(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    tidy = of_cells(cells, preset, "epochs before end standard_error")
    return tidy.assign(change=tidy["end"] - tidy["before"])


def with_attention(preset: Preset) -> list[Cell]:
    """Every training with attention maps of the other exhibits, each once and with all its seeds."""
    found: dict[Run, Cell] = {}
    seeds: dict[Run, int] = {}
    for cell in (cell for cells in OTHERS for cell in cells(preset)):
        runs = runs_of(cell, preset) if cell.method in METHODS and "attention" in METHODS[cell.method].sections else []
        if runs and len(runs) > seeds.get(runs[0], 0):  # all begin with the preset's first seed
            found[runs[0]], seeds[runs[0]] = replace(cell, exhibit="Table S9", metric="top1"), len(runs)
    return list(found.values()) or [focus_cell(preset, "Table S9", "lasnn_act")]


def _shares(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    """A line for each training and level, mean over seeds."""
    lines = []
    for cell, row, runs in each(cells, preset):
        said = [metrics_of(run, preset).get("attention_share") or {} for run in runs]
        logs = [training_log(run, preset) for run in runs if preset.has_training_log(run)]
        epochs = [[line.get("attention_share") or {} for line in same] for same in zip(*logs, strict=False)]
        for level in LEVELS:
            line = row | {"reading": logit_scale_of(cell, preset), "level": level}
            shares = {"start": said} | {f"{EPOCH}{place}": same for place, same in enumerate(epochs, 1)}
            for column, found in shares.items():
                line[column] = FOLDS["mean"]([one.get(level) for one in found])
            lines.append(line)
    frame = pd.DataFrame(lines)
    numbers = ["start", *(f"{EPOCH}{epoch}" for epoch in _epochs(frame))]
    return frame.astype(dict.fromkeys(numbers, float) | dict.fromkeys(WORDS, object))


def _epochs(tidy: pd.DataFrame) -> list[int]:
    return sorted(int(name.removeprefix(EPOCH)) for name in map(str, tidy) if name.startswith(EPOCH))


def shown_epochs(last: int) -> list[int]:
    """All of few epochs, of many evenly spaced ones: the first, and each tenth of the way to the last."""
    return list(range(1, last + 1)) if last <= SHOWN else [1, *(last * place // SHOWN for place in range(1, SHOWN + 1))]


def _arranged(tidy: pd.DataFrame) -> pd.DataFrame:
    """One line for each training and level, without levels that a variant leaves out."""
    kept = tidy[tidy["start"].notna()]
    kept = kept if len(kept) else tidy.iloc[:1]
    table = shown(kept, "data student method unlike_base encoding steps reading tap share n")
    count = table.pop("n")
    for epoch in shown_epochs(max(_epochs(tidy), default=0)):
        table[f"epoch {epoch}"] = replace(COLUMNS["share"], reads=f"{EPOCH}{epoch}").texts("", kept)
    return table.assign(n=count)


EXHIBITS = {
    "table_s6": Table(
        "Table S6: whether the trainings have levelled off",
        trainings,
        "data student method unlike_base steps epochs before end change standard_error level",
        lines=_levels,
        told="Change: accuracy after the last epoch less that before the last fifth of the epochs, mean over seeds; "
        "the standard error is that of one accuracy, binomial. All are of the test images watched in training "
        "(`data.watched`, all of them where it is null). Level: the change is smaller than the standard error.",
        logs=True,
        main=False,
    ),
    "table_s9": Table(
        "Table S9: the attention loss's share of the gradient, by epoch",
        with_attention,
        _arranged,
        lines=_shares,
        told="Share: norm of the attention loss's gradient on the spikes of the tapped layer, over that of the other "
        "terms', on the first 8 test images without dropout; before training, and after epochs of it. With alpha "
        "as at the start: a schedule of alpha is not part of it. What the two pull at need not be the same, so the "
        "share says how hard the loss pulls, and not what it costs.",
        ours="Ours: means over n seeds",
        logs=True,
        main=False,
    ),
}
