"""Training of the teacher VGG16 with batch norm: our step on our batches beside a plain torchvision loop."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.models.vgg import cfgs, make_layers
from torchvision.transforms import v2

from benchmarks.case import CLASSES, SIDE, images_like
from benchmarks.case import RECIPE as STUDENT_RECIPE
from benchmarks.equality import GRADIENTS, LOGITS, relative
from benchmarks.measure import by_turns, summary
from lasnn import seeding
from lasnn.console import Console
from lasnn.datasets.batches import Images, scaled, training_batches
from lasnn.errors import InputError
from lasnn.networks import Net, build, initialise
from lasnn.networks.plain import scaled as channels
from lasnn.plan.settings import Data
from lasnn.training.loop import Job, Moment, Part, _step, optimizer
from lasnn.training.resume import Saves

RECIPE = STUDENT_RECIPE.model_copy(update={"optimizer": "sgd", "lr": 0.01, "batch": 256})
DATA = Data(train_images=None, test_images=None, held_out=1, assess="test", crop_padding=4, flip=True)


class Pictures(Dataset):
    """The same images one by one, as torchvision's transforms want them."""

    def __init__(self, images: Images):
        self.images = images
        normal = v2.Normalize((0.5,) * 3, (0.5,) * 3)
        steps = [v2.RandomCrop(SIDE, DATA.crop_padding), v2.RandomHorizontalFlip()]
        self.transform = v2.Compose([*steps, v2.ToDtype(torch.float32, scale=True), normal])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.transform(self.images.pixels[index]), self.images.labels[index]


class Plain:
    """make_layers of torchvision, one linear layer, DataLoader in this process, SGD as it comes."""

    def __init__(self, net: Net, images: Images, batch: int, width: float, channels_last: bool):
        plan = [c if c == "M" else channels(c, width) for c in cfgs["D"]]
        head = nn.Linear(net.readout.in_features, CLASSES)
        self.net = nn.Sequential(make_layers(plan, batch_norm=True), nn.Flatten(), head)
        with torch.no_grad():
            for mine, theirs in zip(self.net.parameters(), net.parameters(), strict=True):
                mine.copy_(theirs)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.device = images.pixels.device
        self.net.to(self.device, memory_format=self.layout)
        self.loader = DataLoader(Pictures(images), batch, shuffle=True)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def epoch(self) -> None:
        self.net.train()
        for x, labels in self.loader:
            loss = F.cross_entropy(self.net(x.to(self.device, memory_format=self.layout)), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss.item()


class OurAnn:
    """Our network, batches and step."""

    def __init__(self, net: Net, images: Images, batch: int):
        self.net, self.images, self.batch = net, images, batch
        self.optimizer = optimizer(net, RECIPE)
        self.job = Job(RECIPE, DATA, 0, batch, Saves(Path(), "", Console()))

    def epoch(self) -> None:
        def losses(part: Part, moment: Moment) -> dict[str, Tensor]:
            return {"ce": F.cross_entropy(self.net(part.batch.x[None]).logits, part.batch.labels)}

        self.net.train()
        for index, batch in enumerate(training_batches(self.images, self.batch, DATA, 0, 0)):
            _step(self.net, losses, batch, Moment(0, 0, index, 0.0), self.optimizer, self.job).terms()


def check(ours: Net, plain: nn.Module, images: Images) -> tuple[float, float]:
    """Distances of logits and gradients on the first images; an InputError if they are too large."""
    x, labels = scaled(images.pixels[:8]), images.labels[:8]
    ours.train()
    plain.train()
    z, other = ours(x[None]).logits, plain(x)
    a, b = (
        torch.autograd.grad(F.cross_entropy(logits, labels), list(net.parameters()))
        for logits, net in ((z, ours), (other, plain))
    )
    # The bias before a batch norm has no gradient but rounding, so weights only.
    found = relative(other, z), max(relative(y, g) for g, y in zip(a, b, strict=True) if g.dim() > 1)
    if not (found[0] <= LOGITS and found[1] <= GRADIENTS * 10):
        raise InputError(f"the plain loop's network computes something else: logits {found[0]:.1e}, {found[1]:.1e}")
    return found


def teacher_rows(batch: int, count: int, rounds: int, width: float, device: str, clock: str = "wall") -> Iterator[dict]:
    """Images per second of each loop over `count` images."""
    images = images_like(count, device)
    net = initialise(
        build("vgg16bn", CLASSES, SIDE, width=width), "vgg16bn", "he", seeding.generator("benchmark", "teacher")
    ).to(device)
    loops = {f"plain{' channels_last' * last}": Plain(net, images, batch, width, bool(last)) for last in (0, 1)}
    for loop in loops.values():
        check(net, loop.net, images)
    loops["ours"] = OurAnn(net, images, batch)
    times = by_turns({name: loop.epoch for name, loop in loops.items()}, rounds, device, clock)
    for name, seconds in times.items():
        row = {"what": "ann", "implementation": name, "network": "vgg16bn", "batch": batch, "width": width}
        row |= {"images": count} | summary(seconds, None, times["ours"])
        yield row | {"images_per_s": count / row["median_s"]}
