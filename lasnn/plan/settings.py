"""The settings of each kind of run, typed and checked. Numbers and their sources are in `config.yaml`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from lasnn.errors import InputError
from lasnn.plan.cells import Claims, Energy, Scope
from lasnn.plan.overlays import Count, Positive, Rate, Section, Share
from lasnn.plan.own import AdoptedWeights, OwnArchitecture


class Data(Section):
    train_images: Positive | None
    test_images: Positive | None
    held_out: Positive
    assess: Literal["test", "held_out"]
    crop_padding: Count
    flip: bool
    watched: Positive | None = None

    def trained_on(self, images: int) -> int:
        """How many of so many training images are left to train on; InputError if none is."""
        left = images if self.assess == "test" else images - self.held_out
        if left < 1:
            raise InputError(
                f"data.assess: held_out takes {self.held_out} of {images} training images and leaves none to train on: "
                "set a smaller data.held_out or more data.train_images"
            )
        return left


class Network(Section):
    width: Rate
    fc: Positive | None
    init: Literal["base", "he"]
    dropout_scale: Annotated[float, Field(ge=0, lt=2)]
    teacher_norm: Literal["unit", "dataset_stats"]
    levels: Positive | None = None
    ann_norm: Literal["unit", "dataset_stats"] = "unit"
    batch_norm: bool = False


class Training(Section):
    optimizer: Literal["sgd", "adam"]
    lr: Rate
    momentum: Annotated[float, Field(ge=0, lt=1)]
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
    weight_decay: Annotated[float, Field(ge=0)]
    wd_mode: Literal["l2", "decoupled"]
    batch: Positive
    epochs: Count
    schedule: Literal["steps", "cosine"]
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...]
    decay: Annotated[float, Field(gt=0, le=1)]
    warmup_epochs: Count
    clip_norm: Rate | None
    amsgrad: bool = False


class Balancing(Section):
    norm: Literal["tb", "max", "robust", "clip"]
    norm_images: Positive
    steps: Positive
    images: Positive
    batches: Positive
    stat: Literal["max", "p99.7"]
    augment: bool
    residual: Literal["balanced", "base"]
    noise: Literal["step", "chunk"] = "chunk"  # as runs were made before the key was there


class Curve(Section):
    steps: Positive
    images: Positive | None
    scales: Annotated[tuple[Rate, ...], Field(min_length=1)]
    grid: Annotated[tuple[Positive, ...], Field(min_length=1)]


class Encoder(Section):
    gain: Annotated[float, Field(gt=0, le=1)]


class Neuron(Section):
    order: Literal["sync", "delayed", "instant_reset"]
    reset: Literal["soft", "hard"]


class Spiking(Section):
    scale: Rate | Literal["search"]
    leak: Annotated[float, Field(gt=0, le=1)]
    leak_guard: Annotated[float, Field(ge=0)]
    logit_scale: Literal["auto", "sum", "mean"]
    surrogate: Literal["bellec", "bellec_noscale", "literal", "stdb"]
    gamma: Rate
    stdb: tuple[Rate, Rate]
    reset_grad: bool
    init: Literal["converted", "converted_weights", "scratch", "calibrated"]
    train_thresholds: bool | Literal["channel"]
    steps_schedule: Literal["const", "double_first"]
    potential: Share = 0.0
    train_offsets: bool = False
    train_leak: bool = False
    width: Rate = 1.0
    kind: Literal["lif", "alif"] = "lif"
    adaptation: tuple[Rate, Share] = (1.8, 0.9)
    loss: Literal["total", "every_step"] = "total"
    consistency: Annotated[float, Field(ge=0)] = 0.0
    consistency_target: Literal["mean", "correct", "strongest", "weakest"] = "mean"
    consistency_temperature: Rate = 3.0
    firing_penalty: Annotated[float, Field(ge=0)] = 0.0


class Choices(Section):
    images: Positive
    scale_grid: Annotated[tuple[Rate, ...], Field(min_length=1)]


class Attention(Section):
    alpha: Annotated[float, Field(ge=0)]
    share: Annotated[float, Field(ge=0)] | None = None
    alpha_schedule: Literal["const", "linear_to_zero"]
    map: Literal["spatial", "scalar"]
    distance: Literal["l2", "l2sq", "mse"]
    taps: Literal["resolution", "deep"]
    levels: Annotated[tuple[Literal["low", "mid", "high"], ...], Field(min_length=1)]
    student_act: Literal["rate", "per_step"]
    kappa: Rate
    sam_include_self: bool
    sam_detach_trace: bool
    teacher_grad: Literal["feature", "input"]
    teacher_grad_of: Literal["ce", "logit"]
    grad_norm: Literal["l2", "none"]
    norm: Literal["unit", "none"] = "unit"
    labels: bool = False


class Features(Section):
    weight: Annotated[float, Field(ge=0)]
    taps: Literal["resolution", "deep"]
    levels: Annotated[tuple[Literal["low", "mid", "high"], ...], Field(min_length=1)]


class Blurred(Section):
    weight: Annotated[float, Field(ge=0)]
    blur: Annotated[float, Field(ge=0, lt=1)]
    logits: Annotated[float, Field(ge=0)]
    temperature: Rate
    taps: Literal["resolution", "deep"]


class AlignedKd(Section):
    weight: Annotated[float, Field(ge=0)]
    self_weight: Annotated[float, Field(ge=0)]
    temperature: Rate


class HeadKd(Section):
    weight: Annotated[float, Field(ge=0)]
    temperature: Rate


class SaliencyKd(Section):
    weight: Annotated[float, Field(ge=0)]
    logits: Annotated[float, Field(ge=0)]
    noise: Annotated[float, Field(ge=0, lt=1)]
    temperature: Rate
    taps: ClassVar[str] = "deep"  # the readout weighs the channels of the last layer with a map


class LabelKd(Section):
    weight: Share
    temperature: Rate
    form: Literal["mix", "sum", "added"]
    entropy: Annotated[float, Field(ge=0)] = 0.0


class SpikeKd(Section):
    weight: Share
    window: Positive
    stride: Positive


class WeightCalibration(Section):
    images: Positive
    steps: Count
    batch: Positive
    lr: Rate


class Calibration(Section):
    form: Literal["none", "light", "advanced_potential", "advanced_weights"]
    images: Positive
    batches: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)]
    candidates: Annotated[int, Field(gt=0, le=100)]
    augment: bool
    weights: WeightCalibration


class Evaluation(Section):
    seeds: Annotated[tuple[Count, ...], Field(min_length=1)]


class Compute(Section):
    threads: Positive
    rows: Positive
    micro_batch: Positive | Literal["auto"]
    amp: Literal["off", "tf32", "bf16", "bf16_grad"]
    deterministic: bool


class _OfRun(Section):
    """What all kinds of runs depend on; `architecture` defines an own network, and is absent for the paper's."""

    architecture: OwnArchitecture | None = None
    revision: Positive
    data: Data
    network: Network


class AnnSettings(_OfRun):
    """What an `AnnRun` depends on; adopted weights take the place of a training."""

    training: Training | None
    compute: Compute
    adopted: AdoptedWeights | None = None


class ConvertedSettings(_OfRun):
    """What a `ConvertedRun` depends on beside its parents."""

    encoder: Encoder
    neuron: Neuron
    balancing: Balancing
    curve: Curve
    compute: Compute


class SnnSettings(_OfRun):
    """What an `SnnRun` depends on beside its parents. Sections that its method doesn't read are None."""

    encoder: Encoder
    neuron: Neuron
    balancing: Balancing | None
    spiking: Spiking | None
    choices: Choices | None
    training: Training | None
    attention: Attention | None
    label_kd: LabelKd | None
    spike_kd: SpikeKd | None
    calibration: Calibration | None
    evaluation: Evaluation
    compute: Compute
    features: Features | None = None
    blurred: Blurred | None = None
    aligned_kd: AlignedKd | None = None
    head_kd: HeadKd | None = None
    saliency_kd: SaliencyKd | None = None

    @property
    def taps(self) -> str | None:
        """Which layers are tapped, of a method that looks at some."""
        section = self.attention or self.features or self.blurred or self.saliency_kd
        return section.taps if section else None

    @property
    def of_a_batch(self) -> str | None:
        """What the loss takes of a whole batch, so that its parts can't be added up; None of most."""
        if self.features:
            return "projects features through batch norm, whose statistics are"
        if self.saliency_kd:
            return "scales its maps between a least and a greatest value, which are"
        if self.spiking and self.spiking.consistency and self.spiking.consistency_target in ("strongest", "weakest"):
            return "compares its most with its least confident step, which are those"
        return None


Settings = AnnSettings | ConvertedSettings | SnnSettings
SETTINGS: dict[str, type[Settings]] = {"ann": AnnSettings, "converted": ConvertedSettings, "snn": SnnSettings}


class Protocol(Section):
    """All sections of one overlay stack, before a run picks those that it depends on."""

    scope: Scope
    data: Data
    network: Network
    teacher: Training
    ann: Training
    balancing: Balancing
    curve: Curve
    encoder: Encoder
    neuron: Neuron
    spiking: Spiking
    choices: Choices
    student: Training
    attention: Attention
    features: Features
    blurred: Blurred
    aligned_kd: AlignedKd
    head_kd: HeadKd
    saliency_kd: SaliencyKd
    label_kd: LabelKd
    spike_kd: SpikeKd
    calibration: Calibration
    evaluation: Evaluation
    compute: Compute
    energy: Energy
    claims: Claims

    @model_validator(mode="after")
    def sections_agree(self) -> "Protocol":
        """Settings that are fine alone and impossible together."""
        if self.neuron.reset == "hard" and self.spiking.reset_grad:
            raise ValueError("spiking.reset_grad: true goes with neuron.reset: soft only")
        if self.balancing.norm != "tb" and self.balancing.residual == "base":
            raise ValueError(f"balancing.norm: {self.balancing.norm} goes with balancing.residual: balanced only")
        if (self.network.levels is None) == (self.balancing.norm == "clip"):
            raise ValueError(
                f"network.levels: {self.network.levels} and balancing.norm: {self.balancing.norm}: a network that is "
                "trained with levels has learned its thresholds, which norm: clip takes; set both or neither"
            )
        if self.network.batch_norm and self.network.levels:
            raise ValueError(
                f"network.batch_norm: true and network.levels: {self.network.levels}: a quantised activation takes no "
                "constant current, which batch norm leaves; set one of them"
            )
        if self.spiking.consistency and self.spiking.loss != "every_step":
            raise ValueError("spiking.consistency compares single steps: it goes with spiking.loss: every_step only")
        for name in ("teacher", "ann", "student"):
            training: Training = getattr(self, name)
            if name == "teacher" and training.batch == 1:
                raise ValueError("teacher.batch is 1: teachers have batch norm, which needs at least two images")
            if self.network.batch_norm and training.batch == 1:
                raise ValueError(f"{name}.batch is 1: network.batch_norm needs at least two images")
            if training.optimizer == "sgd" and training.wd_mode == "decoupled":
                raise ValueError(f"{name}.wd_mode: decoupled goes with optimizer: adam; for sgd use l2")
            if training.optimizer == "sgd" and training.amsgrad:
                raise ValueError(f"{name}.amsgrad: true goes with optimizer: adam; for sgd leave it out")
        micro, batch = self.compute.micro_batch, self.student.batch
        if micro != "auto" and batch % micro:
            raise ValueError(f"compute.micro_batch {micro} does not divide student.batch {batch}: choose a divisor")
        if self.network.batch_norm and micro not in ("auto", batch):
            raise ValueError(
                f"compute.micro_batch {micro}: network.batch_norm takes its statistics of the whole student.batch "
                f"{batch}; leave micro_batch at auto"
            )
        if min(self.curve.grid) > self.curve.steps:
            raise ValueError(f"curve.grid has no point up to curve.steps {self.curve.steps}")
        return self
