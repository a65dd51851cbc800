"""What is measured, and the network, images and draws that every implementation is given."""

import copy
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lasnn import seeding
from lasnn.compiled.products import PRECISIONS
from lasnn.datasets.batches import Batch, Images, scaled
from lasnn.networks import Net, build, initialise
from lasnn.networks.net import look, watched
from lasnn.plan.settings import Training
from lasnn.spiking.conversion import neurons, spiking
from lasnn.spiking.encoders import ENCODERS, batch_noise
from lasnn.spiking.kernels.torch_scan import fire
from lasnn.spiking.neurons import Dynamics
from lasnn.spiking.surrogates import Bellec

SIDE, CLASSES = 32, 10
# With γ = 1 the triangle is one of the surrogates that spikingjelly has fast operators for; γ costs nothing either way.
SURROGATE = Bellec(gamma=1.0)
# Weights are multiples of it, thresholds lie between its multiples. Without a leak all potentials of the first steps
# are exact in float32, whatever the order of a sum, and the same neurons must spike in every implementation.
GRID = 2.0**-10
SEEN_IMAGES, SEEN_STEPS, DEVIATIONS = 8, 16, 2.0  # what thresholds are chosen by
HALVINGS = 16  # of the range in which the threshold of a wanted rate is looked for

RECIPE = Training(
    optimizer="adam",
    lr=1e-4,
    momentum=0.9,
    betas=(0.9, 0.999),
    weight_decay=5e-4,
    wd_mode="l2",
    batch=16,
    epochs=1,
    schedule="steps",
    milestones=(),
    decay=0.1,
    warmup_epochs=0,
    clip_norm=None,
)


@dataclass(frozen=True)
class Case:
    """One setting: `rows` is the largest number of images x steps in a chunk of inference."""

    network: str
    steps: int
    batch: int
    width: float = 1.0
    leak: float = 1.0
    device: str = "cpu"
    micro_batch: int | None = None  # images of a batch that are in memory at once; None: all
    rows: int = 512
    fc: int | None = None  # units of the hidden linear layers; None: the architecture's own
    amp: str = "off"  # of our products, but for bf16_grad the peers' too: off | bf16 | bf16_grad (CPU) | tf32 (CUDA)
    rate: float | None = None  # share of its neurons that spike in a step, in each layer; None: two deviations

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: expected at least 1")
        if self.micro_batch is not None and not 1 <= self.micro_batch <= self.batch:
            raise ValueError(f"micro-batches of {self.micro_batch} images: expected 1 to {self.batch}, the batch")
        known = [*PRECISIONS] if self.device == "cpu" else ["off", "tf32", "bf16"]
        if self.amp not in known:
            raise ValueError(f"amp {self.amp} on {self.device}: expected one of {', '.join(known)}")
        if self.rate is not None and not 0 < self.rate < 1:
            raise ValueError(f"rate {self.rate}: expected 0 < rate < 1")
        if not 0 < self.leak <= 1:
            raise ValueError(f"leak {self.leak}: expected 0 < leak <= 1")


@dataclass
class Subject:
    """A case with its spiking network (in training mode) and its images."""

    case: Case
    net: Net
    images: Images
    step: int = field(default=0, init=False)

    @property
    def batch(self) -> Batch:
        """The images of a training step."""
        count = self.case.batch
        return Batch(scaled(self.images.pixels[:count]), self.images.labels[:count])

    def encoded(self, x: Tensor, steps: int) -> Tensor:
        """Fresh input spikes [T, B, 3, H, W], drawn as the project draws them."""
        self.step += 1
        draws = seeding.generator("benchmark", "encoder", self.step, device=x.device)
        return ENCODERS["poisson"](x, steps, batch_noise(draws))

    def copy_of_net(self, **dynamics: object) -> Net:
        """The network with weights of its own, and these fields of its neurons' dynamics changed."""
        net = copy.deepcopy(self.net)
        for module in net.modules():
            if hasattr(module, "dynamics"):
                module.dynamics = replace(module.dynamics, **dynamics)
        return net


def images_like(count: int, device: str) -> Images:
    """Smooth random images in the size of CIFAR, with random labels."""
    draws = seeding.generator("benchmark", "images")
    coarse = torch.rand(count, 3, 8, 8, generator=draws)
    pixels = F.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear").mul(255).to(torch.uint8)
    labels = torch.randint(0, CLASSES, (count,), generator=draws)
    return Images(pixels.to(device), labels.to(device), torch.arange(count))


def prepare(case: Case, images: int | None = None) -> Subject:
    """Random weights, thresholds at which every layer fires, synthetic images."""
    net = build(case.network, CLASSES, SIDE, width=case.width, fc=case.fc)
    initialise(net, case.network, "he", seeding.generator("benchmark", "weights", case.network)).to(case.device)
    pictures = images_like(max(images or case.batch, case.batch), case.device)
    with torch.no_grad():
        for weight in net.parameters():
            weight.div_(GRID).round_().mul_(GRID)
    net = spiking(net, Dynamics(leak=case.leak, surrogate=SURROGATE)).train()
    choose_thresholds(net, scaled(pictures.pixels[:SEEN_IMAGES]), case.rate)
    net.taps = {}  # plain cross-entropy looks at no inner layer
    return Subject(case, net, pictures)


@torch.no_grad()
def choose_thresholds(net: Net, x: Tensor, rate: float | None = None) -> None:
    """Each layer's threshold as it is wanted, in one pass over x: `rate` of its neurons spike in a step, or without a
    rate two standard deviations of its current.

    Random weights under thresholds balanced in few steps leave deep layers silent; here every layer fires.
    """

    def choose(neuron: nn.Module, current: Tensor) -> None:
        step = GRID / 4  # currents after a pool are multiples of it
        wanted = threshold_for(rate, current, neuron.dynamics) if rate else DEVIATIONS * current.std().item()
        neuron.threshold.fill_((round(wanted / step) + 1 / 16) * step)

    noise = batch_noise(seeding.generator("benchmark", "thresholds", device=x.device))
    with watched(neurons(net).values(), before=choose):
        look(net, ENCODERS["poisson"](x, SEEN_STEPS, noise))


def threshold_for(rate: float, current: Tensor, dynamics: Dynamics) -> float:
    """The threshold at which this share of all neurons and steps spikes under the current [T, B, ...]."""
    low, high = 0.0, len(current) * current.abs().max().item()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        spikes, _ = fire(current.clone(), None, middle, dynamics)
        low, high = (middle, high) if spikes.mean().item() > rate else (low, middle)
    return high
