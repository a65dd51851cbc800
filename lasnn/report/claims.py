"""What the paper claims, each with the comparison that is to judge it, laid down before anything is run.

Every comparison asks whether `more` lies above `less`, or not further below it than a margin of section `claims`.
`lasnn.plan.vocabulary.CLAIMS` has the sentences.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations, groupby

from lasnn.plan.config import Preset
from lasnn.plan.lookup import given
from lasnn.plan.runs import BASE, Run, as_snn
from lasnn.report import regime, rows
from lasnn.report.cells import Cell, elsewhere, focus_cell, paper_cells
from lasnn.report.curves import accuracy_on_first, converted_of, curves
from lasnn.report.energy import averages
from lasnn.report.speedup import speed_up, steps_needed

DIRECT_STEPS = ("50", "30")  # the paper names both T and not which network has which
OWN = "each method with what was chosen for it alone"


@dataclass(frozen=True)
class Pair:
    """Two cells to compare; `less` None: `more` against a number. `group` tells apart the questions of a claim."""

    less: Cell | None
    more: Cell
    group: str = ""


@dataclass(frozen=True)
class Measure:
    """What is compared: its unit, its value for a run, and what the paper prints for a cell."""

    unit: str
    value: Callable[[Run, Preset], float | None]
    paper: Callable[[Cell], float | None] = lambda cell: None


@dataclass(frozen=True)
class Claim:
    """`margin` and `bar`: keys of the section `claims`: `more` may lie so far below `less`; it must reach so much.

    `alike`: neither of the two may lie further than the margin from the other. `beyond_tables`: some of the runs belong
    to no other table, so a preset makes them for this one only if it judges the claim.
    """

    pairs: Callable[[Preset], list[Pair]]
    measure: Measure
    margin: str = ""
    bar: str = ""
    alike: bool = False
    beyond_tables: bool = False


def _accuracy(run: Run, preset: Preset) -> float:
    return rows.metrics_of(run, preset)["accuracy"]


def _spikes(run: Run, preset: Preset) -> float:
    return averages(rows.metrics_of(run, preset)["spikes"], batch=1).per_image


def _speed_up(run: Run, preset: Preset) -> float | None:
    """T* at the run's accuracy over its T, of the converted network with the largest s; None: not reached."""
    trained = as_snn(run)
    converted = given(converted_of(trained, preset))
    found = curves(converted, preset)
    images = rows.metrics_of(converted, preset)["curve_images"]
    return speed_up(steps_needed(found[max(found)], accuracy_on_first(trained, preset, images)), trained.steps)


ACCURACY = Measure("points", _accuracy, elsewhere)
SPIKES = Measure("spikes per image", _spikes)
TIMES = Measure("times", _speed_up)


def _table2(method: str) -> list[Cell]:
    """The cells of Table II of one method; of conversion, which Table II leaves out, those with the T of its others."""
    if method == "conversion":
        return [replace(cell, method=method, value="", note="") for cell in _table2("hybrid")]
    return [cell for cell in paper_cells("Table II") if cell.method == method]


def _methods(less: str, more: str) -> Callable[[Preset], list[Pair]]:
    """Both methods on each dataset and network of Table II."""
    return lambda preset: [Pair(*cells) for cells in zip(_table2(less), _table2(more), strict=True)]


def _orderings(less: str, more: str) -> Callable[[Preset], list[Pair]]:
    """`_methods`, and where methods have choices of their own, the student in focus with each one's own."""
    return lambda preset: [*_methods(less, more)(preset), *_own(less, more, preset)]


def _own(less: str, more: str, preset: Preset) -> list[Pair]:
    own = preset.scope.own
    below, above = (focus_cell(preset, "own", method, own.get(method, BASE)) for method in (less, more))
    return [Pair(below, above, OWN)] if {less, more} & own.keys() else []


def _gradient(preset: Preset) -> list[Pair]:
    found = [cell for cell in paper_cells("Fig 5a") if cell.timesteps == "100"]
    less, more = ([cell for cell in found if cell.method == method] for method in ("lasnn_grad", "lasnn_act"))
    own = _own("lasnn_grad", "lasnn_act", preset)
    return [*(Pair(*cells) for cells in zip(less, more, strict=True)), *own]


def _encodings(preset: Preset) -> list[Pair]:
    found = [cell for cell in paper_cells("Fig 6") if cell.metric == "top1"]
    poisson = {cell.student: cell for cell in found if cell.encoding == "poisson"}
    direct = [cell for cell in found if cell.encoding == "direct"]
    return [
        Pair(poisson[cell.student], replace(cell, timesteps=steps), f"direct T = {steps}, Poisson T = 100")
        for steps in DIRECT_STEPS
        for cell in direct
    ]


def _teachers(preset: Preset) -> list[Pair]:
    cells = [cell for cell in paper_cells("Table IV") if cell.method == "lasnn_act"]
    found = [
        Pair(less, more, f"{less.teacher} and {more.teacher}")
        for _, taught in groupby(cells, key=lambda cell: cell.student)
        for less, more in combinations(taught, 2)
    ]
    return sorted(found, key=lambda pair: pair.group)


def _corners(preset: Preset) -> list[Pair]:
    """In each corner of the regime map LaSNN and hybrid training, with what was chosen for each (`scope.corners`)."""
    found = []
    for corner in preset.scope.corners:
        pairs = regime.pairs_in(preset, corner)
        less, more = pairs.get(regime.CHOSEN, pairs["lasnn_act"])
        found.append(Pair(less, more, regime.in_words(corner)))
    return found


CLAIMS = {
    "conversion_below_hybrid": Claim(_orderings("conversion", "hybrid"), ACCURACY),
    "hybrid_below_kd": Claim(_orderings("hybrid", "kd_label"), ACCURACY),
    "kd_below_lasnn": Claim(_orderings("kd_label", "lasnn_act"), ACCURACY),
    "hybrid_below_lasnn": Claim(_orderings("hybrid", "lasnn_act"), ACCURACY),
    "lasnn_near_ann": Claim(_methods("ann", "lasnn_act"), ACCURACY, margin="near_ann"),
    "gradient_below_activation": Claim(_gradient, ACCURACY),
    "direct_in_fewer_steps": Claim(_encodings, ACCURACY, margin="direct", beyond_tables=True),
    "teachers_alike": Claim(_teachers, ACCURACY, margin="teachers", alike=True),
    "fewer_spikes_than_conversion": Claim(_methods("lasnn_act", "conversion"), SPIKES),
    "fewer_spikes_than_kd": Claim(_methods("lasnn_act", "kd_label"), SPIKES),
    "lasnn_where_overfitting": Claim(_corners, ACCURACY, beyond_tables=True),
    "faster": Claim(lambda preset: [Pair(None, cell) for cell in _table2("lasnn_act")], TIMES, bar="speed_up"),
}
