"""State dicts of elsewhere, read without running anything: a zip of torch with tensors only, or safetensors."""

import pickle
import re
from pathlib import Path

import torch
from torch import Tensor

from lasnn.errors import InputError

ZIP, ADVICE = b"PK\x03\x04", "save it with `torch.save(net.state_dict(), FILE)` or as safetensors"


def read(path: Path | str) -> tuple[dict[str, Tensor], bool]:
    """The tensors of a file by name, on the CPU, and whether their order is that of the network they come from.

    Safetensors keeps no order: names are then sorted, numbers in them as numbers. InputError in one line for a file
    that is neither or holds anything else.

    Tensors are float32 (or float64, which is narrowed) and finite; counters may be integers.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            head = file.read(9)
            size = path.stat().st_size
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise InputError(f"{path}: {str(error.strerror).lower()}: name a file of weights") from None
    content: object
    if head[:4] == ZIP:
        content, ordered = _of_torch(path), True
    elif len(head) == 9 and head[8:] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8:
        content, ordered = _of_safetensors(path), False
    else:
        raise InputError(f"{path} is neither a zip of torch nor safetensors ({size} bytes): {ADVICE}")
    return _checked(path, content), ordered


def _of_torch(path: Path) -> object:
    try:
        content: object = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        line = " ".join(str(error).split())
        told = f"{path} holds more than tensors ({_told(line)}), and code in it is never run"
        raise InputError(f"{told}: {ADVICE}") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        line = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise InputError(f"{path} cannot be read as a zip of torch ({line}): {ADVICE}") from None
    return _state_dict_in(path, content)


def _state_dict_in(path: Path, content: object) -> object:
    """What training scripts keep beside epochs and optimizers: the one entry that is a state dict, two levels deep.

    A state dict is a mapping in which some tensor has two axes or more, as a layer's weight has. InputError if several
    are there; the content itself if it is one, or if none is.
    """
    if not isinstance(content, dict) or all(isinstance(value, Tensor) for value in content.values()):
        return content
    found: dict[str, object] = {}
    for key, entry in content.items():
        below = {f"[{key!r}][{word!r}]": one for word, one in entry.items()} if isinstance(entry, dict) else {}
        found |= {
            place: one
            for place, one in ({f"[{key!r}]": entry} if _has_weights(entry) else below).items()
            if _has_weights(one)
        }
    if len(found) > 1:
        raise InputError(
            f"{path} holds several state dicts, {', '.join(found)}: save the one that is meant, "
            f"`torch.save(torch.load({path.name!r}){next(iter(found))}, FILE)`"
        )
    return next(iter(found.values()), content)


def _has_weights(entry: object) -> bool:
    return isinstance(entry, dict) and any(isinstance(value, Tensor) and value.dim() > 1 for value in entry.values())


def _told(line: str) -> str:
    """What torch says is unsupported, without its advice to trust the file."""
    for word in ("Unsupported global: GLOBAL ", "Unsupported operand ", "Unsupported class "):
        if word in line:
            return line.split(word, 1)[1].split(" ")[0]
    return line[:80]


def _of_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as safetensors ({str(error)[:120]}): {ADVICE}") from None
    return dict(sorted(found.items(), key=lambda item: _natural(item[0])))


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Sorts numbers in a name as numbers: features.2 before features.10."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]


def _checked(path: Path, content: object) -> dict[str, Tensor]:
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} holds {type(content).__name__} and no state dict: {ADVICE}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            kind = type(value).__name__
            raise InputError(f"{path} holds {name!r} of type {kind}, no tensor, and no entry is a state dict: {ADVICE}")
        if value.is_floating_point() and value.dtype not in (torch.float32, torch.float64):
            kind = str(value.dtype).removeprefix("torch.")
            raise InputError(f"{path}: {name} is {kind}, which rounds: save float32 weights")
        if value.is_complex() or value.is_sparse or value.is_quantized:
            raise InputError(f"{path}: {name} is not a dense tensor of real numbers: save float32 weights")
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise InputError(f"{path}: {name} holds values that are not finite: that network is broken")
    return {name: value.float() if value.is_floating_point() else value for name, value in content.items()}
