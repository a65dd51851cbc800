"""Table S9 (ours): the attention loss's share of the gradient at each tapped level, before and during training."""

from __future__ import annotations

import statistics
from dataclasses import replace

from lasnn.plan.cells import Cell, focus_cell, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE, Run
from lasnn.plan.vocabulary import LEVELS, METHODS
from lasnn.report import rows
from lasnn.report.exhibit import Table, with_training_logs
from lasnn.report.exhibits import claims, figure5, figure6, figure_regime, table_s1, table_s4, table_s7, table_s8
from lasnn.report.labels import dataset, method, steps
from lasnn.report.late import pd
from lasnn.report.rows import number

SHOWN = 10  # epochs, the last among them
EPOCH = "epoch_"  # and its number: a column of the tidy table
OTHERS = (table_s1, claims, table_s4, table_s7, table_s8, figure5, figure6, figure_regime)  # whose trainings these are


def cells(preset: Preset) -> list[Cell]:
    """Every training with attention maps of the other exhibits, each once and with all its seeds."""
    found: dict[Run, Cell] = {}
    seeds: dict[Run, int] = {}
    for cell in (cell for other in OTHERS for cell in other.EXHIBIT.cells(preset)):
        runs = runs_of(cell, preset) if cell.method in METHODS and "attention" in METHODS[cell.method].sections else []
        if runs and len(runs) > seeds.get(runs[0], 0):  # all begin with the preset's first seed
            found[runs[0]], seeds[runs[0]] = replace(cell, exhibit="Table S9", metric="top1"), len(runs)
    return list(found.values()) or [focus_cell(preset, "Table S9", "lasnn_act")]


class Shares(Table):
    """A line for each training and level, mean over seeds."""

    ours = "Ours: means over n seeds"

    def read(self, preset: Preset) -> list[str]:
        return with_training_logs(preset, self.files(preset), self.runs(preset))

    def tidy(self, preset: Preset) -> pd.DataFrame:
        found, lines = self.cells(preset), []
        for cell, row in zip(found, rows.table(found, preset).to_dict("records"), strict=True):
            runs = runs_of(cell, preset)
            said = [rows.metrics_of(run, preset).get("attention_share") or {} for run in runs]
            logs = [rows.training_log(run, preset) for run in runs if preset.has_training_log(run)]
            epochs = [[line.get("attention_share") or {} for line in same] for same in zip(*logs, strict=False)]
            reading = preset.logit_scale(cell.variant)
            for level in LEVELS:
                shares = {f"{EPOCH}{place}": _mean(same, level) for place, same in enumerate(epochs, 1)}
                lines.append(row | {"reading": reading, "level": level, "start": _mean(said, level)} | shares)
        frame = pd.DataFrame(lines)
        numbers = ["start", *(f"{EPOCH}{epoch}" for epoch in _epochs(frame))]
        return frame.astype(dict.fromkeys(numbers, float) | dict.fromkeys(rows.WORDS, object))

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        return [
            *super().notes(tidy, preset),
            "Share: norm of the attention loss's gradient on the spikes of the tapped layer, over that of the other "
            "terms', on the first 8 test images without dropout; before training, and after epochs of it. With alpha "
            "as at the start: a schedule of alpha is not part of it. What the two pull at need not be the same, so the "
            "share says how hard the loss pulls, and not what it costs.",
        ]


def _mean(found: list[dict[str, float]], level: str) -> float | None:
    values = [one[level] for one in found if level in one]
    return statistics.mean(values) if values else None


def _epochs(tidy: pd.DataFrame) -> list[int]:
    return sorted(int(name.removeprefix(EPOCH)) for name in map(str, tidy) if name.startswith(EPOCH))


def shown_epochs(last: int) -> list[int]:
    """All of few epochs, of many evenly spaced ones: the first, and each tenth of the way to the last."""
    return list(range(1, last + 1)) if last <= SHOWN else [1, *(last * place // SHOWN for place in range(1, SHOWN + 1))]


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """One line for each training and level, without levels that a variant leaves out."""
    kept = tidy[tidy["start"].notna()]
    kept = kept if len(kept) else tidy.iloc[:1]
    last = max(_epochs(tidy), default=0)
    columns = {"start": "start"} | {f"{EPOCH}{epoch}": f"epoch {epoch}" for epoch in shown_epochs(last)}
    return pd.DataFrame(
        {
            "data": dataset(kept),
            "network": kept["student"],
            "method": method(kept),
            "variant": kept["variant"].where(kept["variant"] != BASE, "-"),
            "input": kept["encoding"],
            "T": steps(kept),
            "logits": kept["reading"],
            "level": kept["level"],
            **{title: kept[name].map(lambda value: number(value, digits=4)) for name, title in columns.items()},
            "n": kept["n"],
        }
    )


EXHIBIT = Shares("Table S9: the attention loss's share of the gradient, by epoch", cells, arrange, main=False)
