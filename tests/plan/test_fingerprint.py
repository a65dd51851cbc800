"""The fingerprint of a run: what it holds, by hand, and what it leaves out."""

import hashlib
import json

import pytest

from lasnn.plan.config import Config, dump, whole
from lasnn.plan.overlays import merged
from lasnn.plan.runs import AnnRun, ConvertedRun, SnnRun, fingerprint

ANN, TEACHER = AnnRun("digits", "vgg5"), AnnRun("digits", "vgg16bn")
CONVERTED = ConvertedRun("digits", "vgg5", "poisson")
HYBRID = SnnRun("digits", "vgg5", "hybrid", "poisson", 10)
LASNN = SnnRun("digits", "vgg5", "lasnn_act", "poisson", 10, "vgg16bn")
RUNS = (ANN, TEACHER, CONVERTED, HYBRID, LASNN)
CONTENT = whole()


def preset(overlay=(), name="quick", **more):
    return Config(merged(CONTENT | more, {"presets": {"quick": dict(overlay)}})).preset(name)


def changed_by(one, other):
    """The runs whose fingerprints two presets have otherwise."""
    return {run for run in RUNS if fingerprint(one, run) != fingerprint(other, run)}


def test_it_is_the_digest_of_name_settings_parents_and_side():
    """By hand, for an ANN and for what is converted from it."""

    def by_hand(run, parents):
        return hashlib.sha256(
            json.dumps([str(run), json.loads(dump(preset().settings(run))), parents, 16], sort_keys=True).encode()
        ).hexdigest()

    ann = by_hand(ANN, {})
    assert fingerprint(preset(), ANN) == ann
    assert fingerprint(preset(), CONVERTED) == by_hand(CONVERTED, {"ann/digits/vgg5/base/s0": ann})


@pytest.mark.parametrize(
    ("overlay", "expected"),
    [
        ({}, set()),
        ({"teacher": {"epochs": 99}}, {TEACHER, LASNN}),
        ({"ann": {"epochs": 99}}, {ANN, CONVERTED, HYBRID, LASNN}),
        ({"curve": {"steps": 999}}, {CONVERTED, HYBRID, LASNN}),
        ({"student": {"epochs": 99}}, {HYBRID, LASNN}),
        ({"attention": {"alpha": 0.123}}, {LASNN}),
        ({"scope": {"note": "Another."}}, set()),
        ({"energy": {"mac_pj": 9.9}}, set()),
        ({"spiking": {"potential": 0.0, "loss": "total"}}, set()),  # keys that came later, at their default
        ({"spiking": {"potential": 0.5}}, {HYBRID, LASNN}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",  # a set has no order of its own
)
def test_a_setting_changes_the_runs_that_read_it_and_those_that_rest_on_them(overlay, expected):
    assert changed_by(preset(), preset(overlay)) == expected


def test_neither_where_things_lie_nor_the_name_of_a_preset_is_in_it():
    elsewhere = preset(mirror="elsewhere", device="cpu", folders={"results": "a", "data": "b"})
    twin = preset(presets=CONTENT["presets"] | {"twin": CONTENT["presets"]["quick"]}, name="twin")
    assert changed_by(preset(), elsewhere) == changed_by(preset(), twin) == set()


def test_adopted_weights_own_images_and_the_revision_of_a_stage_are_in_it(monkeypatch):
    """Weights by their digest, images by their side."""

    def adopted(digest, name="a.pt"):
        return preset(adopted={f"quick/{ANN}": {"file": name, "sha256": digest * 64}})

    def birds(side):
        return fingerprint(preset(datasets={"birds": {"folder": "birds", "side": side}}), AnnRun("birds", "vgg5"))

    rests_on_it = {ANN, CONVERTED, HYBRID, LASNN}
    assert changed_by(preset(), adopted("a")) == rests_on_it
    assert changed_by(adopted("a"), adopted("b")) == rests_on_it
    assert changed_by(adopted("a"), adopted("a", "b.pt")) == set()
    assert birds(16) != birds(32)
    before = {run: fingerprint(preset(), run) for run in RUNS}
    monkeypatch.setattr(ConvertedRun, "REVISION", ConvertedRun.REVISION + 1)
    after = preset()
    assert {run for run in RUNS if fingerprint(after, run) != before[run]} == {CONVERTED, HYBRID, LASNN}
