"""The table of methods at equal budget, from made-up runs of 20 images."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_up import CONTENT, finish, preset_in
from tiny import message_of

from lasnn.plan.cells import runs_of
from lasnn.plan.config import Config, merged
from lasnn.report import EXHIBITS
from lasnn.report.crossed import crossed
from lasnn.report.exhibits import benchmark

ROWS = {
    "untaught": ["hybrid"],
    "untaught, every step": ["hybrid+every_step"],
    "taught": ["kd_label", "kd_label+kd_half"],
    "taught, every step": ["kd_label+twsnn"],
    "aligned": ["kd_aligned"],
    "maps": ["lasnn_act"],
}
RIGHT = {"base": 10, "every_step": 14, "kd_half": 9, "twsnn": 13}
PLAN = {"rows": ROWS, "steps": [1, 2], "trials": "quick"}
SCOPE = {
    "students": ["vgg5"],
    "methods": ["hybrid", "kd_label", "kd_aligned", "lasnn_act"],
    "steps": {"poisson-T100": 4},
    "seeds": [0, 1, 2, 3, 4],
    "benchmark": PLAN,
}


def right(run):
    """Of the images that a run has right, the first ones: LaSNN one more with each seed."""
    return 10 + run.seed if run.method == "lasnn_act" else RIGHT[run.variant]


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """A preset with all runs of the table."""
    found = preset_in(tmp_path_factory.mktemp("benchmark"), SCOPE)
    for run in EXHIBITS["table_s10"].runs(found):
        finish(
            found,
            run,
            5.0 * right(run),
            log=[{"test_accuracy": accuracy, "seconds": 60.0} for accuracy in (40, 55 + run.seed, 50)],
            accuracy_by_step=[30.0 + run.seed, 40.0, 45.0, 5.0 * right(run)],
            attention_share={"low": 0.1, "mid": 0.3, "high": 0.2} if run.method == "lasnn_act" else None,
            added_share={"start": 0.5, "end": 0.1 * run.seed} if run.method == "lasnn_act" else None,
        )
    return found


def test_each_row_stands_beside_what_has_its_loss_and_no_teacher(preset):
    """A loss at every step is credited to the row without a teacher; that row is shown beside the first."""
    tidy = EXHIBITS["table_s10"].tidy(preset).set_index("series")
    assert tidy["beside"].to_dict() == {
        "untaught": "-",
        "untaught, every step": "untaught",
        "taught": "untaught",
        "taught: label KD, weight 0.5": "untaught",
        "taught, every step": "untaught, every step",
        "aligned": "untaught, every step",  # a method that has no other loss than one of each step
        "maps": "untaught",
    }
    # 4, 0, -1 of 20 images more; 1 and 4 less than 14; LaSNN 0 to 4 more, mean 2: 5 points for an image
    assert tidy["difference"].fillna(99).tolist() == [99, 20, 0, -5, -5, -20, 10]
    # LaSNN is right on image 10 + i with seeds above i where the row without a teacher is not.
    d = 100.0 * np.array([[10 <= image < 10 + seed for image in range(20)] for seed in range(5)])
    assert tidy.loc["maps", ["low", "high"]].tolist() == pytest.approx(crossed([d]).interval(0.95))
    assert tidy.loc["untaught", "verdict"] == "-"
    assert set(tidy["verdict"]) <= {"-", "above", "below", "undecided"}
    assert tidy.loc["maps", "verdict"] == "undecided"  # a spread over seeds and images of 10 +- 13 points


def test_what_a_row_says_of_its_trainings(preset):
    """Logits after one step, the best epoch (55 to 59 beside a last one of 50), the largest share, trials, minutes."""
    tidy = EXHIBITS["table_s10"].tidy(preset).set_index("series")
    line = tidy.loc["maps"]
    assert line[["at_1", "at_2", "best_epoch", "attention_share", "epoch_minutes"]].tolist() == [32, 40, 7, 0.3, 1]
    assert line[["added_share", "added_share_end"]].tolist() == [0.5, pytest.approx(0.2)]
    assert tidy["trials"].tolist() == [1, 1, 2, 2, 1, 1, 1]
    table = EXHIBITS["table_s10"].arrange(tidy.reset_index())
    assert list(table)[:6] == ["method", "T = 1, %", "T = 2, %", "accuracy, %", "beside", "above, points"]
    assert table["accuracy, %"].iloc[-1] == "60.00 ± 7.91 (n=5)"
    shares = table[["added / CE gradient, start", "end"]]
    assert shares.iloc[[0, -1]].to_numpy().tolist() == [["-", "-"], ["0.500", "0.200"]]
    older = tidy.reset_index().assign(added_share=None, added_share_end=None)
    assert [*shares] == [name for name in table if name not in EXHIBITS["table_s10"].arrange(older)]
    assert benchmark.PULLS in benchmark._told(tidy.reset_index(), preset)
    assert benchmark.PULLS not in benchmark._told(older, preset)


def test_rows_that_are_not_told_apart(preset, monkeypatch):
    """p is .001 of the rows one and two, .003 of one and three, 1 of all others: corrected over 3 pairs, then 21."""
    first = ("untaught", "untaught, every step", "taught")
    ps = {frozenset(first[:2]): 0.001, frozenset((first[0], first[2])): 0.003}
    cells = benchmark.cells(preset)

    def estimated(pairs, _):
        labels = frozenset(next(cell.row_label for cell in cells if run in runs_of(cell, preset)) for run in pairs[0])
        return {"p": ps.get(labels, 1.0)}

    monkeypatch.setattr(benchmark, "estimated", estimated)
    three = benchmark._not_apart(cells[:3], list(first), preset)
    assert three == ["", "taught", "untaught, every step"]  # .001 * 3, .003 * 2
    found = dict(zip("abcdefg", benchmark._not_apart(cells, list("abcdefg"), preset), strict=True))
    assert found["a"] == "c; d; e; f; g"  # .001 * 21 < .05 <= .003 * 20
    assert found["b"] == "c; d; e; f; g"
    few = SimpleNamespace(alpha=0.05, seeds=5)
    rows = pd.DataFrame({"series": ["a", "b", "c"], "not_apart": three})
    assert benchmark._told_apart(rows.assign(not_apart=None), few).startswith("No two rows were tested")
    told = benchmark._told_apart(pd.DataFrame({"series": list("abc"), "not_apart": ["b", "a; c", "b"]}), few)
    assert told.endswith("all pairs of rows: a from b; b from c.")
    assert benchmark._told_apart(rows.assign(not_apart=""), few).endswith("pairs of rows: none.")


def test_rows_of_too_few_seeds_are_not_tested(preset, monkeypatch):
    monkeypatch.setattr(benchmark, "same_seeds", lambda *_: [("a", "b")] * 4)
    assert benchmark._not_apart(benchmark.cells(preset), list("abcdefg"), preset) == [None] * 7


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({"rows": {"a": ["kd_label"]}}, "scope.benchmark has teachers in all rows: add hybrid"),
        ({"steps": [5]}, "reads logits after 5 steps, its runs have 4"),
        ({"trials": "qick"}, "scope.benchmark.trials 'qick': known are"),
        ({"rows": {"untaught": ["hybrid+nothing"]}}, "scope.benchmark 'nothing': known are"),
        ({"rows": ROWS | {"b": ["kd_blurred"]}}, "'kd_blurred': known are hybrid, kd_aligned, kd_label, lasnn_act"),
    ],
)
def test_a_plan_that_could_only_fail_is_one_line(plan, told):
    content = merged(CONTENT, {"presets": {"quick": {"scope": SCOPE}}})
    content["presets"]["quick"]["scope"]["benchmark"] = PLAN | plan
    assert told in message_of(lambda: Config(content).preset("quick").check())
