"""A YAML file read strictly: one clear line for what is no YAML, and for a key that stands twice."""

from pathlib import Path

import yaml

from lasnn.errors import InputError


def parsed(path: Path | str) -> object:
    """What the file holds, unchecked; InputError if it is missing, not YAML, or has a key twice."""
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _Strict)
    except FileNotFoundError:
        raise InputError(
            f"no {path} in {Path.cwd()}: run from the folder that holds the project's config.yaml"
        ) from None
    except OSError as error:
        raise InputError(
            f"{path} can't be read ({error.strerror}): `git checkout config.yaml` brings it back"
        ) from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}; correct that place") from None
    if content is None:
        raise InputError(f"{path} is empty: `git checkout config.yaml` brings it back")
    return content


class _Strict(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error: else the first one would be silently without effect."""

    def compose_mapping_node(self, anchor: object) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)  # type: ignore[arg-type] # the stubs take an anchor for a dict
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands twice", key.start_mark
                    )
                seen.add(key.value)
        return node
