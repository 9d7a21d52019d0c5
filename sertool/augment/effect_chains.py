"""Choose the effects that make copies, and their settings: from options, from TOML, or from published systems."""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sertool import catalogue, effects
from sertool.catalogue import Entry, Setting
from sertool.errors import UsageError, first_line, reason
from sertool.system.files import listed

MOST_COPIES = 1000  # of a row, at most

# Effects of published systems, by the names of their features' presets, and those that suit our own network best.
RECIPES: dict[str, dict[str, Any]] = {
    "clstm": {
        "about": "seven corpora: noise up to 3.5 % of the peak, 0.9 times as fast, rolled by up to 2,000 samples",
        "tempo": {"rate": [0.9, 0.9]},
        "peak_noise": {"level": [0.0, 0.035]},
        "shift": {"by": [-0.125, 0.125], "wrap": True},
    },
    "imagenet": {
        "about": "five corpora: rolled by up to 40 % of the clip; the masks are put on while training",
        "shift": {"by": [0.0, 0.4], "unit": "length", "wrap": True},
    },
    "acnt": {
        "about": "RAVDESS: gain, Gaussian noise, pitch, polarity, crop and pad, each on half of the copies (ours)",
        "pitch": {"semitones": [-2.0, 2.0], "share": 0.5},
        "noise": {"snr": [10.0, 30.0], "share": 0.5},
        "gain": {"db": [-6.0, 6.0], "share": 0.5},
        "polarity": {"share": 0.5},
        "crop": {"keep": [0.8, 1.0], "share": 0.5},
    },
    "sertool": {
        "about": "ours, for -m sertool: four copies of other speeds, some with noise, rooms, telephones or other gain",
        "copies": 4,
        "speed": {"rate": [0.88, 1.12], "share": 0.85},
        "noise": {"snr": [5.0, 30.0], "colour": "any", "share": 0.25},
        "reverb": {"seconds": [0.2, 0.6], "share": 0.15},
        "telephone": {"share": 0.12},
        "gain": {"db": [-20.0, 6.0], "share": 0.2},
    },
}


@dataclass(frozen=True)
class Effect:
    """An effect with its settings, and the share of copies that it is applied to."""

    name: str
    settings: Any = None
    share: float = 1.0

    def draw(self, clip: str, copy: int, seed: int) -> effects.Drawn | None:
        """Draw the effect's settings for a copy, or None if it is not applied.

        Each effect has a generator of its own, so that other effects change nothing.
        """
        key = hashlib.sha256(f"{seed} {copy} {self.name} {clip}".encode("utf-8", "surrogatepass")).digest()
        rng = np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))
        if rng.random() >= self.share:
            return None
        return {"effect": self.name, **effects.load(self.name).draw(rng, self.settings)}


@dataclass(frozen=True)
class EffectChain:
    """The effects of copies in their order, the number of copies, and the seed."""

    effects: tuple[Effect, ...]
    copies: int = 1
    seed: int = 0

    def draw(self, clip: str, copy: int) -> str:
        """Return a copy's augmentation, as the manifest stores it."""
        draws = (effect.draw(clip, copy, self.seed) for effect in self.effects)
        return effects.text([effect_draw for effect_draw in draws if effect_draw is not None])


# From options to effects.


@dataclass
class EffectOptions:
    """Settings and shares of effects by name, as a recipe or the command line gives them."""

    effects: dict[str, dict[str, Any]] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    copies: int | None = None


def chain(options: EffectOptions, seed: int) -> EffectChain:
    """Return the effects that are asked for, in order; refuse settings that make no sense."""
    entries = catalogue.entries("effects")
    if not options.effects:
        names = ", ".join(f"--{name}" for name in entries)
        raise UsageError(f"no effect is asked for: choose among {names}, or a --recipe")
    for name in (*options.effects, *options.shares):
        if name not in entries:
            raise UsageError(f"no effect {name}; there are {', '.join(entries)}")
    ordered = sorted(options.effects, key=lambda name: entries[name].facts["PLACE"])
    chained = (_effect(entries[name], options.effects[name], options.shares.get(name)) for name in ordered)
    return EffectChain(tuple(chained), options.copies or 1, seed)


def _effect(entry: Entry, values: Mapping[str, Any], share: float | None) -> Effect:
    settings_known = {setting.name: setting for setting in entry.settings}
    for name in values:
        if name not in settings_known:
            raise UsageError(f"{entry.name}: no setting {name}; there are {listed([*settings_known, 'share'])}")
    checked = {name: _checked(entry.name, settings_known[name], value) for name, value in values.items()}
    module = effects.load(entry.name)
    settings = module.Settings(**checked) if settings_known else None
    if getattr(settings, "folder", None) == "":
        raise UsageError(f"{entry.name}: name a folder of recordings")
    return Effect(entry.name, settings, entry.facts.get("SHARE", 1.0) if share is None else share)


def _checked(effect: str, setting: Setting, value: Any) -> Any:
    """Return a setting's value in its type, or raise an error that says what it may be."""
    where = f"{effect} {setting.name}"
    if setting.kind == "Range":
        return _range(where, setting, value)
    if setting.kind == "choice" and value not in setting.choices:
        raise UsageError(f"{where}: {value!r} is none of {', '.join(setting.choices)}")
    if setting.kind in ("bool", "str") and type(value).__name__ != setting.kind:
        raise UsageError(f"{where}: {value!r} is no {'true or false' if setting.kind == 'bool' else 'text'}")
    return value


def _range(where: str, setting: Setting, value: Any) -> effects.Range:
    bounds = value if isinstance(value, list | tuple) else (value, value)
    if len(bounds) != 2 or not all(type(bound) in (int, float) for bound in bounds):
        raise UsageError(f"{where}: {value!r} is neither a number nor two, the lowest and the highest")
    if bounds[0] > bounds[1]:
        raise UsageError(f"{where}: {bounds[0]:g} to {bounds[1]:g} ends below where it begins")
    if not setting.low <= bounds[0] <= bounds[1] <= setting.high:
        bounds_text = " to ".join(f"{number:g}" for number in dict.fromkeys(bounds))
        raise UsageError(f"{where}: {bounds_text} is not within {setting.low:g} to {setting.high:g}")
    return (float(bounds[0]), float(bounds[1]))


def recipe(name: str) -> EffectOptions:
    """Return a recipe by its name, or from a TOML file.

    The file has `copies` and, for each effect, a table (with `share`), or false.
    """
    if name in RECIPES:
        table = {key: value for key, value in RECIPES[name].items() if key != "about"}
    elif name.endswith(".toml"):
        table = _toml(Path(name))
    else:
        raise UsageError(f"--recipe {name}: a file that ends in .toml, or one of {', '.join(RECIPES)}")
    return _options_of(table, name)


def _options_of(table: dict[str, Any], where: str) -> EffectOptions:
    copies, options = table.pop("copies", None), EffectOptions()
    if copies is not None and not (type(copies) is int and 1 <= copies <= MOST_COPIES):
        raise UsageError(f"{where}: copies = {copies!r} is not a whole number from 1 to {MOST_COPIES:,}")
    options.copies = copies
    for word, value in table.items():
        name = word.replace("_", "-")
        if value is False and name in catalogue.names("effects"):
            continue
        settings = dict(value) if isinstance(value, dict) else _shorthand(name, value)
        share = settings.pop("share", None)
        if share is not None:
            options.shares[name] = _share(f"{where}: {word}", share)
        options.effects[name] = settings
    return options


def _shorthand(name: str, value: Any) -> dict[str, Any]:
    """Expand `pitch = [-2, 2]` to a table of the first setting, and `polarity = true` to an empty one."""
    if value is True:
        return {}
    entry = catalogue.entries("effects").get(name)
    if entry and not entry.settings:
        raise UsageError(f"{name}: takes true, or a table that may hold share, and not {value!r}")
    return {entry.settings[0].name if entry else "": value}


def _share(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UsageError(f"{where}: a share of {value!r} is not from 0 to 1")
    return float(value)


def shares(words: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    """Parse shares: `--share 0.5` for all effects, `--share pitch=0.5` for one, in any order."""
    share_of: dict[str, float] = {}
    for word in sorted(words, key=lambda word: "=" in word):
        name, equals, number = word.rpartition("=")
        try:
            share = _share(f"--share {word}", float(number))
        except ValueError:
            raise UsageError(f"--share takes a number from 0 to 1, or EFFECT=NUMBER, not {word!r}") from None
        name = name.replace("_", "-")
        if equals and name not in names:
            raise UsageError(f"--share {word}: {name} is not asked for; there are {listed(names)}")
        share_of |= {name: share} if equals else dict.fromkeys(names, share)
    return share_of


def _toml(path: Path) -> dict[str, Any]:
    try:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {reason(error)}") from None
    except ValueError as error:  # invalid TOML, or text that is not UTF-8
        line = first_line(error)
        raise UsageError(f"{path} is no TOML: {line}") from None
