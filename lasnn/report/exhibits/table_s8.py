"""Table S8 (ours): direct input at T = 2, 4 and 8: conversion, calibration, and recipes of training, over all seeds."""

from __future__ import annotations

from dataclasses import replace

from lasnn.plan.cells import Cell, direct_cell, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE, Run
from lasnn.report.context import TableWithContext
from lasnn.report.exhibits.table_s4 import compared
from lasnn.report.exhibits.table_s7 import knob
from lasnn.report.labels import METHOD_TITLES, dataset, ours
from lasnn.report.late import pd
from lasnn.report.paired import same_seeds, with_p
from lasnn.report.rows import number

STEPS = ("2", "4", "8")
UNTRAINED = ("conversion", "calibration")
RIVAL = "calibration"  # what a training has to beat: it trains nothing
TEACHERLESS = "hybrid"  # what a distillation has to beat


def cells(preset: Preset) -> list[Cell]:
    """The ANN, then for each T what trains nothing and the preset's recipes (`scope.recipes`)."""
    recipes = [knob(name) for name in preset.scope.recipes]
    methods = [*((method, "base") for method in UNTRAINED), *recipes] if recipes else []
    return [
        replace(direct_cell(preset, "Table S8", "ann", "base", "", every_seed=True), encoding=""),
        *(
            direct_cell(preset, "Table S8", method, variant, step, every_seed=True)
            for step in STEPS
            for method, variant in methods
        ),
    ]


class FewSteps(TableWithContext):
    """Also compares each line with its ANN and, image by image, with its rivals at the same T.

    They are calibration, and for a recipe also hybrid training with the same options.
    """

    def files(self, preset: Preset) -> list[str]:
        return [*super().files(preset), *(f"{preset.folder(run)}/predictions.npz" for run in _spiking(self, preset))]

    def tidy(self, preset: Preset) -> pd.DataFrame:
        tidy = compared(super().tidy(preset), preset).drop(columns="difference")
        cells = self.cells(preset)
        runs = {(cell.timesteps, cell.method, cell.variant): runs_of(cell, preset) for cell in cells}
        rivals = [runs.get((cell.timesteps, RIVAL, BASE), []) for cell in cells]
        teacherless = [
            runs.get((cell.timesteps, TEACHERLESS, cell.variant), []) if cell.variant != BASE else [] for cell in cells
        ]
        for name, others in (("p", rivals), ("p_hybrid", teacherless)):
            pairs = [same_seeds(other, runs_of(cell, preset)) for other, cell in zip(others, cells, strict=True)]
            tidy = with_p(tidy, pairs, preset, name)
        tidy["to_ann"] = tidy["ours"] - tidy["ann"]
        return tidy

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        made, taught = int(tidy["p"].notna().sum()), int(tidy["p_hybrid"].notna().sum())
        return [
            *super().notes(tidy, preset),
            "To ANN: less the accuracy of the intermediate ANN that it starts from. p of these networks: against "
            "calibration, and against hybrid training with the same options, at the same T, on the same test images "
            f"and seeds (signs flipped image by image), after Holm's correction over {made} tests and over {taught}; "
            "it says nothing of others trained alike, so it is no verdict.",
        ]


def _spiking(exhibit: TableWithContext, preset: Preset) -> list[Run]:
    return [run for run in exhibit.runs(preset) if run.kind == "snn"]


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """One line for each T and recipe."""
    spiking = tidy["timesteps"] != ""
    return pd.DataFrame(
        {
            "data": dataset(tidy),
            "network": tidy["student"],
            "T": tidy["timesteps"].where(spiking, "-"),
            "method": tidy["method"].map(METHOD_TITLES),
            "changes": tidy["changes"],
            "accuracy, %": ours(tidy),
            "to ANN, points": ["-" if pd.isna(value) else f"{value:+.2f}" for value in tidy["to_ann"]],
            "p of these networks, calibration": ["-" if pd.isna(p) else f"{p:.2g}" for p in tidy["p_holm"]],
            "p of these networks, hybrid": ["-" if pd.isna(p) else f"{p:.2g}" for p in tidy["p_hybrid_holm"]],
            "spikes per neuron": tidy["spikes"].map(lambda value: number(value, digits=3)),
        }
    )


EXHIBIT = FewSteps("Table S8: accuracy and spikes at T = 2, 4 and 8, direct input", cells, arrange, main=False)
