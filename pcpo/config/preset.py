"""A preset: named changes of method, a layer between experiments and the sizes of a scale."""

from __future__ import annotations

from pydantic import ValidationError

from pcpo.config import files
from pcpo.config.files import ConfigError, explain, known_name, load_yaml
from pcpo.config.overlay import Overlay
from pcpo.config.scale import experiment_names


class Preset(Overlay):
    """A file of config/presets. Unlike a scale it may change any key of an experiment."""

    description: str


def load_preset(name: str) -> Preset:
    """config/presets/<name>.yaml; ConfigError names the file and the key of a mistake."""
    path = files.CONFIG / "presets" / f"{known_name(name, 'preset')}.yaml"
    data = load_yaml(path, "preset")
    if "file" in data:
        raise ConfigError(f"{path}: file: unknown key")
    try:
        preset = Preset(file=str(path), **data)
    except ValidationError as error:
        raise ConfigError(explain(error, [(str(path), data)])) from error
    preset.check_names(experiment_names())
    return preset
