"""Own networks of config.yaml: what is read, what is refused in one line, and what follows from a definition."""

import json

import pytest
import torch
from tiny import config_with, message_of

from lasnn.networks import build
from lasnn.networks.layers import Pool
from lasnn.pipeline import dvc_yaml
from lasnn.plan.cells import runs_of
from lasnn.plan.config import Config, dump, restore, whole
from lasnn.plan.runs import AnnRun, SnnRun, changes, parse
from lasnn.plan.vocabulary import NETWORKS, sides_of
from lasnn.report import runs_of_target
from lasnn.report.exhibits.tables import every_method

CONTENT = whole()
MYNET = {"family": "plain", "features": [32, "A", 64, "A"], "hidden": 1, "fc": 128}
THREE = {"family": "plain", "features": [16, 16, "A", 16, "A", 16]}


def in_scope(name, **architectures):
    """quick with the own student `name` in its scope."""
    content = json.loads(json.dumps(CONTENT)) | {"architectures": architectures}
    scope = content["presets"]["quick"]["scope"]
    scope["students"], scope["teacher_of"] = [*scope["students"], name], scope.get("teacher_of", {}) | {name: "vgg16bn"}
    return Config(content)


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        (MYNET | {"family": "vgg"}, "family is 'vgg'"),
        (MYNET | {"features": [32, "M", 64]}, "features[1] is a max pool (M)"),
        (MYNET | {"features": ["A", 32]}, "a convolution comes first"),
        (MYNET | {"features": [32, "A", "A"]}, "are both pools"),
        (MYNET | {"features": [32, "B"]}, "'B' is neither a number of channels nor a pool"),
        (MYNET | {"features": [4]}, "a layer has at least 8"),
        (MYNET | {"features": []}, "features is []"),
        (MYNET | {"fc": 0}, "hidden layers and their units go together"),
        (MYNET | {"kernel": 4}, "kernel 4 is even"),
        (MYNET | {"strides": [1, 1]}, "has no strides"),
        (MYNET | {"width": 2}, "unknown key 'architectures.mynet.width': known are family"),
        ({"family": "residual", "features": [16, 32], "strides": [1]}, "2 features and 1 strides"),
        ({"family": "residual", "features": [16, "A"], "strides": [1, 2]}, "features[1] is a pool"),
        ({"family": "plain_bn", "features": [16], "hidden": 1, "fc": 8}, "has no hidden linear layers"),
        ({"family": "residual_bn", "features": [16], "strides": [1], "conv_dropout": 0.2}, "has no dropout"),
        ({"features": [32]}, "'architectures.mynet.family' is missing"),
    ],
)
def test_a_definition_that_cannot_work_is_one_line(definition, told):
    message = message_of(config_with, architectures={"mynet": definition})
    assert told in message
    assert "architectures.mynet" in message


def test_width_and_fc_do_not_apply_to_an_own_network():
    config = config_with(architectures={"mynet": MYNET})
    settings = config.preset("quick").settings(AnnRun("digits", "mynet"))
    assert (settings.network.width, settings.network.fc) == (1.0, None)
    assert config.preset("quick").settings(AnnRun("digits", "vgg5")).network.width == 0.125
    content = json.loads(json.dumps(CONTENT)) | {"architectures": {"mynet": MYNET}}
    content["presets"]["quick"]["for"]["mynet"] = {"network": {"width": 0.5}}
    assert "width and fc don't apply to 'mynet'" in message_of(Config, content)


def test_images_that_are_too_small_are_said_before_anything_runs():
    deep = {"family": "plain", "features": [8, "A"] * 5}
    assert "has 5 pools, of which images of 16x16 have room for 4" in message_of(in_scope, "deep", deep=deep)
    config = config_with(architectures={"deep": deep, "mynet": MYNET})
    assert config.locate("results/quick/ann/cifar10/deep/base/s0")
    taught = "results/quick/snn/digits/mynet/lasnn_act/poisson-T10/vgg16bn/base/s0"
    assert "no layer is left for level 'low'" in message_of(config.locate, taught)
    assert config.locate("results/quick/snn/digits/mynet/hybrid/poisson-T10/none/base/s0")


def test_settings_hold_the_definition_and_only_of_own_networks():
    """A change of it reruns its runs; runs of the paper's networks are described as before."""
    before, after = (in_scope("mynet", mynet=THREE | {"features": [16, 16, "A", 16, "A", n]}) for n in (16, 24))
    own, paper = SnnRun("digits", "mynet", "hybrid", "poisson", 10), SnnRun("digits", "vgg5", "hybrid", "poisson", 10)
    told = changes(after.preset("quick"), own, json.loads(dump(before.preset("quick").settings(own))))
    assert [line.split(":")[0] for line in told] == ["architecture.features"]
    assert dump(after.preset("quick").settings(paper)) == dump(Config(CONTENT).preset("quick").settings(paper))
    assert "architecture" not in json.loads(dump(after.preset("quick").settings(paper)))
    settings = after.preset("quick").settings(own)
    assert restore(own, dump(settings)) == settings


def test_everything_that_knows_networks_follows():
    """Of Table S1, whose lines have Poisson input, five of the six methods of `quick`, a line for each run."""
    preset = in_scope("mynet", mynet=THREE | {"title": "Mine"}).preset("quick")
    runs = [run for run in runs_of_target(preset, "tables") if run.network_name == "mynet"]
    assert {getattr(run, "method", run.kind) for run in runs} >= {"ann", "converted", "conversion", "lasnn_act"}
    stages = dvc_yaml.stages(preset)
    assert "architectures.mynet" in stages["ann-digits-mynet-s0"]["params"][0]["config.yaml"]
    assert "architectures.mynet" not in stages["ann-digits-vgg5-s0"]["params"][0]["config.yaml"]
    own = [cell for cell in every_method(preset) if cell.student == "Mine"]
    assert [cell.method for cell in own] == ["conversion", "hybrid", "kd_label", "lasnn_act", "lasnn_grad"]
    assert all(len(runs_of(cell, preset)) == 1 for cell in own)


def test_an_own_teacher_is_trained_as_teachers_are():
    config = config_with(architectures={"mine": {"family": "plain_bn", "features": [16, 16, "M", 16, "A", 16]}})
    preset = config.preset("quick")
    assert preset.settings(AnnRun("digits", "mine")).training == preset.settings(AnnRun("digits", "vgg16bn")).training
    run = parse("snn/digits/vgg5/lasnn_act/poisson-T10/mine/base/s0")
    preset.check_names(run)
    assert AnnRun("digits", "mine") in preset.parents(run)
    layers = build(config.networks.known["mine"], 10, 16).layers.values()
    pools = [module for layer in layers for module in layer.between if isinstance(module, Pool)]
    x = torch.tensor([[[[[0.0, 1.0], [2.0, 5.0]]]]])
    assert [pool(x).item() for pool in pools] == [5.0, 2.0]  # M, A


OWN = {
    "deep": {"family": "plain", "features": [8, "A", 8, 8, "A", 8]},
    "res": {"family": "residual", "features": [8, 16, 16], "strides": [1, 2, 1], "kernel": 5},
    "small_res": {"family": "residual", "features": [8, 8, 16, 16], "strides": [1, 1, 2, 1], "stem": "single"},
    "res_bn": {"family": "residual_bn", "features": [8, 16], "strides": [1, 2]},
}


@pytest.mark.parametrize("name", [*OWN, *NETWORKS])
def test_the_plan_knows_the_sides_that_builders_give(name):
    """Odd ones too: which layers are tapped follows from them, before anything is built."""
    arch = config_with(architectures=OWN).networks.known[name]
    with torch.device("meta"):
        for side in (8, 9, 13, 17, 32, 33, 48, 64):
            assert sides_of(arch, side) == build(arch, 10, side, width=0.05, fc=8).sides, side
