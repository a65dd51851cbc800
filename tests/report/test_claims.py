"""The table of claims from written metrics and predictions: who is compared, what is printed, tested and said."""

import copy
import itertools
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up import CONTENT, finish, method_of, preset_in
from scipy.stats import t

from lasnn.errors import InputError
from lasnn.plan.cells import Cell, conversion_in, focus_cell, pairs_in, runs_of
from lasnn.plan.config import Config, merged, read
from lasnn.plan.runs import AnnRun, SnnRun
from lasnn.plan.vocabulary import CLAIMS as SENTENCES
from lasnn.report import EXHIBITS, finished, runs_of_target
from lasnn.report.claims import CLAIMS
from lasnn.report.crossed import bootstrap, crossed, share_above
from lasnn.report.exhibits.claims import COLUMNS, arrange
from lasnn.report.judged import Side, answer
from lasnn.report.questions import OWN, Pair


def test_every_claim_has_a_sentence_and_its_comparisons():
    assert list(CLAIMS) == list(SENTENCES)
    paper, regime = (read().preset(name) for name in ("paper", "regime"))
    without = [name for name, claim in CLAIMS.items() if not claim.questions(paper)]
    assert without == ["lasnn_where_overfitting"]  # ours
    assert len(CLAIMS["hybrid_below_kd"].pairs(paper)) == 7  # the lines of Table II
    assert len(CLAIMS["teachers_alike"].pairs(paper)) == 9  # three pairs of teachers, three students
    assert len(CLAIMS["lasnn_where_overfitting"].pairs(regime)) == len(regime.scope.corners) == 6


POOLED = ((1.0, "VGG7"), *((-1 / 5, name) for name in ("3Conv2Linear", "VGG5", "VGG9", "ResNet12", "VGG16")))
ASKED = {  # of a claim in `paper`: what tells its sides apart, and of which networks with which weights it is asked
    "gains_grow": [POOLED],
    "stable_when_shallow": [((0.5, "3Conv2Linear"), (0.5, "VGG5"), (-1.0, "VGG16"))],
    "spike_kd_below_lasnn": [((1.0, "3Conv2Linear"),), ((1.0, "VGG5"),)],  # the chain's head has no teacher
    "direct_above_poisson": [((1.0, name),) for _ in ("50", "30") for name in ("VGG5", "VGG9")],
}


def test_networks_of_which_a_claim_is_asked():
    """Of each network alone, or of some less others."""
    preset = read().preset("paper")
    for name, expected in ASKED.items():
        pooled = len(expected[0]) > 1
        questions = [one.parts for one in CLAIMS[name].questions(preset) if bool(one.where) == pooled]
        asked = [tuple((weight, pair.more.student) for weight, pair in parts) for parts in questions]
        assert asked[: len(expected)] == expected


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


def test_no_run_is_made_for_claims_alone():
    for preset in map(read().preset, ("quick", "small", "paper")):
        others = [run for other in EXHIBITS if other != "claims" for run in EXHIBITS[other].runs(preset)]
        assert set(preset.ancestors(EXHIBITS["claims"].runs(preset))) <= set(preset.ancestors(others))
    quick = read().preset("quick")
    assert set(EXHIBITS["claims"].runs(quick)) <= set(runs_of_target(quick, "tables"))


def hits(run, seed_of_encoder=0):
    """Which of 20 images a run gets right: any, but always the same ones for the same run and encoder seed."""
    draws = np.random.default_rng(zlib.crc32(f"{run} {seed_of_encoder}".encode()))
    level = {"conversion": 0.3, "lasnn_act": 0.8}.get(getattr(run, "method", ""), 0.6)
    return draws.random(20) < level


def written(folder, scope, right=hits, **sections):
    """A preset whose runs behind the claims are finished: of 20 images `right(run, encoder seed)` [20] are right."""
    preset = preset_in(folder, {"students": ["vgg5"], "seeds": [0, 1, 2, 3, 4]} | scope, **sections)
    curves = [
        {"scale": 0.7, "accuracy": {"10": 90.0}},
        {"scale": 1.0, "accuracy": {"10": 10.0, "100": 60.0, "250": 100.0}},
    ]
    for run in EXHIBITS["claims"].runs(preset):
        encoder = getattr(run, "encoder", "")
        found = np.stack([right(run, seed) for seed in range(2 if encoder == "poisson" else 1)])
        total = {"conversion": 800 + 4 * run.seed, "kd_label": 600}.get(method_of(run), 400)
        total = 200 if encoder == "direct" else total
        more = {"curves": curves, "curve_images": 20, "spikes": {"c1": {"total": total, "neurons": 10, "images": 4}}}
        made = {"files": {}, "peak_memory_bytes": 10**9 * (1 + run.seed)}
        log = [{"seconds": 60.0 + 60 * (run.seed % 2)}]
        finish(preset, run, 100 * float(found.mean()), log=log, made=made, **more)
        labels = {} if isinstance(run, AnnRun) else {"labels": np.arange(20)}
        np.savez(Path(preset.folder(run), "predictions.npz"), predicted=np.where(found, np.arange(20), -1), **labels)
    return preset


def percent(preset, method, student="vgg5", variant="base", teacher="vgg16bn", dataset="digits"):
    """What a method's runs get right, in percent of encoder seeds, [S, 20], straight from `hits`."""
    taught = "none" if method in ("conversion", "hybrid") else teacher
    found = []
    for seed in preset.scope.seeds:
        run = SnnRun(dataset, student, method, "poisson", 10, taught, variant, seed)
        if method == "ann":
            run = AnnRun(dataset, student, variant, seed)
        found.append(100 * np.mean([hits(run, encoder) for encoder in range(1 if method == "ann" else 2)], axis=0))
    return np.stack(found)


def two_sided(found, bound=0.0):
    return 2 * t.sf(abs(found.mean - bound) / found.se, found.df)


@pytest.fixture(scope="module")
def two_networks(tmp_path_factory):
    """Five seeds, two encoder seeds, both readings of the logits, every claim judged."""
    scope = {"students": ["conv3fc2", "vgg5"], "readings": {"sum": "logit_sum", "mean": "base"}}
    scope |= {"claims": list(SENTENCES), "teacher_of": {"conv3fc2": "vgg16bn", "vgg5": "vgg16bn"}}
    return written(tmp_path_factory.mktemp("claims"), scope)


def lines_of(preset, **keys):
    tidy = EXHIBITS["claims"].tidy(preset).query("n > 0")
    for key, value in keys.items():
        tidy = tidy[tidy[key] == value]
    return tidy


def one_of_each(run, _):
    """The first images are right, as many as a method's percent, with every seed."""
    methods = {"conversion": 40, "hybrid": 50, "kd_label": 60, "lasnn_grad": 65, "lasnn_act": 80}
    percent = methods.get(method_of(run), 90)
    if isinstance(run, SnnRun) and run.encoder == "direct":
        percent = {"base": 70, "leak_1": 55, "alpha01": 85}[run.variant]
    elif getattr(run, "teacher", "") == "resnet20":
        percent = 75
    elif method_of(run) == "lasnn_grad" and run.steps == 5:  # for T = 30
        percent = 55
    return np.arange(20) < percent / 5


# Of each claim both sides, ours and the paper's, and how far the second may lie below the first.
SIDES = {
    "conversion_below_hybrid": (40, 50, 82.53, 85.76, 0),
    "hybrid_below_kd": (50, 60, 85.76, 85.94, 0.5),
    "kd_below_lasnn": (60, 80, 85.94, 86.68, 0),
    "hybrid_below_lasnn": (50, 80, 85.76, 86.68, 0),
    "lasnn_near_ann": (90, 80, 87.58, 86.68, 3),
    "gradient_below_activation": (65, 80, None, 86.68, 0),
    "direct_in_fewer_steps": (80, 70, 86.68, 88.55, 2),
    "teachers_alike": (80, 75, 86.68, 86.61, 4),
    "fewer_spikes_than_conversion": (100, 202, None, None, 0),  # 800 to 816 by four images
    "fewer_spikes_than_kd": (100, 150, None, None, 0),
    "lasnn_where_overfitting": (55, 85, None, None, 0),  # what was chosen for the corner
    "faster": (20, 25, 20, None, 0),  # 80 % at T = 250 with the largest s, and 10 of LaSNN
    "gradient_above_hybrid": (50, 65, 85.76, None, 0),
    "gradient_30_below_100": (55, 65, None, None, 0),
    "gradient_takes_longer": (1.4, 1.4, 34, 76, 0),  # 1 and 2 minutes by turns, beginning with 1
    "gradient_takes_memory": (3, 3, 4.89, 7.13, 0),
    "direct_above_poisson": (80, 70, 86.68, 88.55, 0),
    "direct_fewer_spikes": (50, 100, None, None, 0),
}


def test_sides_and_margin_of_every_claim_by_hand(tmp_path):
    scope = {"claims": list(SENTENCES), "steps": {"direct-T8": 8}}
    scope |= {"corners": {"base": {"hybrid": "leak_1", "lasnn_act": "alpha01"}}}
    preset = written(tmp_path, scope, one_of_each, claims={"direct": 2.0, "teachers": 4.0})
    found = lines_of(preset).drop_duplicates("claim").set_index("claim")
    columns = ["less", "more", "less_paper", "more_paper", "margin"]
    shown = found[columns].astype(object).where(found[columns].notna(), None)
    assert {name: tuple(values) for name, values in shown.iterrows()} == SIDES
    for name, (less, more, *_, margin) in SIDES.items():
        by_hand = [more - less, margin - abs(more - less) if name == "teachers_alike" else more - less + margin]
        assert found.loc[name, ["difference", "effect"]].tolist() == by_hand


def test_what_is_printed_is_what_is_tested(two_networks):
    """All encoder seeds, seed by seed and image by image."""
    preset = two_networks
    less, more = percent(preset, "hybrid"), percent(preset, "lasnn_act")
    (line,) = lines_of(preset, claim="hybrid_below_lasnn", network="VGG5", reading="mean").to_dict("records")
    assert (line["less"], line["more"]) == pytest.approx((less.mean(), more.mean()))
    found = crossed([more - less])
    assert (line["difference"], line["se"], line["df"]) == pytest.approx((found.mean, found.se, found.df))
    assert (line["low"], line["high"]) == pytest.approx(found.interval(0.95))
    assert (line["boot_low"], line["boot_high"]) == pytest.approx(bootstrap([more - less], 0.95))
    assert line["p"] == pytest.approx(two_sided(found))
    assert (line["n"], line["images"], line["family"], line["test"]) == (5, 20, "secondary", "seeds and images")
    assert line["above"] == share_above((more - less).mean(axis=1))
    assert line["sd"] == pytest.approx((more - less).mean(axis=1).std(ddof=1))


@pytest.mark.parametrize(("reading", "variant"), [("mean", "base"), ("sum", "logit_sum")])
def test_the_primary_family_is_three_means_over_the_networks(two_networks, reading, variant):
    """Each seed's difference is the mean of both networks' on the same images; Holm's correction over three."""
    preset = two_networks
    primary = lines_of(preset, family="primary", reading=reading).set_index("claim")
    assert sorted(primary.index) == ["hybrid_below_lasnn", "kd_below_lasnn", "lasnn_near_ann"]
    raw = {}
    for name, method, own in (
        ("hybrid_below_lasnn", "hybrid", variant),
        ("kd_below_lasnn", "kd_label", variant),
        ("lasnn_near_ann", "ann", "base"),
    ):
        d = [
            percent(preset, "lasnn_act", student, variant) - percent(preset, method, student, own)
            for student in ("conv3fc2", "vgg5")
        ]
        found = crossed([(d[0] + d[1]) / 2])
        assert primary.loc[name, ["difference", "se"]].tolist() == pytest.approx([found.mean, found.se])
        raw[name] = two_sided(found, bound=-3.0 if name == "lasnn_near_ann" else 0.0)
        assert primary.loc[name, "p"] == pytest.approx(raw[name])
        assert primary.loc[name, "above"] == share_above(np.stack(d).mean(axis=2).ravel())
        assert primary.loc[name, "compared"] == 10
    first, second, third = sorted(raw, key=raw.get)
    by_hand = {first: 3 * raw[first]}
    by_hand[second] = max(by_hand[first], 2 * raw[second])
    by_hand[third] = max(by_hand[second], raw[third])
    assert primary["p_holm"].to_dict() == pytest.approx({name: min(1, p) for name, p in by_hand.items()})
    for name, p in by_hand.items():
        effect = primary.loc[name, "difference"] + (3 if name == "lasnn_near_ann" else 0)
        assert primary.loc[name, "verdict"] == ("undecided" if p >= 0.05 else "confirmed" if effect > 0 else "refuted")
    assert "confirmed" in set(primary["verdict"])
    assert set(primary["network"]) == {"all networks: 3Conv2Linear, VGG5"}


def test_each_family_is_corrected_for_itself(two_networks):
    """The least p of a family and reading times the number of its tests."""
    tidy = lines_of(two_networks)
    made = tidy[tidy["p"].notna()]
    families = dict(list(made.groupby(["family", "reading"])))
    names = ("primary", "secondary", "spikes")
    assert set(itertools.product(names, ("sum", "mean"))) <= families.keys()
    for lines in families.values():
        least = lines.loc[lines["p"].idxmin()]
        assert least["p_holm"] == pytest.approx(min(1, least["p"] * len(lines)))


def test_each_reading_takes_its_variant_of_every_student_and_every_seed(two_networks):
    """Of trained students alone: conversion and ANN have no logits to be read in training."""
    runs = [run for run in EXHIBITS["claims"].runs(two_networks) if getattr(run, "variant", "") == "logit_sum"]
    expected = itertools.product(("conv3fc2", "vgg5"), ("hybrid", "kd_label", "lasnn_act"), range(5))
    assert sorted((run.student, run.method, run.seed) for run in runs) == sorted(expected)
    readings = {"sum": "logit_sum", "mean": "base"}
    preset = with_scope("quick", seeds=[0, 1], repeated=["hybrid"], readings=readings)
    for variant, seeds in (("base", [0, 1]), ("logit_sum", [0, 1]), ("scratch", [0])):
        cell = focus_cell(preset, "any", "hybrid", variant)
        assert [run.seed for run in runs_of(cell, preset)] == seeds


def test_a_reading_is_that_of_the_runs():
    """An entry `for` a method, a network or an input counts; a pair whose sides differ says both."""
    content = copy.deepcopy(CONTENT)
    content["presets"]["quick"]["for"] = {
        "lasnn_act+vgg5": {"spiking": {"logit_scale": "auto"}},
        "conv3fc2": {"spiking": {"logit_scale": "sum"}},
    }
    preset = Config(content).preset("quick")
    claim = CLAIMS["hybrid_below_lasnn"]
    found = {question.pairs[0].more.student: question.reading for question in claim.questions(preset)[1:]}
    assert found["VGG5"] == "mean / auto"
    assert found["3Conv2Linear"] == "sum"
    assert found["VGG9"] == "mean"  # nothing is run


def test_equivalence_by_hand(two_networks):
    """Teachers: both sides of the margin, the nearer decides; p is doubled, as "beyond" would be a verdict too."""
    preset = two_networks
    first, second = (percent(preset, "lasnn_act", "vgg5", teacher=teacher) for teacher in ("vgg16bn", "resnet20"))
    found = crossed([second - first])
    line = lines_of(preset, claim="teachers_alike", network="VGG5").iloc[0]
    assert line["effect"] == pytest.approx(1 - abs(found.mean))
    inside = max(t.sf((1 - found.mean) / found.se, found.df), t.sf((1 + found.mean) / found.se, found.df))
    assert line["p"] == pytest.approx(2 * min(inside, 1 - inside))


def test_where_images_have_no_part_seeds_alone_count(two_networks):
    """Spikes of conversion less LaSNN's: 100 to 104, sd sqrt(2.5), mean sqrt(0.5); of label KD's 50 in every seed.

    Minutes 1 and 2 by turns, GB 1 to 5, alike for both kinds of maps.
    """
    tidy = lines_of(two_networks, network="VGG5", reading="mean").set_index("claim")
    line = tidy.loc["fewer_spikes_than_conversion"]
    assert (line["less"], line["more"], line["difference"], line["df"], line["test"]) == (100, 202, 102, 4, "seeds")
    assert (line["sd"], line["se"]) == pytest.approx((2.5**0.5, 0.5**0.5))
    assert line["p"] == pytest.approx(2 * t.sf(102 / 0.5**0.5, 4))
    alike = tidy.loc["fewer_spikes_than_kd"]
    assert (alike["difference"], alike["test"], alike["verdict"]) == (50, "none: no spread", "undecided")
    assert tidy.loc["gradient_takes_longer", ["less", "more"]].tolist() == [1.4, 1.4]
    assert tidy.loc["gradient_takes_memory", ["less", "more"]].tolist() == [3, 3]
    assert np.isnan(line["images"])
    speed = tidy.loc["faster"]  # T* 100 or 250 of LaSNN's T = 10, so 10 or 25 times, 20 of them claimed
    values = [10 if mean <= 60 else 25 for mean in percent(two_networks, "lasnn_act").mean(axis=1)]
    assert (speed["less"], speed["more"]) == (20, np.mean(values))


@pytest.mark.parametrize("count", [2, 4])
def test_fewer_seeds_than_five_are_too_few(tmp_path, count):
    """Effect and interval, and no p."""
    scope = {"seeds": list(range(count)), "claims": list(SENTENCES)}
    preset = written(tmp_path, scope)
    line = lines_of(preset, claim="hybrid_below_lasnn", network="VGG5").iloc[0]
    found = crossed([percent(preset, "lasnn_act") - percent(preset, "hybrid")])
    assert (line["verdict"], line["remark"]) == ("too few seeds", f"{count} of 5 seeds")
    assert (line["low"], line["high"]) == pytest.approx(found.interval(0.95))
    assert set(lines_of(preset)["verdict"]) == {"too few seeds"}
    assert EXHIBITS["claims"].tidy(preset)["p"].isna().all()
    fewer = Config(merged(preset.config.content, {"protocol": {"claims": {"seeds": count}}})).preset("quick")
    assert lines_of(fewer, claim="hybrid_below_lasnn", network="VGG5").iloc[0]["verdict"] != "too few seeds"
    run = EXHIBITS["claims"].runs(preset)[0]
    assert fewer.settings(run) == preset.settings(run)  # how exhibits judge makes no run anew


def test_a_seed_that_one_side_lacks_is_left_out(tmp_path, monkeypatch):
    """Of hybrid training the first seed is missing: 70 - 45 and 80 - 50."""

    def right(run, _):
        return np.arange(20) < (8 + run.seed if method_of(run) == "conversion" else 12 + 2 * run.seed)

    preset = written(tmp_path, {"seeds": [0, 1, 2]}, right)
    found = [run for run in EXHIBITS["claims"].runs(preset) if (method_of(run), run.seed) != ("hybrid", 0)]
    monkeypatch.setattr(
        "lasnn.report.judged.runs_of", lambda cell, preset: [run for run in runs_of(cell, preset) if run in found]
    )
    line = lines_of(preset, claim="conversion_below_hybrid", network="VGG5").iloc[0]
    assert (line["n"], line["difference"]) == (2, 27.5)
    assert line["remark"] == "seed 0 of conversion (VGG5) without a partner; 2 of 5 seeds"


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [("encoding", "direct", "hybrid training (VGG5, poisson)"), ("timesteps", "8", "hybrid training (VGG5, 16)")],
)
def test_two_cells_of_one_method_are_told_apart_by_what_differs(key, value, named):
    less = Cell("", "", "cifar10", "VGG5", "", "hybrid", "poisson", "16", "accuracy")
    pair = Pair(less, replace(less, **{key: value}))
    run = SnnRun("cifar10", "vgg5", "hybrid", "poisson", 16, seed=3)
    assert Side(1.0, pair, [run], []).alone() == f"seed 3 of {named} without a partner"


def test_networks_with_other_seeds_are_judged_on_those_in_common_and_say_so(two_networks):
    """3Conv2Linear has all seeds, VGG5 the first two."""
    preset = two_networks
    question = next(one for one in CLAIMS["hybrid_below_lasnn"].questions(preset) if one.where)
    seeds = {"3Conv2Linear": (0, 1, 2, 3, 4), "VGG5": (0, 1)}

    def fewer(cell, preset):
        return [run for run in runs_of(cell, preset) if run.seed in seeds[cell.student]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lasnn.report.judged.runs_of", fewer)
        line = answer(CLAIMS["hybrid_below_lasnn"], question, preset, judged=True)
    assert (line["n"], line["p"]) == (2, None)
    assert line["remark"] == "n differs: 3Conv2Linear 5, VGG5 2; taken: seeds 0, 1; 2 of 5 seeds"
    d = [
        percent(preset, "lasnn_act", name, "logit_sum") - percent(preset, "hybrid", name, "logit_sum")
        for name in ("conv3fc2", "vgg5")
    ]
    assert line["difference"] == pytest.approx(((d[0] + d[1]) / 2)[:2].mean())


def test_gains_on_a_harder_task_less_those_on_an_easier_one(tmp_path):
    """VGG5 on both, as VGG7 isn't run: the gain on one dataset less that on the other, images of their own each."""
    scope = {"datasets": {"cifar10": "cifar10", "cifar100": "cifar100"}, "claims": ["gains_grow"]}
    preset = written(tmp_path, scope)
    (line,) = lines_of(preset, claim="gains_grow").to_dict("records")
    gains = [
        percent(preset, "lasnn_act", dataset=name) - percent(preset, "hybrid", dataset=name)
        for name in ("cifar100", "cifar10")
    ]
    found = crossed([gains[0], -gains[1]])
    assert (line["less"], line["more"]) == pytest.approx((gains[1].mean(), gains[0].mean()))
    assert (line["difference"], line["se"], line["p"]) == pytest.approx((found.mean, found.se, two_sided(found)))
    assert (line["question"], line["network"], line["images"]) == ("CIFAR-100 over CIFAR-10", "VGG5", 40)


def test_families_and_what_no_table_has_by_hand():
    """Costs, spikes and speed are corrected apart; runs that no table has are made only for claims that are judged."""
    apart = {name: claim.measure.family for name, claim in CLAIMS.items() if claim.measure.family != "secondary"}
    assert apart == {
        "fewer_spikes_than_conversion": "spikes",
        "fewer_spikes_than_kd": "spikes",
        "direct_fewer_spikes": "spikes",
        "faster": "speed",
        "gradient_takes_longer": "cost",
        "gradient_takes_memory": "cost",
    }
    direct = {"direct_in_fewer_steps", "direct_above_poisson", "direct_fewer_spikes"}
    elsewhere = {"lasnn_where_overfitting", "gains_grow", "gradient_30_below_100", "stable_when_shallow"}
    assert {name for name, claim in CLAIMS.items() if claim.beyond_tables} == direct | elsewhere
    spike_kd = CLAIMS["spike_kd_below_lasnn"].pairs(read().preset("paper"))
    assert {pair.less.paper for pair in spike_kd} == {None}  # the paper quotes it for a network that it doesn't name


def test_claims_that_a_preset_can_not_judge_say_so(two_networks, tmp_path):
    """Of one dataset, one depth and no spike KD nothing is run; a preset that leaves a claim out does not judge it."""
    tidy = EXHIBITS["claims"].tidy(two_networks)
    idle = tidy[tidy["n"] == 0].drop_duplicates("claim").set_index("claim")["verdict"]
    for name in ("gains_grow", "stable_when_shallow", "spike_kd_below_lasnn", "lasnn_where_overfitting"):
        assert idle[name] == "not run"
    shown = EXHIBITS["claims"].arrange(tidy)
    assert (shown["claim"] == SENTENCES["gains_grow"]).sum() == 1
    assert set(tidy["claim"]) == set(SENTENCES)
    preset = written(tmp_path, {"seeds": [0], "claims": ["conversion_below_hybrid"]})
    said = EXHIBITS["claims"].tidy(preset).set_index("claim")["verdict"]
    assert said["direct_above_poisson"] == "not judged in this preset"  # its runs are made for Figure 6


def test_runs_judged_on_other_images_are_refused(tmp_path):
    """On fewer, and on as many but others."""
    preset = written(tmp_path, {"seeds": [0]})
    place = Path(preset.folder(SnnRun("digits", "vgg5", "hybrid", "poisson", 10)), "predictions.npz")
    for labels, counts in ((np.arange(10), "(20 and 10|10 and 20)"), (np.arange(20)[::-1], "20 and 20")):
        np.savez(place, predicted=np.zeros((2, len(labels)), int), labels=labels)
        finished._arrays.cache_clear()
        with pytest.raises(InputError, match=rf"judged on different test images \({counts}\)"):
            EXHIBITS["claims"].tidy(preset)


def test_lines_as_they_are_shown_by_hand():
    """Spikes without decimals, T behind the network. Lines without runs: those with a remark, and one for a claim that
    has no other.
    """
    ran = {"network": "VGG5", "dataset": "CIFAR-10", "unit": "points", "reading": "sum", "verdict": "undecided"}
    ran |= {"n": 5, "steps": 16, "less": 57.126, "more": 58.0, "above": 0.8}
    ran |= {"difference": 0.874, "low": -1, "high": 2.5}
    tested = {"question": "", "above": 0.8, "compared": 25, "images": 20, "p": 0.0444, "remark": "odd"}
    spikes = {"unit": "spikes per image", "less": 5000.4, "more": 4000.2, "more_paper": 3999.6, "difference": -1000.2}
    lines = [
        {"claim": "hybrid_below_kd", "n": 0, "remark": "", "verdict": "not run"},
        {"claim": "hybrid_below_kd"} | ran | tested,
        {"claim": "fewer_spikes_than_kd"} | ran | spikes | {"steps": None},
        {"claim": "fewer_spikes_than_kd"} | ran | {"n": 0, "remark": "too few", "less": None, "more": None},
        {"claim": "gains_grow", "n": 0, "remark": "", "verdict": "not run"},
        {"claim": "gains_grow", "n": 0, "remark": None, "verdict": "not run"},
    ]
    shown = arrange(pd.DataFrame(lines, columns=COLUMNS))
    assert shown["claim"].tolist() == [SENTENCES[lines[index]["claim"]] for index in (1, 2, 3, 4)]
    assert shown["network"].tolist() == ["CIFAR-10 VGG5, T = 16", "CIFAR-10 VGG5", "CIFAR-10 VGG5, T = 16", "-"]
    assert shown["ours"].tolist() == ["57.13 / 58.00", "5000 / 4000", "-", "-"]
    assert shown["paper"].tolist() == ["-", "- / 4000", "-", "-"]
    assert shown["difference"].tolist()[:2] == ["0.87", "-1000"]
    assert shown["interval"].tolist() == ["[-1.00, 2.50]", "[-1, 2]", "[-1.00, 2.50]", "-"]
    assert shown["p"].tolist() == ["0.044", "-", "-", "-"]
    assert shown["n"].tolist() == ["5 seeds, 20 images", "5 seeds", "-", "-"]
    assert shown["more above less"].tolist()[:1] == ["20 of 25"]
    assert shown["logits"].tolist() == ["sum", "sum", "sum", "-"]
    assert shown["remark"].tolist() == ["odd", "-", "too few", "-"]
