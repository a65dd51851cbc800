"""Table S4 (ours): controls and single knobs turned, each beside the run that it changes."""

from __future__ import annotations

from statistics import mean

from lasnn.plan.cells import Cell, focus_cell, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.overlays import merged
from lasnn.plan.runs import BASE, parse
from lasnn.plan.vocabulary import METHODS
from lasnn.report import rows
from lasnn.report.context import TableWithContext
from lasnn.report.labels import METHOD_TITLES, dataset, ours, steps
from lasnn.report.late import pd
from lasnn.report.paired import same_seeds, with_p
from lasnn.report.rows import number


def cells(preset: Preset) -> list[Cell]:
    """For each method that `scope.ablations` or `scope.own` names, its base run and its variants."""
    asked = [*(tuple(name.split("+")) for name in preset.scope.ablations), *preset.scope.own.items()]
    asked = list(dict.fromkeys(asked))
    pairs = [
        (method, variant)
        for method in dict.fromkeys(method for method, _ in asked)
        for variant in (BASE, *(variant for other, variant in asked if other == method))
    ]
    return [focus_cell(preset, "Table S4", *pair) for pair in pairs or [("lasnn_act", BASE)]]


class Ablations(TableWithContext):
    """Also says what each variant changes, by how much that moves the accuracy, and whether images tell them apart."""

    def files(self, preset: Preset) -> list[str]:
        return [*super().files(preset), *(f"{preset.folder(run)}/predictions.npz" for run in self.runs(preset))]

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        made = int(tidy["p"].notna().sum())
        return [
            *super().notes(tidy, preset),
            "To base: against the base runs with the same seeds. p, these networks: against them on the same images "
            f"(signs flipped image by image), after Holm's correction over {made} tests. It says whether the networks "
            "that were trained differ and nothing of others trained alike, so it is no verdict.",
        ]

    def tidy(self, preset: Preset) -> pd.DataFrame:
        cells = self.cells(preset)
        bases = {cell.method: runs_of(cell, preset) for cell in cells if cell.variant == BASE}
        pairs = [same_seeds(bases.get(cell.method, []), runs_of(cell, preset)) for cell in cells]
        return with_p(compared(super().tidy(preset), preset), pairs, preset)


def compared(tidy: pd.DataFrame, preset: Preset) -> pd.DataFrame:
    """With what a variant changes in words, and the difference to the base runs of its method with the same seeds."""
    changes = [
        [leaf for overlay in preset.config.overlays(name) for leaf in leaves(meant(overlay, method))]
        for name, method in zip(tidy["variant"], tidy["method"], strict=True)
    ]
    tidy["changes"] = ["; ".join(change) or "-" for change in changes]
    base = tidy[tidy["variant"] == BASE].set_index("method")["runs"].to_dict()
    tidy["difference"] = [
        _difference(runs, base.get(method), preset) for runs, method in zip(tidy["runs"], tidy["method"], strict=True)
    ]
    tidy["difference"] = pd.to_numeric(tidy["difference"])
    return tidy


def _difference(runs: str | None, base: str | None, preset: Preset) -> float | None:
    """Points that `runs` lie above the `base` runs of their seeds, both named as in a tidy table; None without any."""
    if not (isinstance(runs, str) and isinstance(base, str)):
        return None
    ours, theirs = (
        {run.seed: rows.metrics_of(run, preset)["accuracy"] for run in map(parse, line.split())}
        for line in (runs, base)
    )
    both = ours.keys() & theirs.keys()
    return mean(ours[seed] - theirs[seed] for seed in both) if both else None


def meant(overlay: dict, method: str) -> dict:
    """What an overlay changes in a run of `method`: of its entries `for:` methods, the own one as if said plainly."""
    named = overlay.get("for", {})
    others = {name: change for name, change in named.items() if name not in METHODS}
    rest = {key: value for key, value in overlay.items() if key != "for"} | ({"for": others} if others else {})
    return merged(rest, named.get(method, {}))


def leaves(overlay: dict, path: str = "") -> list[str]:
    """Every setting of an overlay as `section.key: value`."""
    found = []
    for key, value in overlay.items():
        name = f"{path}{key}"
        found += leaves(value, f"{name}.") if isinstance(value, dict) else [f"{name}: {_short(value)}"]
    return found


def _short(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """One line for each method and variant."""
    return pd.DataFrame(
        {
            "data": dataset(tidy),
            "network": tidy["student"],
            "method": tidy["method"].map(METHOD_TITLES),
            "variant": tidy["variant"],
            "changes": tidy["changes"],
            "T": steps(tidy),
            "s": tidy["scale"].map(lambda value: number(value, digits=1)),
            "leak": tidy["leak"].map(number),
            "start, %": tidy["start"].map(number),
            "accuracy, %": ours(tidy),
            "to base, points": [
                "-" if name == BASE or pd.isna(value) else f"{value:+.2f}"
                for name, value in zip(tidy["variant"], tidy["difference"], strict=True)
            ],
            "p, these networks": ["-" if pd.isna(p) else f"{p:.2g}" for p in tidy["p_holm"]],
            "spikes per neuron": tidy["spikes"].map(lambda value: number(value, digits=3)),
        }
    )


EXHIBIT = Ablations("Table S4: controls and knobs, each beside its base run", cells, arrange, main=False)
