"""Table S6 (ours): whether each training has levelled off: its change over the last fifth of the epochs."""

from __future__ import annotations

import math
import statistics

from lasnn.plan.cells import Cell
from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE, parse
from lasnn.plan.vocabulary import METHODS
from lasnn.report import rows
from lasnn.report.exhibit import Table, with_training_logs
from lasnn.report.exhibits import table_s1, table_s4
from lasnn.report.labels import dataset, method, steps
from lasnn.report.late import pd
from lasnn.report.rows import number

LAST = 0.2  # share of the epochs


def cells(preset: Preset) -> list[Cell]:
    """Every training of Tables S1 and S4, each once."""
    unique: dict[tuple[str, ...], Cell] = {}
    for cell in (*table_s1.cells(preset), *table_s4.cells(preset)):
        unique.setdefault((cell.dataset, cell.student, cell.method, cell.variant), cell)
    return [cell for cell in unique.values() if METHODS[cell.method].trained]


def change(accuracies: list[float], images: int) -> dict[str, float]:
    """Accuracies in percent after each epoch: the one before the last fifth, the last, and its standard error."""
    before, end = accuracies[-1 - max(1, math.ceil(LAST * len(accuracies)))], accuracies[-1]
    share = end / 100
    return {"before": before, "end": end, "standard_error": 100 * math.sqrt(share * (1 - share) / images)}


class Levels(Table):
    """Reads the training logs: accuracy after each epoch under the first encoder seed."""

    def read(self, preset: Preset) -> list[str]:
        return with_training_logs(preset, self.files(preset), self.runs(preset))

    def tidy(self, preset: Preset) -> pd.DataFrame:
        tidy, found = super().tidy(preset), []
        for line in tidy["runs"]:
            runs = [parse(word) for word in line.split()] if isinstance(line, str) else []
            runs = [run for run in runs if preset.has_training_log(run)]
            logs = [rows.training_log(run, preset) for run in runs]
            images = [rows.metrics_of(run, preset)["data"]["test_images"] for run in runs]
            changes = [
                change([entry["test_accuracy"] for entry in entries], count)
                for entries, count in zip(logs, images, strict=True)
                if len(entries) > 1
            ]
            means = {key: statistics.mean(one[key] for one in changes) for key in changes[0]} if changes else {}
            found.append(means | {"epochs": len(logs[0])} if changes else {})
        for name in ("epochs", "before", "end", "standard_error"):
            tidy[name] = pd.Series([one.get(name) for one in found], dtype=float)
        tidy["change"] = tidy["end"] - tidy["before"]
        return tidy

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        return [
            *super().notes(tidy, preset),
            "Change: accuracy after the last epoch less that before the last fifth of the epochs, mean over seeds; the "
            "standard error is that of one accuracy, binomial. Level: the change is smaller than the standard error.",
        ]


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """One line for each training."""
    level = [
        "-" if pd.isna(change) else "yes" if abs(change) < error else "no"
        for change, error in zip(tidy["change"], tidy["standard_error"], strict=True)
    ]
    return pd.DataFrame(
        {
            "data": dataset(tidy),
            "network": tidy["student"],
            "method": method(tidy),
            "variant": tidy["variant"].where(tidy["variant"] != BASE, "-"),
            "T": steps(tidy),
            "epochs": tidy["epochs"].map(lambda value: number(value, digits=0)),
            "before the last fifth, %": tidy["before"].map(number),
            "end, %": tidy["end"].map(number),
            "change, points": tidy["change"].map(lambda value: "-" if pd.isna(value) else f"{value:+.2f}"),
            "standard error": tidy["standard_error"].map(number),
            "level": level,
        }
    )


EXHIBIT = Levels("Table S6: whether the trainings have levelled off", cells, arrange, main=False)
