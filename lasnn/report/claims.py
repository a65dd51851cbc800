"""What the paper claims, each with the comparison that is to judge it, laid down before anything is run.

Every comparison asks whether `more` lies above `less`, or not further below it than a margin of section `claims`.
`lasnn.plan.vocabulary.CLAIMS` has the sentences, docs/verdicts.md how a verdict is reached.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, groupby, pairwise

from lasnn.plan import cells as regime
from lasnn.plan.cells import DATASETS, DIRECT_STEPS, Cell, chain_pairs, elsewhere, focus_cell, paper_cells
from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE, Run, as_snn
from lasnn.plan.vocabulary import NO_TEACHER, given
from lasnn.report.columns import COLUMNS
from lasnn.report.finished import accuracy_on_first, converted_of, curves, metrics_of
from lasnn.report.questions import OWN, Claim, Measure, Pair, Question, gain_over, in_each_reading, is_run, reading_of
from lasnn.report.speedup import speed_up, steps_needed

LIFTED = ("VGG5", "VGG9")  # by direct input; ResNet12 is not
LAYERS = {"3Conv2Linear": 5, "VGG5": 5, "VGG9": 9, "ResNet12": 12, "VGG16": 16}  # of the networks of Figure 3
INPUTS = (("poisson", "100"), ("direct", regime.REGIME_STEPS))  # of the student in focus, where Table II has it not


def _column(name: str) -> Callable[[Run, Preset], float | None]:
    """A column of the frame of runs."""
    of = given(COLUMNS[name].of)
    return lambda run, preset: of(run, metrics_of(run, preset), preset)


def _speed_up(run: Run, preset: Preset) -> float | None:
    """T* at the run's accuracy over its T, of the converted network with the largest s; None: not reached."""
    trained = as_snn(run)
    converted = given(converted_of(trained, preset))
    found = curves(converted, preset)
    images = metrics_of(converted, preset)["curve_images"]
    return speed_up(steps_needed(found[max(found)], accuracy_on_first(trained, preset, images)), trained.steps)


ACCURACY = Measure("points", _column("accuracy"), elsewhere)
SPIKES = Measure("spikes per image", _column("spikes_per_image"), family="spikes")
TIMES = Measure("times", _speed_up, family="speed")
MINUTES = Measure("minutes per epoch", _column("epoch_minutes"), elsewhere, family="cost", in_logs=True)
GIGABYTES = Measure("GB", _column("peak_gigabytes"), elsewhere, family="cost", in_provenance=True)


def _table2(method: str) -> Sequence[Cell]:
    """The cells of Table II of one method; of conversion, which Table II leaves out, those with the T of its others."""
    if method == "conversion":
        return [replace(cell, method=method, value="", note="") for cell in _table2("hybrid")]
    return paper_cells("Table II", method=method)


def _methods(less: str, more: str) -> Callable[[Preset], list[Pair]]:
    """Both methods on each dataset and network of Table II, under each reading of the logits."""
    pairs = [Pair(*cells) for cells in zip(_table2(less), _table2(more), strict=True)]
    return lambda preset: in_each_reading(pairs, preset)


def _orderings(less: str, more: str) -> Callable[[Preset], list[Pair]]:
    """`_methods`, and where methods have choices of their own, the student in focus with each one's own."""
    return lambda preset: [*_methods(less, more)(preset), *_own(less, more, preset)]


def _own(less: str, more: str, preset: Preset) -> list[Pair]:
    own = preset.scope.own
    below, above = (focus_cell(preset, "own", method, own.get(method, BASE)) for method in (less, more))
    return [Pair(below, above, OWN)] if {less, more} & own.keys() else []


def _fig5(metric: str, *sides: tuple[str, str]) -> list[Pair]:
    """What Figure 5 shows of a metric for two methods, each with its T."""
    both = [paper_cells("Fig 5a", "Fig 5b", metric=metric, method=name, timesteps=steps) for name, steps in sides]
    return [Pair(*cells) for cells in zip(*both, strict=True)]


ACT, GRAD, GRAD_30 = ("lasnn_act", "100"), ("lasnn_grad", "100"), ("lasnn_grad", "30")


def _gradient_above_hybrid(preset: Preset) -> list[Pair]:
    """Gradient maps beside hybrid training of the same networks, which Table II has."""
    hybrid = {cell.student: cell for cell in paper_cells("Table II", dataset="CIFAR-10", method="hybrid")}
    return [Pair(hybrid[pair.more.student], pair.more) for pair in _fig5("top1", ACT, GRAD)]


def _encodings(less: str, *, metric: str = "top1", students: tuple[str, ...] = ()) -> Callable[[Preset], list[Pair]]:
    """LaSNN with either input, the one named `less` first, at both T of direct input."""

    def pairs(preset: Preset) -> list[Pair]:
        poisson = {cell.student: cell for cell in paper_cells("Fig 6", metric=metric, encoding="poisson")}
        found = paper_cells("Fig 6", metric=metric, encoding="direct")
        direct = [cell for cell in found if cell.student in (students or poisson)]
        both = [(poisson[cell.student], replace(cell, timesteps=steps)) for steps in DIRECT_STEPS for cell in direct]
        named = [(one, other, f"direct T = {other.timesteps}, Poisson T = 100") for one, other in both]
        return [Pair(one, other, name) if less == "poisson" else Pair(other, one, name) for one, other, name in named]

    return pairs


def _teachers(preset: Preset) -> list[Pair]:
    found = [
        Pair(less, more, f"{less.teacher} and {more.teacher}")
        for _, taught in groupby(paper_cells("Table IV", method="lasnn_act"), key=lambda cell: cell.student)
        for less, more in combinations(taught, 2)
    ]
    return sorted(found, key=lambda pair: pair.group)


def _corners(preset: Preset) -> list[Pair]:
    """In each corner of the regime map LaSNN and hybrid training, with what was chosen for each (`scope.corners`)."""
    found = []
    for corner in preset.scope.corners:
        pairs = regime.pairs_in(preset, corner)
        less, more = pairs.get(regime.CHOSEN, pairs["lasnn_act"])
        found.append(Pair(less, more, regime.corner_in_words(corner)))
    return found


def _spike_kd(preset: Preset) -> list[Pair]:
    """LaSNN of Table III beside our reconstruction of spike KD for the same student, if the chain has a teacher for it.

    The quoted number is of a network that the paper doesn't name, so no line shows it.
    """
    titles = preset.config.networks.title
    taught = {titles(name) for name, teacher in chain_pairs(preset.scope.spike_chain) if teacher != NO_TEACHER}
    lasnn = [cell for cell in paper_cells("Table III", method="lasnn_act") if cell.student in taught]
    return [Pair(replace(cell, method="kd_spike", value="", note=""), cell) for cell in lasnn]


def _calibrated(preset: Preset) -> list[Pair]:
    """Calibration and LaSNN of each network of Figure 3."""
    cells = {(cell.student, cell.method): cell for cell in paper_cells("Fig 3")}
    pairs = [Pair(cells[name, "calibration"], cells[name, "lasnn_act"]) for name in LAYERS]
    found = [pair for pair in pairs if is_run(pair, preset)]
    return found if len({LAYERS[pair.more.student] for pair in found}) > 1 else []


def _shallow_over_deep(pairs: list[Pair], preset: Preset) -> list[Question]:
    """What LaSNN is above calibration in the shallowest networks, less that in the deepest."""
    layers = [LAYERS[pair.more.student] for pair in pairs]
    shallow, deep = (
        [pair for pair, count in zip(pairs, layers, strict=True) if count == end]
        for end in (min(layers, default=0), max(layers, default=0))
    )
    return [gain_over(shallow, deep, "", preset)] if pairs else []


def _gains(preset: Preset) -> list[Pair]:
    """LaSNN and hybrid training on each dataset of the preset.

    The networks of Table II if each dataset has one that is run, else the student in focus on all of them.
    """
    datasets = [title for title, key in DATASETS.items() if preset.scope.datasets.get(key)]
    printed = [pair for pair in _methods("hybrid", "lasnn_act")(preset) if is_run(pair, preset)]
    if len(datasets) < 2 or {pair.more.dataset for pair in printed} == set(datasets):
        return printed if len(datasets) > 1 else []
    focus = [focus_cell(preset, "gains", method) for method in ("hybrid", "lasnn_act")]
    for encoding, steps in INPUTS:
        sides = [[replace(cell, dataset=one, encoding=encoding, timesteps=steps) for one in datasets] for cell in focus]
        pairs = [Pair(*cells) for cells in zip(*sides, strict=True)]
        found = [pair for pair in in_each_reading(pairs, preset) if is_run(pair, preset)]
        if found:
            return found
    return []


def _harder_over_easier(pairs: list[Pair], preset: Preset) -> list[Question]:
    """The gain on each dataset less that on the next easier one, in the paper's order of difficulty."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        found.setdefault((reading_of(pair, preset), pair.more.dataset), []).append(pair)
    ordered = {reading: [title for title in DATASETS if (reading, title) in found] for reading, _ in found}
    return [
        gain_over(found[reading, hard], found[reading, easy], f"{hard} over {easy}", preset)
        for reading, titles in ordered.items()
        for easy, hard in pairwise(titles)
    ]


CLAIMS = {
    "conversion_below_hybrid": Claim(_orderings("conversion", "hybrid"), ACCURACY),
    "hybrid_below_kd": Claim(_orderings("hybrid", "kd_label"), ACCURACY, margin="not_above"),
    "kd_below_lasnn": Claim(_orderings("kd_label", "lasnn_act"), ACCURACY, primary=True),
    "hybrid_below_lasnn": Claim(_orderings("hybrid", "lasnn_act"), ACCURACY, primary=True),
    "lasnn_near_ann": Claim(_methods("ann", "lasnn_act"), ACCURACY, margin="near_ann", primary=True),
    "gradient_below_activation": Claim(
        lambda preset: [*_fig5("top1", GRAD, ACT), *_own("lasnn_grad", "lasnn_act", preset)], ACCURACY
    ),
    "direct_in_fewer_steps": Claim(_encodings("poisson"), ACCURACY, margin="direct", beyond_tables=True),
    "teachers_alike": Claim(_teachers, ACCURACY, margin="teachers", alike=True),
    "fewer_spikes_than_conversion": Claim(_methods("lasnn_act", "conversion"), SPIKES),
    "fewer_spikes_than_kd": Claim(_methods("lasnn_act", "kd_label"), SPIKES),
    "lasnn_where_overfitting": Claim(_corners, ACCURACY, beyond_tables=True),
    "faster": Claim(_methods("lasnn_act", "lasnn_act"), TIMES, bar="speed_up"),
    "gains_grow": Claim(_gains, ACCURACY, gains=_harder_over_easier, beyond_tables=True),
    "gradient_above_hybrid": Claim(_gradient_above_hybrid, ACCURACY),
    "gradient_30_below_100": Claim(lambda preset: _fig5("top1", GRAD_30, GRAD), ACCURACY, beyond_tables=True),
    "gradient_takes_longer": Claim(lambda preset: _fig5("epoch_time", ACT, GRAD), MINUTES),
    "gradient_takes_memory": Claim(lambda preset: _fig5("gpu_memory", ACT, GRAD), GIGABYTES),
    "stable_when_shallow": Claim(_calibrated, ACCURACY, gains=_shallow_over_deep, beyond_tables=True),
    "spike_kd_below_lasnn": Claim(_spike_kd, ACCURACY),
    "direct_above_poisson": Claim(_encodings("poisson", students=LIFTED), ACCURACY, beyond_tables=True),
    "direct_fewer_spikes": Claim(_encodings("direct", metric="avg_spikes"), SPIKES, beyond_tables=True),
}
