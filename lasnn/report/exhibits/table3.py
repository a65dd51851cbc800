"""Table III: LaSNN beside spike-based distillation, and our reconstruction of that, from both starts."""

from __future__ import annotations

from lasnn.plan.architectures import Networks
from lasnn.plan.cells import Cell, paper_cells
from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE
from lasnn.plan.scope import chain_pairs
from lasnn.plan.vocabulary import NO_TEACHER
from lasnn.report.exhibit import Table
from lasnn.report.exhibits import table1
from lasnn.report.late import pd

STARTS = {BASE: "converted", "scratch": "random start"}


def cells(preset: Preset) -> list[Cell]:
    """The paper's rows; then ours, each network of the chain of spiking networks."""
    return [
        *paper_cells("Table III"),
        *(
            _cell(preset.config.networks, student, teacher, variant)
            for variant in STARTS
            for student, teacher in chain_pairs(preset.scope.spike_chain)
        ),
    ]


def _cell(networks: Networks, student: str, teacher: str, variant: str) -> Cell:
    above = "" if teacher == NO_TEACHER else f"{networks.title(networks.spiking_teachers[teacher])} SNN"
    label = f"reconstruction, {STARTS[variant]}, {f'taught by {above}' if above else 'head of the chain'}"
    words = ("CIFAR-10", networks.title(student), above, "kd_spike", "poisson", "100", "top1")
    return Cell("Table III", label, *words, unit="%", variant=variant)


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """As Table I. Only what is ours is a reconstruction, and its T is none of the paper's."""
    shown, own = table1.arrange(tidy), tidy["paper"].isna()
    shown.loc[tidy["quoted"], "method"] = "spike KD"
    shown.loc[own, "T"] = shown.loc[own, "T"].str.replace("paper:", "for", regex=False)
    return shown


class Beside(Table):
    """Says what the reconstruction is not."""

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        chain = ", ".join(preset.config.networks.title(student) for student in preset.scope.spike_chain)
        return [
            *super().notes(tidy, preset),
            f"Spike KD of ours is a reconstruction from a short description, on the chain {chain}: it says nothing "
            "about the quoted 42.38 %, whose networks and T are not printed.",
        ]


EXHIBIT = Beside("Table III: LaSNN and spike-based distillation", cells, arrange)
