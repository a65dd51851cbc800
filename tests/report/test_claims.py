"""Statistics of the claims against values worked out by hand, and the table of claims from written metrics."""

import copy
import math

import numpy as np
import pytest
from made_up import CONTENT, finish, method_of, preset_in
from scipy.stats import t

from lasnn.errors import InputError
from lasnn.plan.config import Config, read
from lasnn.plan.runs import SnnRun
from lasnn.plan.vocabulary import CLAIMS as SENTENCES
from lasnn.report import EXHIBITS, runs_of_target
from lasnn.report.cells import runs_of
from lasnn.report.claims import CLAIMS, OWN
from lasnn.report.exhibits import claims as table_of_claims
from lasnn.report.regime import conversion_in, pairs_in
from lasnn.report.statistics import holm, more_right, paired_t, sign_flips, verdict


def p_of_two_degrees(value):
    """Student's t with 2 degrees of freedom in closed form: P(|t| > v) = 1 - v / sqrt(v² + 2)."""
    return 1 - value / math.sqrt(value**2 + 2)


def test_paired_t():
    assert paired_t([1, 2, 3]) == pytest.approx(p_of_two_degrees(2 * math.sqrt(3)))  # mean 2, sd 1
    assert paired_t([-1, -2, -3]) == pytest.approx(paired_t([1, 2, 3]))
    assert paired_t([-1, 0, 1]) == pytest.approx(1)


def test_paired_t_is_undefined_with_two_seeds_or_no_spread():
    assert paired_t([1, 2]) is None
    assert paired_t([2, 2, 2]) is None


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [(0, 0, 1), (3, 3, 1), (1, 7, 2 * (1 + 8) / 2**8), (7, 1, 18 / 256), (0, 5, 2 / 2**5), (0, 6, 2 / 2**6)],
)
def test_sign_flips_of_one_seed_are_mcnemars_test(only_first, only_second, p):
    assert sign_flips([-1] * only_first + [1] * only_second + [0] * 9) == pytest.approx(p)


def test_sign_flips_of_several_seeds_by_hand():
    """±1 ± 2 is 3, 1, -1 or -3: half of them as far from zero as 3, all as far as 1. ±3 ± 3 ± 1 is ±7, ±5 or ±1."""
    assert sign_flips([1, 2]) == pytest.approx(0.5)
    assert sign_flips([-1, 2]) == pytest.approx(1)
    assert sign_flips([3, 3, 1]) == pytest.approx(2 / 8)
    assert sign_flips([3, 3, -1]) == pytest.approx(4 / 8)


def test_which_network_is_right():
    labels = np.array([0, 1, 2, 3, 4])
    assert more_right(np.array([0, 1, 9, 9, 4]), np.array([0, 9, 2, 3, 9]), labels).tolist() == [0, -1, 1, 1, -1]


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, None, 0.02]) == [pytest.approx(0.02), None, pytest.approx(0.02)]
    assert holm([0.7, 0.6]) == [1, 1]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("effect", "p", "word"),
    [(1, 0.01, "confirmed"), (-1, 0.01, "refuted"), (1, 0.05, "undecided"), (1, None, "undecided")],
)
def test_verdict(effect, p, word):
    assert verdict(effect, p, 0.05) == word


def test_every_claim_has_a_sentence_and_its_comparisons():
    assert list(CLAIMS) == list(SENTENCES)
    paper, regime = (read().preset(name) for name in ("paper", "regime"))
    assert [name for name, claim in CLAIMS.items() if not claim.pairs(paper)] == ["lasnn_where_overfitting"]  # ours
    assert len(CLAIMS["hybrid_below_kd"].pairs(paper)) == 7  # the lines of Table II
    assert len(CLAIMS["teachers_alike"].pairs(paper)) == 9  # three pairs of teachers, three students
    assert len(CLAIMS["lasnn_where_overfitting"].pairs(regime)) == len(regime.scope.corners) == 6


def with_scope(name, **scope):
    """A preset with other keys of its scope."""
    content = copy.deepcopy(CONTENT)
    content["presets"][name]["scope"] |= scope
    return Config(content).preset(name)


def test_corners_compare_what_was_chosen_there():
    """LaSNN at its printed weight beside hybrid training alike; what was chosen beside what was chosen for that."""
    corners = {"half__n2500": {"hybrid": "lr_1e4", "lasnn_act": "raw_map"}, "base": {}}
    preset = with_scope("regime", corners=corners, corners_once=[])
    found = {
        name: tuple((cell.method, cell.variant) for cell in pair)
        for name, pair in pairs_in(preset, "half__n2500").items()
    }
    best = ("hybrid", "half__n2500__lr_1e4")
    assert found == {
        "kd_label": (best, ("kd_label", "half__n2500")),
        "lasnn_act": (("hybrid", "half__n2500"), ("lasnn_act", "half__n2500")),
        "chosen": (best, ("lasnn_act", "half__n2500__raw_map")),
    }
    assert set(pairs_in(preset, "base")) == {"kd_label", "lasnn_act"}


def test_a_corner_may_take_the_first_seed_alone():
    corners = {"half": {}, "base": {}}
    preset = with_scope("regime", corners=corners, corners_once=["half"])
    for corner, seeds in (("half", [0]), ("base", [0, 1, 2])):
        cells = {cell for pair in pairs_in(preset, corner).values() for cell in pair} | {conversion_in(preset, corner)}
        assert all([run.seed for run in runs_of(cell, preset)] == seeds for cell in cells)
    with pytest.raises(InputError, match=r"unknown corner .*corners_once.*n2500"):
        with_scope("regime", corners=corners, corners_once=["n2500"])


def test_what_was_chosen_for_a_method_alone_is_compared_too():
    """Beside the lines of Table II, each side with its own choice, else its base; a line of Table S4."""
    preset = with_scope("small", own={"hybrid": "scale_04", "lasnn_grad": "scale_07"})
    found = {
        name: [
            ((pair.less.method, pair.less.variant), (pair.more.method, pair.more.variant))
            for pair in claim.pairs(preset)
            if pair.group == OWN
        ]
        for name, claim in CLAIMS.items()
    }
    assert {name: pairs for name, pairs in found.items() if pairs} == {
        "conversion_below_hybrid": [(("conversion", "base"), ("hybrid", "scale_04"))],
        "hybrid_below_kd": [(("hybrid", "scale_04"), ("kd_label", "base"))],
        "hybrid_below_lasnn": [(("hybrid", "scale_04"), ("lasnn_act", "base"))],
        "gradient_below_activation": [(("lasnn_grad", "scale_07"), ("lasnn_act", "base"))],
    }
    own = [str(run) for run in EXHIBITS["table_s4"].runs(preset) if run.variant in ("scale_04", "scale_07")]
    assert own == [
        *(f"snn/cifar10/vgg5/hybrid/poisson-T16/none/scale_04/s{seed}" for seed in range(3)),
        *(f"snn/cifar10/vgg5/lasnn_grad/poisson-T16/vgg16bn/scale_07/s{seed}" for seed in range(3)),
    ]


def test_the_printed_numbers_stand_beside_each_other():
    paper = read().preset("paper")
    pairs = CLAIMS["conversion_below_hybrid"].pairs(paper)
    found = {
        pair.more.student: tuple(map(CLAIMS["conversion_below_hybrid"].measure.paper, (pair.less, pair.more)))
        for pair in pairs
        if pair.more.dataset == "CIFAR-10"
    }
    assert found["VGG5"] == (82.53, 85.76)
    assert found["3Conv2Linear"] == (None, 82.05)


@pytest.mark.parametrize("name", ["quick", "small", "paper"])
def test_no_run_is_made_for_claims_alone(name):
    preset = read().preset(name)
    others = [run for other in EXHIBITS if other != "claims" for run in EXHIBITS[other].runs(preset)]
    assert set(preset.ancestors(EXHIBITS["claims"].runs(preset))) <= set(preset.ancestors(others))
    if name == "quick":
        tables = runs_of_target(preset, "tables")
        assert set(EXHIBITS["claims"].runs(preset)) <= set(tables)


def written(folder, accuracy, scope, **sections):
    """A preset whose runs behind the claims are finished with `accuracy(run)`."""
    preset = preset_in(folder, {"students": ["vgg5"]} | scope, **sections)
    curves = [
        {"scale": 0.7, "accuracy": {"10": 90.0}},
        {"scale": 1.0, "accuracy": {"10": 10.0, "100": 60.0, "250": 100.0}},
    ]
    for run in EXHIBITS["claims"].runs(preset):
        total = {"conversion": 800, "kd_label": 600}.get(method_of(run), 400) + 4 * run.seed
        more = {"curves": curves, "curve_images": 20, "spikes": {"c1": {"total": total, "neurons": 10, "images": 4}}}
        finish(preset, run, accuracy(run), **more)
    return preset


def one_seed(run):
    if isinstance(run, SnnRun) and run.encoder == "direct":
        return {"base": 70, "leak_1": 55, "alpha01": 85}[run.variant]
    if getattr(run, "teacher", "") == "resnet20":
        return 75
    return {"conversion": 40, "hybrid": 50, "kd_label": 60, "lasnn_grad": 65, "lasnn_act": 80}.get(method_of(run), 90)


# Of each claim both sides, ours and the paper's, and how far the second may lie below the first.
SIDES = {
    "conversion_below_hybrid": (40, 50, 82.53, 85.76, 0),
    "hybrid_below_kd": (50, 60, 85.76, 85.94, 0),
    "kd_below_lasnn": (60, 80, 85.94, 86.68, 0),
    "hybrid_below_lasnn": (50, 80, 85.76, 86.68, 0),
    "lasnn_near_ann": (90, 80, 87.58, 86.68, 3),
    "gradient_below_activation": (65, 80, None, 86.68, 0),
    "direct_in_fewer_steps": (80, 70, 86.68, 88.55, 2),
    "teachers_alike": (80, 75, 86.68, 86.61, 4),
    "fewer_spikes_than_conversion": (100, 200, None, None, 0),
    "fewer_spikes_than_kd": (100, 150, None, None, 0),
    "lasnn_where_overfitting": (55, 85, None, None, 0),  # what was chosen for the corner
    "faster": (20, 25, 20, None, 0),  # 80 % at T = 250 with the largest s, and 10 of LaSNN
}


def test_sides_and_margin_of_every_claim_by_hand(tmp_path):
    scope = {"seeds": [0], "claims": list(SENTENCES), "steps": {"direct-T8": 8}}
    scope |= {"corners": {"base": {"hybrid": "leak_1", "lasnn_act": "alpha01"}}}
    preset = written(tmp_path, one_seed, scope, claims={"direct": 2.0, "teachers": 4.0})
    found = EXHIBITS["claims"].tidy(preset).query("n > 0").drop_duplicates("claim").set_index("claim")
    columns = ["less", "more", "less_paper", "more_paper", "margin"]
    shown = found[columns].astype(object).where(found.notna(), None)
    assert {name: tuple(values) for name, values in shown.iterrows()} == SIDES
    for name, (less, more, *_, margin) in SIDES.items():
        assert found.loc[name, ["difference", "effect"]].tolist() == [more - less, more - less + margin]


def test_one_seed_by_hand(tmp_path):
    """Conversion has 8 of 20 images right and hybrid training 16: 8 differ, all for the only claim that is judged."""
    preset = written(tmp_path, lambda run: 40.0 if method_of(run) == "conversion" else 80.0, {"seeds": [0]})
    found = EXHIBITS["claims"].tidy(preset).query("n > 0").set_index("claim")
    line = found.loc["conversion_below_hybrid"]
    assert (line["test"], line["p"], line["images"]) == ("McNemar", pytest.approx(2 / 2**8), 20)
    assert (line["p_holm"], line["verdict"]) == (pytest.approx(2 / 2**8), "confirmed")
    assert set(found.drop("conversion_below_hybrid")["verdict"]) == {"not judged in this preset"}


def test_no_verdict_where_a_seed_speaks_against_it(tmp_path):
    """8, 8 and 9 of 20 images are right, then 16, 16 and 8: seven sums of +2 and one of +1, but one seed against it."""

    def accuracy(run):
        return 5.0 * {"conversion": (8, 8, 9), "hybrid": (16, 16, 8)}.get(method_of(run), (10, 10, 10))[run.seed]

    tidy = EXHIBITS["claims"].tidy(written(tmp_path, accuracy, {"seeds": [0, 1, 2]}))
    line = tidy[(tidy["network"] == "VGG5") & (tidy["claim"] == "conversion_below_hybrid")].iloc[0]
    assert (line["p_holm"], line["effect"], line["verdict"]) == (pytest.approx(2 / 2**8), 25, "undecided")


def test_a_seed_without_a_partner_is_left_out(tmp_path, monkeypatch):
    """Of hybrid training the first seed is missing: 70 - 45 and 80 - 50."""
    preset = written(
        tmp_path,
        lambda run: 40.0 + 5 * run.seed if method_of(run) == "conversion" else 60.0 + 10 * run.seed,
        {"seeds": [0, 1, 2]},
    )
    found = [run for run in EXHIBITS["claims"].runs(preset) if (method_of(run), run.seed) != ("hybrid", 0)]
    monkeypatch.setattr(
        table_of_claims, "runs_of", lambda cell, preset: [run for run in runs_of(cell, preset) if run in found]
    )
    line = EXHIBITS["claims"].tidy(preset).query("n > 0 and network == 'VGG5'").set_index("claim").iloc[0]
    assert (line["n"], line["difference"]) == (2, 27.5)


def three_seeds(run):
    step = 0.5 * run.seed
    if method_of(run) == "lasnn_act" and run.encoder == "direct":
        return 60.0 + step * step
    if getattr(run, "teacher", "") == "resnet20":
        return 80.0 + 1.1 * step
    means = {"conversion": 40.0 + step * step, "hybrid": 70.0 + step, "kd_label": 70.5 - step}
    return means.get(method_of(run), 80.0 + step)


def test_three_seeds_by_hand(tmp_path):
    scope = {"seeds": [0, 1, 2], "claims": list(SENTENCES)}
    preset = written(tmp_path, three_seeds, scope)
    tidy = EXHIBITS["claims"].tidy(preset).query("n > 0")
    single = tidy[tidy["network"] == "VGG5"]
    found = single.drop_duplicates("claim").set_index("claim")
    # Conversion and hybrid training: 30, 30.25 and 30; sd 0.25 / sqrt(3), that of the mean 0.25 / 3.
    # Of 20 images 8 and 14 are right in every seed: only flipping all six signs alike is as far from zero.
    line = found.loc["conversion_below_hybrid"]
    assert (line["test"], line["images"], line["effect"]) == ("sign flips", 20, pytest.approx(30))
    assert line["p"] == pytest.approx(2 / 2**6)
    # Hybrid training and label KD: the same 14 images.
    line = found.loc["hybrid_below_kd"]
    assert (line["p"], line["verdict"]) == (1, "undecided")
    # Two teachers, and the ANN and LaSNN: the same 16 images, so no spread, no test.
    for name in ("teachers_alike", "lasnn_near_ann"):
        assert found.loc[name, ["test", "verdict"]].tolist() == ["none: no spread", "undecided"]
    # Direct input: 12 images right, Poisson input 16, and 1 point is allowed: 4 images of -99, 16 of 1.
    line = found.loc["direct_in_fewer_steps"]
    assert (line["effect"], line["test"], line["images"]) == (pytest.approx(-19), "t over images", 20)
    sd = math.sqrt((4 * 80**2 + 16 * 20**2) / 19)
    assert line["p"] == pytest.approx(2 * t.sf(19 * math.sqrt(20) / sd, 19))
    made = [p for p in single["p"] if p == p]
    assert found.loc["hybrid_below_kd", "p_holm"] <= 1
    assert min(single["p_holm"].dropna()) == pytest.approx(min(made) * len(made))
    # One network: the line over all of them says the same, within a family of its own.
    pooled = tidy[tidy["network"] == "all networks"].set_index("claim")
    line = pooled.loc["conversion_below_hybrid"]
    assert line["test"] == "paired t"
    assert line["p"] == pytest.approx(p_of_two_degrees((30 + 1 / 12) * 3 / 0.25))
    assert line["verdict"] == "confirmed"
    # Hybrid training and label KD: 0.5, -0.5 and -1.5.
    assert pooled.loc["hybrid_below_kd", "p"] == pytest.approx(p_of_two_degrees(0.5 * math.sqrt(3)))
    # Two teachers: 0, 0.05 and 0.1 apart, so 1, 0.95 and 0.9 from the margin.
    line = pooled.loc["teachers_alike"]
    assert (line["effect"], line["p"]) == (pytest.approx(0.95), pytest.approx(p_of_two_degrees(19 * math.sqrt(3))))


def test_a_preset_may_name_known_claims_only(tmp_path):
    with pytest.raises(InputError, match=r"unknown claim .*'lasnn_wins'"):
        preset_in(tmp_path, {"claims": ["lasnn_wins"]})
