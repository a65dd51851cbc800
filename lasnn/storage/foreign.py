"""State dicts of elsewhere, read without running anything: a zip of torch with tensors only, or safetensors."""

import pickle
import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from lasnn.errors import InputError

LARGEST = 4 << 30  # bytes of tensors that are read at most
ZIP, ADVICE = b"PK\x03\x04", "save it with `torch.save(net.state_dict(), FILE)` or as safetensors"
INSIDE = ("state_dict", "model", "weights")  # where training scripts keep it beside other things


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
        content, ordered = _of_safetensors(path, size), False
    else:
        raise InputError(f"{path} is neither a zip of torch nor safetensors ({size} bytes): {ADVICE}")
    return _checked(path, content), ordered


def _of_torch(path: Path) -> object:
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > LARGEST:
            raise InputError(f"{path} holds {total / 1e9:.1f} GB, {LARGEST / 1e9:.1f} are read at most: {ADVICE}")
        content: object = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        line = " ".join(str(error).split())
        told = f"{path} holds more than tensors ({_told(line)}), and code in it is never run"
        raise InputError(f"{told}: {ADVICE}") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        line = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise InputError(f"{path} cannot be read as a zip of torch ({line}): {ADVICE}") from None
    for key in INSIDE:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            return content[key]
    return content


def _told(line: str) -> str:
    """What torch says is unsupported, without its advice to trust the file."""
    for word in ("Unsupported global: GLOBAL ", "Unsupported operand ", "Unsupported class "):
        if word in line:
            return line.split(word, 1)[1].split(" ")[0]
    return line[:80]


def _of_safetensors(path: Path, size: int) -> dict[str, Tensor]:
    if size > LARGEST:
        raise InputError(f"{path} holds {size / 1e9:.1f} GB, {LARGEST / 1e9:.1f} are read at most: {ADVICE}")
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
            raise InputError(f"{path} holds {name!r} of type {type(value).__name__}, no tensor: {ADVICE}")
        if value.is_floating_point() and value.dtype not in (torch.float32, torch.float64):
            kind = str(value.dtype).removeprefix("torch.")
            raise InputError(f"{path}: {name} is {kind}, which rounds: save float32 weights")
        if value.is_complex() or value.is_sparse or value.is_quantized:
            raise InputError(f"{path}: {name} is not a dense tensor of real numbers: save float32 weights")
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise InputError(f"{path}: {name} holds values that are not finite: that network is broken")
    return {name: value.float() if value.is_floating_point() else value for name, value in content.items()}
