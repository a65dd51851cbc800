"""What `python -m benchmarks` can measure: each entry of RUNS makes the rows of one CSV file."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

import torch

from benchmarks.case import Case, prepare
from benchmarks.distillation import distillation_row
from benchmarks.equality import check
from benchmarks.exactness import exactness_rows
from benchmarks.implementations import FLOORS, PEERS, installed, kind, quickest
from benchmarks.measure import apart, by_turns, columns, origin, summary
from benchmarks.parts import parts_rows
from lasnn.training.device import keep_freed_memory, tf32

SCALING_STEPS = {"train": (10, 25, 50, 100), "infer": (10, 25, 100, 250, 1000, 2500)}
SCALING_BATCHES, SCALING_WIDTHS, SCALING_T = (4, 8, 16, 32), (0.25, 0.5, 1.0), 25


@dataclass(frozen=True)
class Request:
    """The command line, read."""

    networks: tuple[str, ...]
    steps: tuple[int, ...]
    batch: int
    rounds: int
    threads: int
    width: float
    device: str
    micro_batch: int | None
    images: int
    implementations: tuple[str, ...]
    clock: str = "wall"
    fc: int | None = None
    amp: tuple[str, ...] = ("off",)
    rate: float | None = None
    variant: str = ""

    def cases(self) -> Iterator[Case]:
        """Networks x steps x precisions."""
        words = {"device": self.device, "fc": self.fc, "rate": self.rate}
        for network in self.networks:
            for steps in self.steps:
                for amp in self.amp:
                    yield Case(network, steps, self.batch, self.width, amp=amp, **words)

    @property
    def usable(self) -> tuple[str, ...]:
        """The implementations whose library is installed."""
        return tuple(name for name in self.implementations if installed(name))


def say(line: str) -> None:
    print(line, flush=True)


def timed(request: Request, action: str) -> Iterator[dict]:
    """`train`, `infer` or `balance`: all by turns in every precision, after a peer was found equal to ours."""
    for network in request.networks:
        for steps in request.steps:
            found = [case for case in request.cases() if (case.network, case.steps) == (network, steps)]
            yield from side_by_side(request, action, found)
            gc.collect()


def side_by_side(request: Request, action: str, cases: list[Case]) -> Iterator[dict]:
    """Rows of cases that differ in the precision alone. The floors, and peers in float32, are there once."""
    started = origin(request.device)
    subject = prepare(cases[0], request.images if action != "train" else None)
    ours = kind("ours")(replace(subject, case=replace(cases[0], amp="off")))
    density = " ".join(f"{share:.3f}" for share in ours.densities())
    things, distances = {}, {}  # by name and precision
    for case in cases:
        own = replace(subject, case=case)
        for name in request.usable:
            if name not in PEERS:
                once = name in FLOORS and any(known == name for known, _ in things)
                things |= {} if once else {(name, case.amp): kind(name)(own)}
            elif case.amp != "bf16_grad":
                thing = things[name, case.amp] = quickest(name, own, action, request.clock)
                distances[name, case.amp] = check(thing, ours)
                say(f"  {name} ({thing.variant}) equals ours: {distances[name, case.amp]}")
        if action == "train" and request.micro_batch and "ours" in request.usable:
            part = min(request.micro_batch, case.batch)
            thing = kind("ours")(replace(own, case=replace(case, micro_batch=part)))
            things[thing.name, case.amp] = thing
    calls = {key: in_precision(getattr(thing, action), key[1]) for key, thing in things.items()}
    times = by_turns(calls, request.rounds, request.device, request.clock)
    dense = next((seconds for (name, _), seconds in times.items() if name == "floor"), None)
    ended = {"load_1min_end": origin(request.device)["load_1min"]}
    for (name, amp), seconds in times.items():
        case = next(case for case in cases if case.amp == amp)
        row = {"what": action, "implementation": name, "variant": getattr(things[name, amp], "variant", "")}
        row |= {"clock": request.clock} | columns(case)
        row |= {"images": len(subject.images)} if action != "train" else {}
        row |= summary(seconds, dense, times.get(("ours", amp)))
        row |= {f"differs_{k}": v for k, v in asdict(distances[name, amp]).items()} if (name, amp) in distances else {}
        yield row | {"share_nonzero": density} | started | ended
        ratio = row["ratio_to_floor"] or float("nan")
        where = f"{case.network} T={case.steps} {action} {name} {amp}"
        say(f"  {where}: {row['median_s']:.4f} s, {ratio:.2f} x floor")


def in_precision(call: Callable[[], None], amp: str) -> Callable[[], None]:
    def run() -> None:
        with tf32(amp == "tf32"):
            call()

    return run


def balancing(request: Request) -> Iterator[dict]:
    """Threshold balancing, which no peer has."""
    alone = tuple(name for name in request.implementations if name not in PEERS)
    return timed(replace(request, implementations=alone), "balance")


def memory(request: Request) -> Iterator[dict]:
    """Peak memory of training steps, each implementation alone; peers in every variant."""
    for case in request.cases():
        jobs = []
        for name in request.usable:
            if name == "ours":
                jobs.append((name, case, ""))
                if request.micro_batch:
                    parts = min(request.micro_batch, case.batch)
                    jobs.append((f"ours, micro-batches of {parts}", replace(case, micro_batch=parts), ""))
            elif name in PEERS:
                jobs += [(name, case, variant) for variant in kind(name).variants if request.variant in variant]
        for label, single, variant in jobs:
            started = origin(request.device)
            job = {"implementation": label.split(",")[0], "case": asdict(single), "action": "train"}
            found = apart(job | {"variant": variant, "threads": request.threads, "clock": request.clock})
            found["times_s"] = " ".join(f"{value:.4f}" for value in found["times_s"])
            row = {"what": "memory", "implementation": label, "clock": request.clock}
            yield row | columns(single) | found | started
            say(f"  {case.network} T={case.steps} {label} {variant}: {found['above_imports_mb']:.0f} MB above imports")


def scaling(request: Request) -> Iterator[dict]:
    """Ours against T, batch and width, each point in a process of its own."""
    for network in request.networks:
        base = Case(network, SCALING_T, request.batch, request.width, device=request.device)
        points = [("T", a, replace(base, steps=t)) for a, all_t in SCALING_STEPS.items() for t in all_t]
        points += [("batch", a, replace(base, batch=b)) for a in SCALING_STEPS for b in SCALING_BATCHES]
        points += [("width", a, replace(base, width=w)) for a in SCALING_STEPS for w in SCALING_WIDTHS]
        for axis, action, case in points:
            started = origin(request.device)
            job = {"implementation": "ours", "case": asdict(case), "action": action, "threads": request.threads}
            found = apart(job | {"repeats": 3, "images": case.batch})
            found["times_s"] = " ".join(f"{value:.4f}" for value in found["times_s"])
            yield {"what": "scaling", "axis": axis, "action": action} | columns(case) | found | started
            say(
                f"  {network} {action} T={case.steps} batch={case.batch} width={case.width:g}: "
                f"{found['median_s']:.3f} s, {found['above_imports_mb']:.0f} MB"
            )


def distillation(request: Request) -> Iterator[dict]:
    """Training by layer-wise distillation."""
    for case in request.cases():
        part = request.micro_batch and min(request.micro_batch, case.batch)
        started = origin(request.device)
        row = distillation_row(replace(case, micro_batch=part), request.images, request.rounds, request.clock)
        yield columns(case) | row | {"clock": request.clock} | started
        peak = f", peak {row['device_peak_mb']:.0f} MB" if "device_peak_mb" in row else ""
        say(
            f"  {case.network} T={case.steps} amp {case.amp}: {row['step_s'] * 1e3:.1f} ms a step, "
            f"{row['images_per_s']:.0f} images/s, {row['epoch_s']:.0f} s for 50,000{peak}"
        )


def exactness(request: Request) -> Iterator[dict]:
    """The compiled loops beside the torch scan."""
    for case in request.cases():
        started = origin(request.device)
        for row in exactness_rows(case):
            yield {"what": "exactness"} | columns(case) | row | started
            found = ", ".join(f"{name} {row[f'differs_{name}']:.1e}" for name in ("spikes", "logits", "gradients"))
            pair = f"{row['implementation']} against {row['against']}"
            say(f"  {case.network} T={case.steps} {row['weights']}, {pair}: {found}")


def parts(request: Request) -> Iterator[dict]:
    """A training step by kind of work."""
    for case in request.cases():
        started = origin(request.device)
        for row in parts_rows(case, request.rounds):
            yield {"what": "parts", "clock": "cpu"} | columns(case) | row | started
            say(f"  {case.network} T={case.steps} width {case.width:g} {row['kind']}: {row['ms']:.2f} ms")


RUNS = {
    "training": lambda request: timed(request, "train"),
    "inference": lambda request: timed(request, "infer"),
    "balancing": balancing,
    "memory": memory,
    "distillation": distillation,
    "scaling": scaling,
    "exactness": exactness,
    "parts": parts,
}


def set_up(request: Request) -> None:
    """Threads, the allocator's setting that our jobs use, for everyone, and float32 products on a GPU as on a CPU."""
    torch.set_num_threads(request.threads)
    keep_freed_memory()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
