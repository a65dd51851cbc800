"""Table S7 (ours): how few steps direct input needs: each method at low T, with options that may help."""

from __future__ import annotations

from lasnn.plan.cells import Cell, direct_cell
from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE
from lasnn.plan.vocabulary import METHODS
from lasnn.report.context import TableWithContext
from lasnn.report.exhibits.table_s4 import compared
from lasnn.report.labels import METHOD_TITLES, dataset, ours, steps
from lasnn.report.late import pd
from lasnn.report.rows import number

STEPS = ("4", "8", "10")
BASES = ("conversion", "hybrid", "lasnn_act")  # beside methods with an option


def cells(preset: Preset) -> list[Cell]:
    """The student in focus at each low T that the preset names; options (`scope.low_t`) at its lowest."""
    asked = [knob(name) for name in preset.scope.low_t]
    bases = [(method, BASE) for method in BASES]
    others = [(method, BASE) for method in dict.fromkeys(method for method, _ in asked) if method not in BASES]
    options = sorted(dict.fromkeys([*bases, *others, *asked]), key=lambda pair: list(METHODS).index(pair[0]))
    lowest = next((step for step in STEPS if preset.scope.steps.get(f"direct-T{step}")), STEPS[0])
    return [
        direct_cell(preset, "Table S7", method, variant, step)
        for step in STEPS
        for method, variant in (options if step == lowest else bases)
    ]


def knob(name: str) -> tuple[str, str]:
    """Method and variant of `<method>+<variant>`; a variant alone is LaSNN's."""
    method, plus, variant = name.partition("+")
    return (method, variant or BASE) if plus or method in METHODS else ("lasnn_act", name)


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
