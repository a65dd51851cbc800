"""Checkpoints: weights and what made them, whole or absent, the same bytes for the same content."""

import hashlib
import io
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast
from zipfile import BadZipFile

import torch
from torch import Tensor

from lasnn.errors import InputError, again
from lasnn.storage import files
from lasnn.storage.files import Json

FORMAT = 1
SEAL = b"lasnn sealed 1 sha256 "


class Content(TypedDict):
    """What a checkpoint's file holds."""

    weights: dict[str, Tensor]
    meta: str  # JSON
    sha256: str


def content_digest(weights: dict[str, Tensor], meta: str) -> str:
    """SHA-256 over the meta text and the weights' names, types, shapes and values."""
    digest = hashlib.sha256(meta.encode())
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def save(path: Path | str, weights: dict[str, Tensor], meta: Mapping[str, object]) -> None:
    """Write weights (a state dict) and `meta` (JSON: nothing that changes between identical runs)."""
    files.write_bytes(path, packed(weights, meta))


def packed(weights: dict[str, Tensor], meta: Mapping[str, object]) -> bytes:
    """The bytes of that file."""
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    text = json.dumps({**meta, "format": FORMAT}, sort_keys=True)
    return _saved({"weights": weights, "meta": text, "sha256": content_digest(weights, text)}).getvalue()


def load(path: Path | str, sha256: str | None = None) -> tuple[dict[str, Tensor], Json]:
    """Weights and meta of a checkpoint; InputError if it is missing, damaged or of another format.

    `sha256`: the digest that the file must have, where somebody has written it down.
    """
    try:
        read = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"no checkpoint {path}: `snakemake --cores 1 {path}` makes it") from None
    if sha256 and hashlib.sha256(read).hexdigest() != sha256:
        raise InputError(f"{path} has changed since it was made (expected sha256 {sha256[:12]}...): {again(path)}")
    content = cast(Content, _loaded(path, read))  # or whatever else: seen in the next lines
    try:
        weights = content["weights"]
        meta: Json = json.loads(content["meta"])
        intact = content_digest(weights, content["meta"]) == content["sha256"]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f"{path} is not a checkpoint of lasnn: {again(path)}") from None
    if meta.get("format") != FORMAT:
        raise InputError(f"{path} has format {meta.get('format')}, this version reads {FORMAT}: {again(path)}")
    if not intact:
        raise InputError(f"{path} is damaged: its content doesn't match its digest; {again(path)}")
    return weights, meta


def write_sealed(path: Path | str, content: Mapping[str, object]) -> None:
    """`torch.save`, with the digest of all that follows in the first line: torch checks no sums of its own."""
    buffer = _saved(content)
    with files.replacing(path) as file:
        file.write(SEAL + hashlib.sha256(buffer.getbuffer()).hexdigest().encode() + b"\n")
        file.write(buffer.getbuffer())


def read_sealed(path: Path | str) -> dict[str, object]:
    """What `write_sealed` wrote; InputError if a single byte is another."""
    content = Path(path).read_bytes()
    start = len(SEAL) + 65
    if content[:start] != SEAL + hashlib.sha256(memoryview(content)[start:]).hexdigest().encode() + b"\n":
        raise InputError(f"{path} is damaged: its content doesn't match its digest")
    return _loaded(path, content[start:])


def _saved(content: Mapping[str, object]) -> io.BytesIO:
    """The bytes that `torch.save` makes, in memory: with no file name inside."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer


def _loaded(path: Path | str, content: bytes) -> dict[str, object]:
    """Tensors, numbers and words only (`weights_only`): a checkpoint can't run code."""
    try:
        loaded: dict[str, object] = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
        return loaded
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError, BadZipFile) as error:
        line = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise InputError(f"{path} cannot be read as a checkpoint ({line}): {again(path)}") from None
