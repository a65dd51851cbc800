"""Which runs are adopted: adopted.yaml beside config.yaml, written by `python -m lasnn adopt`, to be committed with it.

The plan then has the weights of a file, known by their digest, where it else has a training. The file itself is kept
below the data folder.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from lasnn.errors import InputError
from lasnn.plan.yaml_file import parsed

if TYPE_CHECKING:
    from lasnn.plan.config import Config
    from lasnn.plan.config_file import Adopted

FILE = "adopted.yaml"
ADOPT = "python -m lasnn adopt NETWORK --weights FILE --dataset DATASET"


def recorded(path: Path | str = FILE) -> dict[str, object]:
    """The entries, unchecked: `<preset>/<run>` to the file's name and digest; none where there is no such file."""
    content = parsed(path) if Path(path).exists() else {}
    if not isinstance(content, dict):
        raise InputError(f"{path} is {content!r}: a mapping from runs to files was expected")
    return content


def with_adoptions(content: object, path: Path | str = FILE) -> object:
    """The content of config.yaml together with what is adopted."""
    found = recorded(path)
    return content | {"adopted": found} if found and isinstance(content, dict) else content


def weights_path(config: "Config", adopted: "Adopted") -> Path:
    """Where an adopted file is kept."""
    return Path(config.file.folders.data, "adopted", f"{adopted.sha256[:32]}{Path(adopted.file).suffix}")
