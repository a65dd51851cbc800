"""Every setting of config.yaml's protocol that a run reads: change it, and what it is for changes, and nothing else.

A row names a key, another value for it, what both sides are set to beforehand, and for some runs the groups of what
they find (`worlds.groups`) that must differ then. All other groups must be the same to the bit; the parents stay as
they were. A run whose settings stay the same is the same; which runs' settings change is looked up in `READ`.
"""

import math
from functools import reduce

import pytest
import torch
from first_update import first_update
from oracle import simulate
from worlds import RUN, TERMS, TRAINED, differing, exact, images, plan, world

from lasnn.datasets.batches import scaled
from lasnn.plan.config import merged
from lasnn.plan.overlays import Section
from lasnn.plan.settings import Protocol
from lasnn.spiking.conversion import leaks, scale_thresholds
from lasnn.spiking.encoders import encode, image_noise
from lasnn.training.device import set_up

ANALOG = {"ANN", "RESIDUAL_ANN", "TEACHER"}
CONVERTING = {"CONVERTED", "DIRECT", "RESIDUAL"}
CHOOSING = {"CONVERSION", *TRAINED}
READ = {  # the runs that read a section
    "data": set(RUN),
    "network": set(RUN),
    "teacher": {"TEACHER"},
    "ann": {"ANN", "RESIDUAL_ANN"},
    "balancing": CONVERTING | CHOOSING,
    "curve": CONVERTING,
    "encoder": set(RUN) - ANALOG,
    "neuron": set(RUN) - ANALOG,
    "spiking": CHOOSING,
    "choices": CHOOSING,
    "student": set(TRAINED),
    "attention": {"ACT", "GRAD"},
    "label_kd": {"LABEL"},
    "features": {"FEATURES"},
    "blurred": {"BLURRED"},
    "aligned_kd": {"ALIGNED"},
    "head_kd": {"READ"},
    "saliency_kd": {"SALIENT"},
    "spike_kd": {"HEAD", "SPIKE"},
    "calibration": {"CALIBRATED"},
    "evaluation": CHOOSING | {"CALIBRATED"},
    "compute": set(RUN),
}
# Runs for which a key is fixed: teachers have no levels, and a batch norm anyway; an entry of `for` gives direct input
# p99.7, and has no noise.
SET_FOR_THEM = {
    "network.levels": {"TEACHER"},
    "network.batch_norm": {"TEACHER"},
    "balancing.stat": {"DIRECT", "RESIDUAL", "HYBRID_DIRECT"},
    "balancing.noise": {"DIRECT", "RESIDUAL", "HYBRID_DIRECT"},
}
ELSEWHERE = {"scope", "energy", "claims"}  # no run reads them: tests/report/test_settings.py
UNSWEPT = {  # keys without a row, and what holds them
    "compute.threads": "changes no bit: test_threads_are_those_of_torch",
    "compute.rows": "changes no bit: test_no_inference_call_takes_more_rows",
    "compute.micro_batch": "changes rounding alone: test_no_part_of_a_batch_is_larger",
    "compute.amp": "of some processors: tests/compiled/test_products.py, tests/training/test_gpu.py",
    "compute.deterministic": "a GPU alone has operations that aren't: tests/training/test_gpu.py",
}

END = "weights watched judged"  # what follows from another update
LOSS = f"terms gradient {END}"
BRIEF = {name: {"epochs": 2, "batch": 24, "lr": 0.05, "milestones": [0.5]} for name in ("ann", "teacher", "student")}
SGD, ADAM = ({name: {"optimizer": one} for name in ("ann", "teacher", "student")} for one in ("sgd", "adam"))
EVERY, SUM = {"spiking": {"loss": "every_step"}}, {"spiking": {"logit_scale": "sum"}}

GRADIENT, ALIF = f"gradient {END}", {"spiking": {"kind": "alif"}}
BALANCED = "balanced thresholds judged"
CALIBRATION, UNITS = "amplitudes thresholds constants weights judged", "weights constants judged"
SCALED = f"choices thresholds {LOSS}"
IMAGES = {"ANN": LOSS, "TEACHER": LOSS, "CONVERTED": BALANCED, "CALIBRATED": CALIBRATION}
LOOKED_AT = {"ANN": "watched judged", "HYBRID": "watched judged", "ACT": "watched judged share"}
JUDGED = dict.fromkeys(("CONVERSION", "HYBRID", "HYBRID_DIRECT", "CALIBRATED"), "judged")
SPIKES = {"CONVERTED": BALANCED, "CONVERSION": "choices judged", "HYBRID": f"choices {LOSS}"}
AWAKE = {"spiking": {"init": "scratch", "potential": 0.9}}  # else the last layers of random weights are silent
SCRATCH, STDB = {"spiking": {"init": "scratch"}}, {"spiking": {"surrogate": "stdb"}}
CLIP = {"network": {"levels": 4}, "balancing": {"norm": "clip"}}
NORM, TWO, LONG, P997 = (
    {"balancing": one} for one in ({"norm": "max"}, {"batches": 2}, {"steps": 60}, {"stat": "p99.7"})
)
WHOLE = {"spiking": {"scale": 1.0}}
CONSISTENT = {"spiking": {"loss": "every_step", "consistency": 0.5}}
CONSISTENCY = [("consistency_target", name) for name in ("correct", "strongest", "weakest")]
CONSISTENCY += [("consistency_temperature", 2.0)]
SHARE = {"attention": {"share": 0.5}}
SEARCH, LABELS = {"spiking": {"scale": "search"}}, {"attention": {"labels": True}}
POTENTIAL, ADVANCED = ({"calibration": {"form": form}} for form in ("advanced_potential", "advanced_weights"))
LABEL_KD = (("weight", 0.7), ("temperature", 2.0), ("form", "sum"), ("form", "added"), ("entropy", 0.1))
WEIGHTS = {"images": 6, "steps": 3, "batch": 2, "lr": 0.02}.items()
# Changes of either map, of the activation map alone and of the gradient map alone.
EITHER = (("alpha", 0.45), ("map", "scalar"), ("distance", "l2sq"), ("distance", "mse"), ("taps", "deep"),
          ("levels", ["low", "mid"]), ("labels", True))  # fmt: skip
OF_ACT = (("student_act", "per_step"), ("norm", "none"))
OF_GRAD = (("kappa", 0.5), ("sam_include_self", True), ("teacher_grad", "input"), ("teacher_grad_of", "logit"),
           ("grad_norm", "none"))  # fmt: skip


def row(key, value, where=None, rates=None, **expected):
    return pytest.param(key, value, where or {}, rates, expected, id=f"{key}={value}".replace(" ", ""))


def rows(section, values, where=None, **expected):
    """Of a section's keys, each by itself: ((key, value), ...)."""
    return [row(f"{section}.{key}", value, where, **expected) for key, value in values]


def trained(name, run):
    """The rows of one of the three training sections, with the learning rates of all epochs."""
    sgd, adam = merged(BRIEF, SGD), merged(BRIEF, ADAM)
    rows = [
        ("optimizer", "adam", sgd, END, [0.05, 0.005]),
        ("lr", 0.02, sgd, f"lr {END}", [0.02, 0.002]),
        ("momentum", 0.5, sgd, END, [0.05, 0.005]),
        ("betas", [0.5, 0.999], adam, END, [0.05, 0.005]),
        ("betas", [0.9, 0.9], adam, END, [0.05, 0.005]),
        ("weight_decay", 0.1, sgd, END, [0.05, 0.005]),
        ("wd_mode", "decoupled", adam, END, [0.05, 0.005]),
        ("amsgrad", True, merged(adam, {name: {"epochs": 3}}), END, [0.05, 0.05, 0.005]),
        ("batch", 12, sgd, f"terms gradient {END}", [0.05, 0.005]),
        ("epochs", 3, sgd, f"lr {END}", [0.05, 0.05, 0.005]),
        ("schedule", "cosine", sgd, f"lr {END}", [0.05, 0.025]),
        ("milestones", [0.9], sgd, f"lr {END}", [0.05, 0.05]),
        ("decay", 0.5, sgd, f"lr {END}", [0.05, 0.025]),
        ("warmup_epochs", 1, sgd, f"lr {END}", [0.025, 0.005]),
        ("clip_norm", 0.01, sgd, END, [0.05, 0.005]),
    ]
    return [row(f"{name}.{key}", value, where, rates, **{run: found}) for key, value, where, found, rates in rows]


BUILT = dict.fromkeys(("CONVERTED", "HYBRID", "CALIBRATED"), "")  # a converted network is built as its ANN was
UNMOVED = dict.fromkeys(("TEACHER", "CONVERTED", "CALIBRATED"), "")
ROWS = [
    *trained("teacher", "TEACHER"),
    *trained("ann", "ANN"),
    *trained("student", "HYBRID"),
    # ---- data
    row("data.train_images", 16, BRIEF, **IMAGES, HYBRID=f"choices {LOSS}"),
    row("data.test_images", 6, CONVERTED="judged", CALIBRATED="judged", **LOOKED_AT),
    row("data.held_out", 7, ANN="", CONVERTED="", CALIBRATED="", HYBRID="choices fit"),
    row("data.assess", "held_out", BRIEF, **IMAGES, HYBRID=f"choices {LOSS}"),
    row("data.crop_padding", 2, BRIEF, **IMAGES, HYBRID=LOSS, CONVERSION=""),
    row("data.watched", 6, ANN="watched", CONVERTED="", CALIBRATED="", HYBRID="watched", ACT="watched share"),
    row("data.flip", False, BRIEF, **IMAGES, HYBRID=LOSS, CONVERSION=""),
    # ---- network
    row("network.width", 0.25, BRIEF, ANN=LOSS, TEACHER=LOSS, **BUILT),
    row("network.fc", 16, BRIEF, ANN=LOSS, TEACHER="", **BUILT),
    row("network.init", "base", BRIEF, ANN=LOSS, TEACHER=LOSS, **BUILT),
    row("network.init", "base", AWAKE, HYBRID=LOSS),
    row("network.dropout_scale", 1.0, BRIEF, ANN=LOSS, TEACHER="", **BUILT),
    row("network.teacher_norm", "dataset_stats", BRIEF, ANN="", TEACHER=LOSS, **BUILT),
    row("network.ann_norm", "dataset_stats", BRIEF, ANN=LOSS, TEACHER="", **BUILT),
    row("network.batch_norm", True, BRIEF, ANN=f"constants {LOSS}", HYBRID=f"constants {LOSS}", **UNMOVED),
    row("network.levels", 2, merged(BRIEF, CLIP), ANN=LOSS, TEACHER=""),
    # ---- balancing
    row("balancing.norm", "max", CONVERTED=BALANCED, CONVERSION="", HYBRID="", SPIKE=""),
    row("balancing.norm", "robust", NORM, CONVERTED=BALANCED),
    row("balancing.norm_images", 10, CONVERTED="", SPIKE=""),
    row("balancing.norm_images", 10, NORM, CONVERTED=BALANCED),
    row("balancing.steps", 30, CONVERTED=BALANCED, HYBRID="", SPIKE=SCALED),
    row("balancing.steps", 10, NORM, CONVERTED=""),
    row("balancing.images", 6, CONVERTED=BALANCED, HYBRID="", SPIKE=SCALED),
    row("balancing.images", 6, NORM, CONVERTED=""),
    row("balancing.batches", 2, CONVERTED=BALANCED, HYBRID=""),
    row("balancing.batches", 2, P997, SPIKE=SCALED),
    row("balancing.stat", "p99.7", CONVERTED=BALANCED, HYBRID=""),
    row("balancing.stat", "p99.7", TWO, CONVERTED=BALANCED, HYBRID="", SPIKE=SCALED),
    row("balancing.augment", False, CONVERTED=BALANCED, HYBRID=""),
    row("balancing.augment", False, {"choices": {"images": 4}}, SPIKE=f"thresholds {LOSS}"),
    row("balancing.augment", False, NORM, CONVERTED=BALANCED),
    row("balancing.noise", "chunk", {"compute": {"rows": 24}}, CONVERTED=BALANCED, HYBRID="", SPIKE=SCALED),
    row("balancing.residual", "base", LONG, CONVERTED="", RESIDUAL=BALANCED),
    # ---- curve
    *rows("curve", (("steps", 13), ("images", 6), ("scales", [1.0, 0.6]), ("grid", [5, 12])), CONVERTED="judged"),
    # ---- encoder, neuron
    row("encoder.gain", 0.5, **SPIKES, DIRECT="", HYBRID_DIRECT=""),
    row("neuron.order", "delayed", **SPIKES, CALIBRATED="constants judged"),
    row("neuron.order", "instant_reset", CONVERTED="", CONVERSION="", HYBRID=f"choices {LOSS}", CALIBRATED=""),
    row("neuron.reset", "hard", **SPIKES, CALIBRATED="constants judged"),
    # ---- spiking
    *rows("spiking", (("scale", 0.4), ("scale", "search")), CONVERSION="choices thresholds judged", HYBRID=SCALED),
    row("spiking.leak", 0.5, CONVERSION="", HYBRID=f"choices {LOSS}", SPIKE=f"choices {LOSS}"),
    row("spiking.leak_guard", 0.0, CONVERSION="", HYBRID=f"choices {LOSS}"),
    row("spiking.logit_scale", "sum", CONVERSION="choices", HYBRID=f"choices {LOSS}"),
    row("spiking.logit_scale", "sum", EVERY, HYBRID=f"choices {LOSS}"),
    row("spiking.logit_scale", "auto", HYBRID=""),
    *rows("spiking", (("surrogate", name) for name in ("bellec_noscale", "literal", "stdb")), HYBRID=GRADIENT),
    *rows("spiking", (("gamma", 0.2), ("reset_grad", True), ("width", 0.5)), HYBRID=GRADIENT),
    row("spiking.stdb", [0.2, 0.01], HYBRID=""),
    *rows("spiking", (("stdb", [0.2, 0.01]), ("stdb", [0.3, 0.1])), STDB, HYBRID=GRADIENT),
    row("spiking.gamma", 0.2, STDB, HYBRID=""),
    *rows("spiking", (("init", "scratch"), ("init", "converted_weights")), HYBRID=f"thresholds {LOSS}"),
    row("spiking.init", "calibrated", WHOLE, HYBRID_DIRECT=f"choices thresholds constants {LOSS}"),
    row("spiking.train_thresholds", True, HYBRID=f"thresholds {GRADIENT}"),
    row("spiking.train_thresholds", "channel", HYBRID=GRADIENT),
    row("spiking.kind", "alif", CONVERSION="choices judged", HYBRID=f"choices {LOSS}"),
    row("spiking.adaptation", [1.2, 0.9], HYBRID=""),
    row("spiking.adaptation", [1.2, 0.9], ALIF, CONVERSION="choices judged", HYBRID=f"choices {LOSS}"),
    row("spiking.adaptation", [1.8, 0.5], ALIF, HYBRID=f"choices {LOSS}"),
    row("spiking.train_leak", True, HYBRID=f"choices {GRADIENT}"),
    row("spiking.steps_schedule", "double_first", HYBRID=LOSS),
    row("spiking.steps_schedule", "double_first", SUM, HYBRID=LOSS),
    row("spiking.potential", 0.5, CONVERSION="choices constants judged", HYBRID=f"choices constants {LOSS}"),
    row("spiking.potential", 0.5, SCRATCH, HYBRID=f"choices constants {LOSS}"),
    row("spiking.train_offsets", True, HYBRID=f"constants {GRADIENT}"),
    row("spiking.loss", "every_step", HYBRID=LOSS),
    row("spiking.consistency", 0.5, EVERY, HYBRID=LOSS),
    row("spiking.consistency_target", "correct", EVERY, HYBRID=""),
    row("spiking.consistency_temperature", 2.0, EVERY, HYBRID=""),
    *rows("spiking", CONSISTENCY, CONSISTENT, HYBRID=LOSS),
    row("spiking.firing_penalty", 0.5, HYBRID=LOSS),
    # ---- choices
    row("choices.images", 5, CONVERSION="choices", HYBRID="choices fit"),
    row("choices.scale_grid", [0.2, 0.3], HYBRID=""),
    row("choices.scale_grid", [0.2, 0.3], SEARCH, HYBRID=SCALED),
    # ---- attention
    *rows("attention", EITHER, ACT=f"{LOSS} share", GRAD=f"{LOSS} share"),
    *rows("attention", OF_ACT, ACT=f"{LOSS} share", GRAD=""),
    *rows("attention", OF_GRAD, ACT="", GRAD=f"{LOSS} share"),
    row("attention.sam_detach_trace", True, ACT="", GRAD=f"{GRADIENT} share"),
    row("attention.alpha_schedule", "linear_to_zero", ACT=END, GRAD=END),
    row("attention.alpha", 0.45, SHARE, ACT="", GRAD=""),
    row("attention.share", 0.5, ACT=f"choices {LOSS} share", GRAD=f"choices {LOSS} share"),
    row("attention.share", 1.0, SHARE, ACT=f"choices {LOSS} share", GRAD=f"choices {LOSS} share"),
    # ---- other objectives
    *rows("label_kd", LABEL_KD, LABEL=LOSS),
    *rows("label_kd", LABEL_KD, LABELS, ACT=f"{LOSS} share", GRAD=f"{LOSS} share"),
    *rows("features", (("weight", 50), ("taps", "deep"), ("levels", ["low", "mid"])), FEATURES=LOSS),
    *rows("blurred", (("weight", 17), ("blur", 0.6), ("logits", 0.5), ("temperature", 4)), BLURRED=LOSS),
    row("blurred.taps", "resolution", BLURRED=LOSS),
    *rows("aligned_kd", (("weight", 0.2), ("self_weight", 0.5), ("temperature", 4)), ALIGNED=LOSS),
    row("head_kd.weight", 0.5, READ=LOSS),
    row("head_kd.temperature", 1, {"head_kd": {"weight": 20}}, READ=LOSS),
    row("saliency_kd.weight", 5, SALIENT=""),  # its maps have one pixel here: held in tests/distillation
    *rows("saliency_kd", (("logits", 0.5), ("noise", 0.4), ("temperature", 4)), SALIENT=LOSS),
    *rows("spike_kd", (("weight", 0.7), ("window", 3), ("stride", 2)), SPIKE=LOSS, HEAD=""),
    # ---- calibration
    *rows("calibration", (("form", "none"), ("images", 5), ("batches", 2)), CALIBRATED=CALIBRATION),
    *rows("calibration", (("momentum", 0.6), ("candidates", 20), ("augment", False)), CALIBRATED=CALIBRATION),
    row("calibration.form", "advanced_potential", CALIBRATED="constants judged"),
    row("calibration.form", "advanced_weights", POTENTIAL, CALIBRATED=UNITS),
    *rows("calibration.weights", WEIGHTS, CALIBRATED=""),
    *rows("calibration.weights", WEIGHTS, ADVANCED, CALIBRATED=UNITS),
    # ---- evaluation
    row("evaluation.seeds", [1, 2], **JUDGED, ACT="watched judged share"),
]


def nested(key, value):
    """The overlay that sets one dotted key."""
    return reduce(lambda inner, name: {name: inner}, reversed(key.split(".")), value)


@pytest.mark.parametrize(("key", "value", "where", "rates", "expected"), ROWS)
def test_a_setting_changes_what_it_is_for_and_nothing_else(key, value, where, rates, expected, monkeypatch):
    """Of the runs that read it, and of no other; a run that a row looks at in vain is one of those.

    The first update of a training that starts from converted weights is the one by hand, too.
    """
    base, preset = world(where), plan(merged(where, nested(key, value)))
    reading = {name for name, run in RUN.items() if base.plan.settings(run) != preset.settings(run)}
    known = READ[key.split(".")[0]] | ({"ACT", "GRAD"} if key.startswith("label_kd") and where else set())
    assert reading == known - SET_FOR_THEM.get(key, set())
    assert set(expected) <= known
    for name, groups in expected.items():
        now = base.changed(name, preset)
        assert differing(base.found(name), now) == set(groups.split()), name
        if rates:
            assert [line["lr"] for line in now.log] == pytest.approx(rates)
        if name in TRAINED and by_hand(now.task):
            terms, gradient = first_update(now, monkeypatch)
            logged = {term: now.log[0][term] for term in TERMS[:-1] if term in now.log[0]}
            assert logged == pytest.approx(terms, rel=1e-5)
            if key not in ("spiking.train_thresholds", "spiking.train_leak"):  # parameters that the oracle has not
                assert now.log[0]["gradient_norm"] == pytest.approx(gradient, rel=1e-4)


def by_hand(task):
    """Whether the oracle knows the start and the objective, and all images are in the first batch."""
    settings = task.settings
    known = settings.spiking.init in ("converted", "converted_weights") and settings.spiking.kind == "lif"
    others = settings.features, settings.blurred, settings.aligned_kd, settings.head_kd, settings.saliency_kd
    known = known and not settings.network.batch_norm and not any(others)  # objectives by hand: tests/distillation
    return known and settings.training.batch >= len(task.train)


def keys_of(section, prefix):
    for name, field in section.model_fields.items():
        inner = field.annotation
        nested = isinstance(inner, type) and issubclass(inner, Section)
        yield from keys_of(inner, f"{prefix}{name}.") if nested else [prefix + name]


def test_every_key_has_a_row():
    """A new one needs a row that shows what it changes, or a place among those that can't have one."""
    sections = {name for name in Protocol.model_fields if name not in ELSEWHERE}
    keys = {key for key in keys_of(Protocol, "") if key.split(".")[0] in sections}
    swept = {row.values[0] for row in ROWS}
    assert swept | set(UNSWEPT) == keys
    assert not swept & set(UNSWEPT)
    assert set(READ) == sections


# ---- by hand ---------------------------------------------------------------------------------------------------------


def test_thresholds_are_scaled_set_to_one_or_those_of_the_calibration():
    """s times the balanced ones; `potential` starts every neuron at that share of its threshold."""
    balanced = thresholds_of(world({}).found("CONVERTED"))
    for scale in (0.3, 0.4):
        found = world({"spiking": {"scale": scale, "potential": 0.5}}).found("HYBRID")
        assert thresholds_of(found) == pytest.approx({name: scale * theta for name, theta in balanced.items()})
        starts = {name: value for name, value in found.state.items() if name.endswith(".initial")}
        assert [start.item() for start in starts.values()] == pytest.approx(
            [t / 2 for t in thresholds_of(found).values()]
        )
    for init in ("scratch", "converted_weights"):
        assert set(thresholds_of(world({"spiking": {"init": init}}).found("HYBRID")).values()) == {1.0}
    began = world(merged(WHOLE, {"spiking": {"init": "calibrated"}}))
    assert thresholds_of(began.found("HYBRID_DIRECT")) == thresholds_of(began.found("CALIBRATED"))


def thresholds_of(found):
    return found.result.metrics["thresholds"]


@pytest.mark.parametrize(("stat", "together"), [("max", max), ("p99.7", lambda values: sum(values) / len(values))])
def test_thresholds_of_several_batches(stat, together):
    """The largest of each layer, or the mean; the first batch is the one that is taken alone."""
    one, two = (world({"balancing": {"stat": stat, "batches": batches}}).found("CONVERTED") for batches in (1, 2))
    by_batch = two.result.metrics["thresholds_by_batch"]
    assert by_batch[:1] == one.result.metrics["thresholds_by_batch"] != by_batch[1:]
    assert list(thresholds_of(two).values()) == pytest.approx([together(each) for each in zip(*by_batch, strict=True)])


def test_a_curve_is_drawn_as_asked():
    """One for each scale, over the steps of the grid that it reaches, from predictions of the first images."""
    found = world({"curve": {"scales": [1.0, 0.6], "grid": [5, 11, 30], "steps": 11, "images": 7}}).found("CONVERTED")
    curves = found.result.metrics["curves"]
    assert [curve["scale"] for curve in curves] == [1.0, 0.6]
    assert [list(curve["accuracy"]) for curve in curves] == [["5", "11"]] * 2
    for curve, predicted in zip(curves, found.result.predictions["predicted"], strict=True):
        by_hand = [100 * (row == images().test_labels[:7]).mean() for row in predicted]
        assert [*curve["accuracy"].values(), curve["final"]] == pytest.approx([*by_hand, by_hand[-1]])
    assert {layer["images"] for curve in curves for layer in curve["spikes"].values()} == {7}
    assert max(layer["per_neuron"] for curve in curves for layer in curve["spikes"].values()) <= 11


def test_a_curve_is_of_spikes_with_the_encoders_gain():
    """Those of the step-by-step simulation, of the noise of seed 0."""
    overlay = {"encoder": {"gain": 0.5}, "curve": {"scales": [1.0], "grid": [6], "steps": 6, "images": 4}}
    found = world(overlay).found("CONVERTED")
    pixels = torch.from_numpy(images().test_images[:4])
    x = encode("poisson", scaled(pixels), 6, image_noise(0, range(4), torch.device("cpu")), 0.5)
    seen = simulate(scale_thresholds(found.result.net, 1.0), x)
    (curve,) = found.result.metrics["curves"]
    assert {name: layer["total"] for name, layer in curve["spikes"].items()} == {
        name: spikes.sum().item() for name, spikes in seen.spikes.items()
    }
    assert seen.spikes["c1"].any()


def test_sizes_of_a_network():
    """64 and 128 channels times the width, 8 at least; `fc` units in the hidden linear layers, whatever the width."""
    state = world({"network": {"width": 0.25, "fc": 20}, "ann": {"epochs": 0}}).found("ANN").state
    assert [len(value) for value in state.values()] == [16, 32, 32, 20, 20, 4]


# ---- compute: what changes no result ---------------------------------------------------------------------------------


def sizes_seen(name, **compute):
    """Images times steps of each call of a run's first layer, in evaluation and in training; and the run."""
    seen = {True: [], False: []}

    def note(module, inputs):
        if isinstance(module, torch.nn.Conv2d) and module.in_channels == 3:
            seen[torch.is_grad_enabled()].append(inputs[0].shape[0] * inputs[0].shape[1])

    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        found = world({}).changed(name, plan({"compute": compute}))
    finally:
        handle.remove()
    return max(seen[False], default=0), max(seen[True], default=0), found


@pytest.mark.parametrize(("name", "most"), [("ANN", 8), ("CONVERTED", 24), ("HYBRID", 4), ("CALIBRATED", 8)])
def test_no_inference_call_takes_more_rows(name, most):
    """Images times steps; the results are the same to the bit where nothing is summed over."""
    rows, _, found = sizes_seen(name, rows=most)
    assert rows == most
    assert sizes_seen(name)[0] > most
    assert "weights" not in differing(found, world({}).found(name))


def test_no_part_of_a_batch_is_larger():
    """Four steps of 6 of the 24 images at once; the gradient is that of all up to rounding."""
    (_, rows, found), whole = sizes_seen("HYBRID", micro_batch=6), sizes_seen("HYBRID")
    assert (rows, whole[1]) == (4 * 6, 4 * 24)
    assert found.log[0]["gradient_norm"] == pytest.approx(whole[2].log[0]["gradient_norm"], rel=1e-5)
    assert math.isclose(found.log[0]["ce"], whole[2].log[0]["ce"], rel_tol=1e-5)


def test_a_student_of_no_epochs_pulls_as_at_the_start():
    found = world({}).changed("LABEL", plan({"student": {"epochs": 0}})).result.metrics["added_share"]
    assert found["start"] == found["end"] > 0


@pytest.mark.parametrize("threads", [2, 1])
def test_threads_are_those_of_torch(threads):
    set_up(torch.device("cpu"), plan({"compute": {"threads": threads}}).settings(RUN["ANN"]).compute)
    assert torch.get_num_threads() == threads


# ---- trainings that are other networks' ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ACT", "GRAD"])
def test_a_training_with_alpha_zero_is_hybrid_bit_for_bit(method):
    """Two epochs with dropout, encoder noise and augmentation: the teacher changes no draw and no bit."""
    here = world({"attention": {"alpha": 0.0}, "network": {"dropout_scale": 1.0}})
    assert exact(here.found(method).state) == exact(here.found("HYBRID").state)


def test_a_calibrated_start_is_the_calibrated_network_until_it_is_trained():
    """Without epochs all that is judged is the same; a training changes every weight and leaves the offsets."""
    start = merged(WHOLE, {"spiking": {"init": "calibrated", "leak": 1.0}})
    untrained, trained = world(merged(start, {"student": {"epochs": 0}})), world(start)
    before, after = untrained.found("HYBRID_DIRECT"), trained.found("HYBRID_DIRECT")
    calibrated = untrained.found("CALIBRATED")
    assert exact(before.state) == exact(calibrated.state)
    for key in ("accuracy", "accuracy_by_step", "spikes", "thresholds", "ann_accuracy"):
        assert before.result.metrics[key] == calibrated.result.metrics[key]
    kept = {name for name, value in before.state.items() if torch.equal(value, after.state[name])}
    assert {name for name in before.state if name.endswith((".offset", ".threshold"))} == kept


def test_thresholds_that_are_trained_are_those_of_the_checkpoint():
    found, start = (world({"spiking": {"train_thresholds": to}}).found("HYBRID") for to in (True, False))
    assert not set(thresholds_of(found).values()) & set(thresholds_of(start).values())
    assert thresholds_of(found) == {
        name.split(".")[1]: value.item() for name, value in found.state.items() if name.endswith(".threshold")
    }


def test_leaks_that_are_trained_travel_in_the_checkpoint():
    """One a layer, away from where all started."""
    result = world({"spiking": {"train_leak": True}}).found("HYBRID").result
    assert result.meta["leaks"] == result.metrics["leaks"] == leaks(result.net)
    assert len({*result.meta["leaks"].values(), result.meta["leak"]}) == 1 + len(leaks(result.net))


def test_a_teacher_with_statistics_of_its_dataset():
    """Those of the 24 training images, in [-1, 1]; they travel in its checkpoint."""
    state = world({"network": {"teacher_norm": "dataset_stats"}}).found("TEACHER").state
    pixels = images().train_images[:24] / 127.5 - 1
    assert state["standardise.mean"].tolist() == pytest.approx(pixels.mean((0, 2, 3)), rel=1e-5)
    assert state["standardise.std"].tolist() == pytest.approx(pixels.std((0, 2, 3)), rel=1e-5)


def test_a_spiking_teachers_accuracy_is_that_of_the_run_before_it_in_the_chain():
    head, taught = (world({}).found(name).result.metrics for name in ("HEAD", "SPIKE"))
    assert (head["teacher_accuracy"], taught["teacher_accuracy"]) == (None, head["accuracy"])
