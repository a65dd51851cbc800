"""config.yaml: overlays in order, settings of a run, its parents, and one clear line for every mistake."""

import contextlib
import json
import re
from dataclasses import replace
from functools import reduce

import pytest
from tiny import committed, config_with, message_of

from lasnn.errors import InputError
from lasnn.plan.cells import focus_cell, runs_of
from lasnn.plan.config import dump, read, restore
from lasnn.plan.runs import AnnRun, ConvertedRun, SnnRun, parse

BENCHMARK = {"rows": {"label KD": ["kd_label"]}, "steps": [1], "trials": "quick"}
VGG5 = SnnRun("digits", "vgg5", "lasnn_act", "poisson", 10, "vgg16bn")


def test_later_overlays_win():
    config = config_with(
        protocol={"student": {"epochs": 100}, "for": {"vgg5": {"student": {"epochs": 90}}}},
        presets={"quick": {"student": {"epochs": 80}, "for": {"vgg5+lasnn_act": {"student": {"epochs": 70}}}}},
        variants={"longer": {"student": {"epochs": 60}}},
    )
    asked = [
        ("paper", SnnRun("cifar10", "vgg9", "hybrid", "poisson", 100)),
        ("paper", SnnRun("cifar10", "vgg5", "hybrid", "poisson", 100)),  # for vgg5
        ("quick", SnnRun("digits", "vgg5", "hybrid", "poisson", 10)),
        ("quick", VGG5),  # for vgg5 and lasnn_act
        ("quick", replace(VGG5, variant="longer")),
    ]
    found = [config.preset(preset).settings(run).training.epochs for preset, run in asked]
    assert found == [100, 90, 80, 70, 60]


def test_settings_survive_the_command_line():
    for run in (VGG5, AnnRun("digits", "vgg5"), ConvertedRun("digits", "vgg5", "poisson")):
        settings = read().preset("quick").settings(run)
        assert restore(run, dump(settings)) == settings
    text = json.loads(dump(settings)) | {"curv": {}}
    with pytest.raises(InputError, match="--settings: unknown key 'curv'"):
        restore(run, json.dumps(text))


PARENTS = {
    "ann/cifar100/vgg7/base/s2": [],
    "converted/cifar100/vgg7/direct/base/s2": ["ann/cifar100/vgg7/base/s2"],
    "snn/cifar100/vgg7/conversion/direct-T8/none/base/s2": ["converted/cifar100/vgg7/direct/base/s2"],
    "snn/cifar100/vgg7/hybrid/poisson-T5/none/base/s2": ["converted/cifar100/vgg7/poisson/base/s2"],
    "snn/cifar100/vgg7/lasnn_grad/direct-T8/resnet20/base/s2": [
        "converted/cifar100/vgg7/direct/base/s2",
        "ann/cifar100/resnet20/base/s2",
    ],
    "snn/cifar100/vgg7/calibration/direct-T8/none/base/s2": ["ann/cifar100/vgg7/base/s2"],
    # Along the chain vgg5, conv3fc2, conv3fc2; from random weights the conversion is the base run's.
    "snn/digits/conv3fc2/kd_spike/poisson-T10/snn_conv3fc2/scratch/s2": [
        "converted/digits/conv3fc2/poisson/base/s2",
        "snn/digits/conv3fc2/kd_spike/poisson-T10/snn_vgg5/scratch/s2",
    ],
    "snn/digits/conv3fc2/kd_spike/poisson-T10/snn_vgg5/alpha01/s2": [
        "converted/digits/conv3fc2/poisson/base/s2",
        "snn/digits/vgg5/kd_spike/poisson-T10/none/base/s2",
    ],
    "snn/digits/vgg5/kd_spike/poisson-T10/none/base/s2": ["converted/digits/vgg5/poisson/base/s2"],
    # Of a variant a parent carries what changes its own settings or its parents'.
    "snn/digits/vgg5/lasnn_act/poisson-T10/vgg16bn/alpha01/s2": [
        "converted/digits/vgg5/poisson/base/s2",
        "ann/digits/vgg16bn/base/s2",
    ],
    "snn/digits/vgg5/lasnn_act/poisson-T10/vgg16bn/random_teacher/s2": [
        "converted/digits/vgg5/poisson/base/s2",
        "ann/digits/vgg16bn/random_teacher/s2",
    ],
    "snn/digits/vgg5/lasnn_act/poisson-T10/vgg16bn/narrow__alpha01/s2": [
        "converted/digits/vgg5/poisson/narrow/s2",
        "ann/digits/vgg16bn/narrow/s2",
    ],
    "snn/digits/vgg5/kd_label/direct-T4/vgg16bn/lr_1e3__quantised__every_step/s2": [
        "converted/digits/vgg5/direct/quantised/s2",
        "ann/digits/vgg16bn/base/s2",
    ],
    "snn/digits/vgg5/hybrid/poisson-T10/none/other_ann/s2": ["converted/digits/vgg5/poisson/other_ann/s2"],
    "converted/digits/vgg5/poisson/other_ann/s2": ["ann/digits/vgg5/other_ann/s2"],
    "snn/digits/vgg5/lasnn_act/direct-T4/vgg16bn/calibrated_start__alpha01/s2": [
        "snn/digits/vgg5/calibration/direct-T4/none/base/s2",
        "ann/digits/vgg5/base/s2",
        "ann/digits/vgg16bn/base/s2",
    ],
}


@pytest.fixture(scope="module")
def family():
    chain = {"scope": {"spike_chain": ["vgg5", "conv3fc2", "conv3fc2"]}}
    variants = {"narrow": {"network": {"width": 0.5}}, "other_ann": {"ann": {"lr": 0.5}}}
    return config_with(presets={"quick": chain}, variants=variants).preset("quick")


@pytest.mark.parametrize("run", PARENTS)
def test_parents_of_every_kind_of_run(family, run):
    """Of its dataset, its input and its seed: the start first, the teacher last."""
    assert list(map(str, family.parents(parse(run)))) == PARENTS[run]


def test_joined_variants_lay_both_overlays_the_right_one_later():
    variants = {"a": {"student": {"lr": 0.5, "epochs": 7}}, "b": {"student": {"lr": 0.25}}}
    preset = config_with(variants=variants).preset("quick")
    for joined, lr in (("a__b", 0.25), ("b__a", 0.5)):
        found = preset.settings(SnnRun("digits", "vgg5", "hybrid", "poisson", 10, variant=joined)).training
        assert (found.lr, found.epochs) == (lr, 7)
    with pytest.raises(InputError, match=r"unknown variant 'c'"):
        preset.settings(replace(VGG5, variant="a__c"))


def test_every_seed_or_the_first_one():
    """Only what `repeated` names takes all seeds, with `repeated_inputs`, if those are given."""
    scope = {"seeds": [3, 1, 2], "repeated": ["hybrid", "lasnn_act+leak_1"], "students": ["vgg5"]}
    preset = config_with(presets={"quick": {"scope": scope}}).preset("quick")

    def seeds(method, variant="base", **words):
        cell = replace(focus_cell(preset, "Table S4", "hybrid", variant), method=method, **words)
        return [run.seed for run in runs_of(cell, preset)]

    assert (seeds("hybrid"), seeds("hybrid", "alpha01"), seeds("lasnn_act")) == ([3, 1, 2], [3], [3])
    assert seeds("lasnn_act", "leak_1") == [3, 1, 2]
    assert seeds("hybrid", encoding="direct") == [3, 1, 2]
    assert seeds("lasnn_act", "leak_1", teacher="ResNet20") == [3]  # not the student's usual teacher
    assert [seeds("ann_teacher", teacher=name) for name in ("VGG16", "ResNet20")] == [[3, 1, 2], [3]]
    preset = config_with(presets={"quick": {"scope": scope | {"repeated_inputs": ["poisson"]}}}).preset("quick")
    assert (seeds("hybrid"), seeds("hybrid", encoding="direct")) == ([3, 1, 2], [3])
    preset = config_with(presets={"quick": {"scope": scope | {"repeated": None}}}).preset("quick")
    assert (seeds("hybrid", "alpha01"), seeds("lasnn_act")) == ([3, 1, 2], [3, 1, 2])


def test_calibration_reads_its_own_sections():
    run = SnnRun("digits", "vgg5", "calibration", "direct", 8, variant="calibration_none")
    base, other = config_with(), config_with(protocol={"student": {"lr": 0.1}, "balancing": {"steps": 7}})
    base, other = base.preset("quick"), other.preset("quick")
    assert base.settings(run) == other.settings(run)
    assert base.settings(run).calibration.form == "none"
    assert base.settings(replace(run, method="conversion")).calibration is None


OWN = {"datasets": {"folder": "somewhere", "side": 16}, "variants": {}, "presets": {}}
MYNET = {"family": "plain", "features": [32, "A", 64, "A"], "hidden": 1, "fc": 128}
PLAIN = "small letters, digits and underscores only"
TAKEN = ("vgg5", "resnet20", "poisson", "hybrid", "none", "snn_vgg5", "base")
NOT_THERE = {key: ["hybrid+nix"] for key in ("repeated", "ablations", "low_t", "recipes")} | {
    "own": {"hybrid": "nix"},
    "corners": {"nix": {}},
    "readings": {"sum": "nix"},
}
TWICE = [
    ("0", {"scope": {"seeds": [1, 0, 0]}}),
    ("'vgg5'", {"scope": {"students": ["conv3fc2", "vgg5", "vgg5"]}}),
    ("1", {"evaluation": {"seeds": [1, 1]}}),
    ("1.0", {"curve": {"scales": [1, 1.0]}}),
    ("'low'", {"attention": {"levels": ["mid", "low", "low"]}}),
]


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"presset": "quick"}, "unknown key 'presset'"),
        ({"variants": {"a__b": {}}}, "variants.a__b: '__' joins two names"),
        ({"presets": {"reference": {}}}, "presets.reference: results/reference holds kept results"),
        ({"presets": {"quick": {"scope": {"repeated": ["hybird"]}}}}, "unknown method .*repeated 'hybird'"),
        ({"presets": {"quick": {"scope": {"inputs": {"poisson": "drect"}}}}}, "unknown encoder .*scope.inputs 'drect'"),
        *(
            (
                {"presets": {"quick": {"scope": {key: value}}}},
                rf"^unknown variant of preset .* scope.{key} 'nix': known",
            )
            for key, value in NOT_THERE.items()
        ),
        ({"presets": {"quick": {"scope": {"low_t": ["hybrid+leak_11"]}}}}, r"and \d+ more; did you mean 'leak_1'\?"),
        ({"presets": {"quick": {"scope": {"repeated_inputs": ["posson"]}}}}, "unknown encoder .*repeated_inputs 'po"),
        ({"presets": {"quick": {"scope": {"ablations": ["hybrid+leak_1__nix"]}}}}, "unknown variant .* 'nix'"),
        ({"presets": {"quick": {"scope": {"own": {"hybrid": "nix"}}}}}, "unknown variant .*scope.own 'nix'"),
        ({"presets": {"quick": {"scope": {"own": {"hybird": "leak_1"}}}}}, "unknown method .*scope.own 'hybird'"),
        ({"preset": "papr"}, "unknown preset 'papr'.*did you mean 'paper'"),
        ({"preset": 3}, "preset is 3"),
        ({"protocol": {"student": {"epoch": 3}}}, "unknown key 'student.epoch': known are optimizer"),
        ({"presets": {"small": {"student": {"lr": "fast"}}}}, r"presets.small: student.lr is 'fast'"),
        ({"presets": {"quick": {"student": {"batch": 0}}}}, "student.batch is 0"),
        ({"presets": {"quick": {"student": {"epochs": True}}}}, "student.epochs is True"),
        ({"presets": {"quick": {"scope": {"students": []}}}}, r"scope.students is \[\]"),
        ({"presets": {"quick": {"scope": {"students": ["vgg6"]}}}}, "unknown student .*'vgg6'"),
        ({"presets": {"quick": {"scope": {"spike_chain": ["vgg5", "vgg6"]}}}}, "unknown student .*spike_chain.*'vgg6'"),
        ({"presets": {"quick": {"scope": {"spike_chain": ["vgg5"] * 3}}}}, "'vgg5' behind the same teacher twice"),
        ({"presets": {"quick": {"scope": {"teachers": []}}}}, "'kd_label' needs a teacher: name one of"),
        ({"presets": {"quick": {"scope": {"spike_chain": ["vgg5"]}}}}, r"scope.spike_chain is \['vgg5'\]"),
        ({"presets": {"quick": {"scope": {"methods": ["lasnn"]}}}}, "unknown method .*'lasnn'"),
        ({"presets": {"quick": {"scope": {"datasets": {"cifar10": "mnist"}}}}}, "unknown dataset .*'mnist'"),
        ({"presets": {"quick": {"scope": {"steps": {"poisson-T100": 0}}}}}, "scope.steps.poisson-T100 is 0"),
        ({"presets": {"quick": {"scope": {"steps": {"poison-T100": 5}}}}}, "unknown encoder .*'poison'"),
        ({"presets": {"quick": {"for": {"vgg55": {"student": {"epochs": 1}}}}}}, "unknown name .*'vgg55'"),
        (
            {"presets": {"quick": {"scope": {"benchmark": BENCHMARK | {"rowz": 1}}}}},
            "unknown key 'scope.benchmark.rowz'",
        ),
        ({"presets": {"quick": {"for": {"vgg5": {"student": {"epoch": 1}}}}}}, r"quick.for.vgg5: unknown key"),
        *(
            (
                {"presets": {"quick": {"for": {key: {"student": {"epochs": 1}}}}}},
                rf"quick.for.{key}".replace("+", r"\+") + said,
            )
            for key, said in (
                ("poisson-T", ": 'poisson-T' is no encoder with its T: expected poisson-T100, say"),
                ("vgg5+direct-T08", ": 'direct-T08' is no encoder with its T"),
                ("vgg5+conv3fc2", " means no run: name one dataset, one network, one method and one encoder at most"),
                ("cifar10+digits", " means no run"),
                ("hybrid+kd_label", " means no run"),
                ("direct+poisson-T10", " means no run"),
                ("vgg16bn+lasnn_act", " means no run: .* a teacher has neither method nor encoder"),
                ("calibration+poisson", " means no run: .* calibration takes direct input"),
            )
        ),
        ({"presets": {"quick": {"for": {"vgg5": {"energy": {"mac_pj": 1}}}}}}, "presets.quick.for.vgg5 sets energy, "),
        (
            {"protocol": {"for": {"vgg5": {"scope": {"seeds": [1]}}}}},
            "protocol.for.vgg5 sets scope, which holds for all",
        ),
        ({"variants": {"x": {"claims": {"similar": 1}}}}, "variants.x sets claims, .*: set presets.<name>.claims"),
        ({"variants": {"x": {"for": {"vgg5": {"claims": {"similar": 1}}}}}}, "variants.x.for.vgg5 sets claims"),
        ({"presets": {"quick": {"spiking": {"surrogate": "relu"}}}}, "spiking.surrogate is 'relu'"),
        ({"presets": {"quick": {"spiking": {"leak": float("nan")}}}}, "spiking.leak is nan"),
        ({"presets": {"mine": 3}}, "presets.mine is 3"),
        ({"variants": {"x": {"attention": {"alhpa": 0.1}}}}, "variants.x: unknown key 'attention.alhpa'"),
        ({"datasets": {"cifar10": {"folder": "x", "side": 32}}}, "'cifar10' is the name of a known dataset already"),
        ({"datasets": {"birds": {"folder": "x", "side": 2}}}, "datasets.birds.side is 2"),
        ({"protocol": {"neuron": {"reset": "hard"}, "spiking": {"reset_grad": True}}}, "goes with neuron.reset: soft"),
        ({"presets": {"quick": {"compute": {"micro_batch": 3}}}}, "micro_batch 3 does not divide student.batch 16"),
        ({"presets": {"quick": {"ann": {"wd_mode": "decoupled"}}}}, "ann.wd_mode: decoupled goes with"),
        ({"presets": {"quick": {"curve": {"steps": 5}}}}, "curve.grid has no point"),
        ({"presets": {"quick": {"scope": {"claims": ["lasnn_wins"]}}}}, "unknown claim .*'lasnn_wins'"),
        ({"presets": {"quick": {"scope": {"corners_once": ["n2500"]}}}}, "unknown corner .*corners_once.*n2500"),
        ({"presets": {"quick": {"scope": {"readings": {"sum": "base"}}}}}, "reads the logits as 'sum', but .* 'mean'"),
        (
            {"presets": {"verdicts": {"for": {"kd_label": {"spiking": {"logit_scale": "sum"}}}}}},
            "reads the logits as 'mean', but for kd_label of 3Conv2Linear spiking.logit_scale is 'sum'",
        ),
        ({"presets": {"quick": {"scope": {"readings": {"sum": "logit_summ"}}}}}, "unknown variant .*readings.*summ"),
        ({"protocol": {"network": {"levels": 4}}}, "network.levels: 4 and balancing.norm: tb: .* set both or neither"),
        ({"protocol": {"balancing": {"norm": "clip"}}}, "network.levels: None and balancing.norm: clip"),
        ({"protocol": {"balancing": {"norm": "max", "residual": "base"}}}, "max goes with .*residual: balanced only"),
        ({"protocol": {"spiking": {"consistency": 0.5}}}, "consistency .* goes with spiking.loss: every_step only"),
        ({"architectures": {"My-net": MYNET}}, f"architectures.My-net: .*{PLAIN}"),
        ({"architectures": {"vgg5": MYNET}}, "architectures.vgg5: 'vgg5' is the name of a network already"),
        ({"architectures": {"snn_mine": MYNET}}, "a spiking teacher's word begins with snn_"),
        ({"architectures": {"mynet": MYNET | {"title": "VGG5"}}}, "the title 'VGG5' is taken"),
        ({"device": "gpu"}, "device is 'gpu'"),
        ({"mirror": 5}, "mirror"),
        ({"mirror": {"cifar_10": "somewhere"}}, "unknown dataset in config: mirror"),
        *(({key: {"Birds": OWN[key]}}, f"{key}.Birds: .*{PLAIN}") for key in OWN),
        *(({"datasets": {name: OWN["datasets"]}}, PLAIN) for name in ("my birds", "birds/2", "vögel", "")),
        *(({"datasets": {name: OWN["datasets"]}}, f"'{name}' is the name of a") for name in TAKEN),
        ({"variants": {"hybrid": {}}}, "variants.hybrid: 'hybrid' is the name of a method already"),
        ({"datasets": {"leak_1": OWN["datasets"]}}, "datasets.leak_1: 'leak_1' is the name of a variant already"),
        *(({"presets": {"quick": twice}}, f"holds {one} twice: remove one") for one, twice in TWICE),
        *(({"folders": {"data": spelt}}, "is no folder that rules can spell") for spelt in (" ", "{x}", "a*")),
        ({"presets": {"quick": {"teacher": {"batch": 1}}}}, "teacher.batch is 1"),
        ({"presets": {"a": {"like": "a"}}}, "presets.a.like is 'a': expected another preset, one of "),
        ({"presets": {"a": {"like": "b"}, "b": {"like": "a"}}}, r"presets.[ab].like is '\w': expected another preset"),
        ({"presets": {"a": {"like": "nix"}}}, "presets.a.like is 'nix': expected another preset"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(overlay, message):
    assert re.search(message, message_of(config_with, **overlay))


MAY_BE_ZERO = {
    *(
        "epochs",
        "warmup_epochs",
        "momentum",
        "weight_decay",
        "crop_padding",
        "dropout_scale",
        "calibration.weights.steps",
    ),
    *("leak_guard", "potential", "consistency", "firing_penalty"),
    *("alpha", "weight", "self_weight", "entropy", "logits", "blur", "noise"),
}


def numbers(section, *path):
    for key, value in section.items():
        if isinstance(value, dict):
            yield from numbers(value, *path, key)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield *path, key


def test_no_number_of_the_protocol_is_negative_and_few_may_be_zero():
    protocol, zero = committed()["protocol"], set()
    for *path, key in numbers(protocol):
        nested = [reduce(lambda inner, outer: {outer: inner}, path[::-1], {key: value}) for value in (-1, 0)]
        assert key in message_of(config_with, protocol=nested[0])
        with contextlib.suppress(InputError):
            config_with(protocol=nested[1])
            zero.add(".".join((*path, key)))
    assert {name if name in MAY_BE_ZERO else name.rpartition(".")[2] for name in zero} == MAY_BE_ZERO


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("snn/digits/vgg5/lasnn_act/poisson-T10/none/base/s0", "needs a teacher"),
        ("snn/digits/vgg5/lasnn_act/poisson-T10/vgg61bn/base/s0", "unknown teacher 'vgg61bn'.*did you mean 'vgg16bn'"),
        ("snn/digits/vgg5/hybrid/poisson-T10/vgg16bn/base/s0", "needs no teacher"),
        ("snn/digits/vgg5/hybrid/poisson-T0/none/base/s0", "asks for 0 time steps"),
        ("snn/digits/vgg5/hybird/poisson-T10/none/base/s0", "unknown method 'hybird'"),
        ("snn/digits/vgg6/hybrid/poisson-T10/none/base/s0", "unknown student 'vgg6'"),
        ("snn/mnist/vgg5/hybrid/poisson-T10/none/base/s0", "unknown dataset 'mnist'"),
        ("snn/digits/vgg5/hybrid/rate-T10/none/base/s0", "unknown encoder 'rate'"),
        ("snn/digits/vgg5/hybrid/poisson-T10/none/alpha/s0", "unknown variant 'alpha'"),
        ("results/quik/ann/digits/vgg5/base/s0", "unknown preset 'quik'"),
        ("elsewhere/quick/ann/digits/vgg5/base/s0", "outside the results folder"),
        ("ann/digits/vgg16bnn/base/s0", "unknown network"),
    ],
)
def test_a_wrong_folder_is_one_line_that_names_it(path, message):
    with pytest.raises(InputError, match=message):
        read().locate(path if path.endswith("ann/digits/vgg5/base/s0") else f"results/quick/{path}")


def test_a_kept_run_is_to_be_taken_up_first():
    path = "results/reference/verdicts/snn/cifar10/vgg5/hybrid/poisson-T16/none/base/s0"
    said = message_of(read().locate, path)
    assert "is kept in git, not worked with: `python -m lasnn import --preset verdicts` takes it up as" in said
    assert said.endswith(path.replace("reference/", ""))
