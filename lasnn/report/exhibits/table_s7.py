"""Table S7 (ours): how few steps direct input needs: LaSNN and hybrid training at low T, with options that may help."""

import pandas as pd

from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE
from lasnn.plan.vocabulary import METHODS
from lasnn.report.cells import Cell
from lasnn.report.context import TableWithContext
from lasnn.report.exhibits.table_s4 import compared
from lasnn.report.labels import METHOD_TITLES, dataset, ours, steps
from lasnn.report.rows import number

STEPS = ("4", "8", "10")
BASES = ("conversion", "hybrid", "lasnn_act")  # beside LaSNN with an option


def cells(preset: Preset) -> list[Cell]:
    """The student in focus at each low T that the preset names; options (`scope.low_t`) at the lowest."""
    bases = [(method, BASE) for method in BASES]
    options = [*bases, *(("lasnn_act", variant) for variant in preset.scope.low_t)]
    return [
        _cell(preset, method, variant, step)
        for step in STEPS
        for method, variant in (options if step == STEPS[0] else bases)
    ]


def _cell(preset: Preset, method: str, variant: str, step: str) -> Cell:
    title = preset.config.networks.title(preset.scope.focus)
    teacher = "unspecified" if METHODS[method].teacher else ""
    words = ("CIFAR-10", title, teacher, method, "direct", step, "top1")
    return Cell("Table S7", f"{title} {method} {variant} T={step}", *words, unit="%", variant=variant)


class LowSteps(TableWithContext):
    """Also says what each option changes."""

    def tidy(self, preset: Preset) -> pd.DataFrame:
        parts = [compared(part.copy(), preset) for _, part in super().tidy(preset).groupby("timesteps", sort=False)]
        return pd.concat(parts)

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        return [
            *super().notes(tidy, preset),
            "Direct input.",
        ]


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """One line for each T, method and option."""
    return pd.DataFrame(
        {
            "data": dataset(tidy),
            "network": tidy["student"],
            "T": steps(tidy),
            "method": tidy["method"].map(METHOD_TITLES),
            "option": tidy["variant"].where(tidy["variant"] != BASE, "-"),
            "changes": tidy["changes"],
            "s": tidy["scale"].map(lambda value: number(value, digits=1)),
            "start, %": tidy["start"].map(number),
            "accuracy, %": ours(tidy),
            "ANN, %": tidy["ann"].map(number),
            "spikes per neuron": tidy["spikes"].map(lambda value: number(value, digits=3)),
        }
    )


EXHIBIT = LowSteps("Table S7: low T with direct input", cells, arrange, main=False)
