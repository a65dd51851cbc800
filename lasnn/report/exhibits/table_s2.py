"""Table S2 (ours): what each network spends on an image: spikes, in the four readings of "average", and energy."""

from __future__ import annotations

from lasnn.plan.cells import Cell, paper_cells, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import as_snn
from lasnn.report import rows, spikes_and_energy
from lasnn.report.exhibit import Table, remarks
from lasnn.report.exhibits import figure_steps, table_s1
from lasnn.report.labels import dataset, method, ours, steps
from lasnn.report.late import pd
from lasnn.report.rows import number
from lasnn.results.energy import LEFT_OUT


def cells(preset: Preset) -> list[Cell]:
    """Every method of Table S1 with Poisson input, and LaSNN with direct input."""
    return [*table_s1.cells(preset), *(cell for cell in figure_steps.cells(preset) if cell.encoding == "direct")]


class Spending(Table):
    """Reads spikes and operations, and the average that Figure 6 prints."""

    def tidy(self, preset: Preset) -> pd.DataFrame:
        cells = self.cells(preset)
        tidy = rows.table(cells, preset)
        spent = [
            spikes_and_energy.mean(runs_of(cell, preset), lambda run: spikes_and_energy.spent(as_snn(run), preset))
            for cell in cells
        ]
        return tidy.join(pd.DataFrame(spent, index=tidy.index, dtype=float)).assign(
            paper_spikes=pd.Series([_printed(cell) for cell in cells], index=tidy.index, dtype=float)
        )

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        energy = preset.energy
        return [
            *remarks(tidy, preset),
            "Per neuron: all spikes / (images x neurons), at most T. Layers added: the averages of all layers, summed. "
            f"Not divided by the batch: the first, times {energy.batch}. The paper's averages exceed its T = 100 for "
            "two networks, so they are not the first. Counted on all test images, first encoder seed, before dropout "
            "and pool.",
            "SynOps: spikes times the weights that they meet, the encoder's included. Energy of an SNN: "
            f"{energy.ac_pj:g} pJ x SynOps, and under direct encoding {energy.mac_pj:g} pJ x the MACs of the first "
            f"layer, once (in brackets: in every step). Of an ANN: {energy.mac_pj:g} pJ x MACs. {LEFT_OUT}",
        ]


def _printed(cell: Cell) -> float | None:
    keys = ("dataset", "student", "method", "encoding")
    for other in paper_cells("Fig 6"):
        if other.metric == "avg_spikes" and all(getattr(other, key) == getattr(cell, key) for key in keys):
            return other.paper
    return None


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """One line for each network and method that ran."""
    ran = tidy[tidy["n"] > 0]
    if ran.empty:
        return pd.DataFrame({"network": ["nothing run in this preset"]})
    nanojoules = [
        f"{best * 1e9:.1f}" + ("" if worst == best else f" ({worst * 1e9:.1f})")
        for best, worst in zip(ran["joules"], ran["joules_pessimistic"], strict=True)
    ]
    return pd.DataFrame(
        {
            "data": dataset(ran),
            "network": ran["student"],
            "method": method(ran),
            "input": ran["encoding"],
            "T": steps(ran),
            "accuracy, %": ours(ran),
            "per neuron": ran["network_spikes"].map(lambda value: number(value, digits=3)),
            "layers added": ran["layers_added"].map(lambda value: number(value, digits=3)),
            "not divided by the batch": ran["batch_added"].map(number),
            "paper": ran["paper_spikes"].map(number),
            "spikes per image": ran["spikes_per_image"].map("{:.0f}".format),
            "SynOps per image": ran["synops"].map("{:,.0f}".format),
            "SNN, nJ": nanojoules,
            "ANN, nJ": ran["ann_joules"].map(lambda value: f"{value * 1e9:.1f}"),
            "ANN / SNN": (ran["ann_joules"] / ran["joules"]).map(number),
        }
    )


EXHIBIT = Spending("Table S2: spikes and energy of one image", cells, arrange, main=False, sections=("scope", "energy"))
