"""Manage a training run: its members (each fold with each seed) and the folder that they share."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sertool import shipped
from sertool.errors import SertoolError, UsageError
from sertool.internet import downloading
from sertool.manifests import manifest, manifest_io, run_folder
from sertool.manifests.manifest import Table
from sertool.manifests.run_folder import BEFORE, CHECKPOINT, FILES, FINAL, MODEL, PREDICTIONS, SETTINGS
from sertool.modelfiles import modelfile
from sertool.networks import tensorfile
from sertool.numeric import codes
from sertool.system import files
from sertool.system.files import atomic_write
from sertool.system.paths import path_text, stamp
from sertool.train.design import Design, Member
from sertool.train.member_data import Material

DIGESTED = {  # how to name a difference where only digests are compared
    "shards": "other features", "clips": "other clips", "emotions": "other emotions", "ratings": "other ratings",
    "split": "another split",
    "teacher": "another teacher", "imitate": "another feature to imitate", "listeners": "other listeners' shares",
    "speaker": "other speakers", "corpus": "other corpora", "parent": "other copies", "weights": "other weights",
}  # fmt: skip
KNOWN_AFTER_FEATURES = {"features", *DIGESTED} - {"weights"}
UNNAMED_GROUPS = ("settings", "training")  # whose entries are shown without the group's name


def members(
    divisions: Sequence[tuple[int | None, np.ndarray]], seeds: int, first: int, protocol: str | None
) -> list[Member]:
    """Return a member for every fold and seed."""
    return [
        Member(run_folder.member(seed, fold), seed, fold, split, protocol)
        for fold, split in divisions
        for seed in range(first, first + seeds)
    ]


def of_seed(member: Member, seed: int) -> Member:
    """Return the member of the same fold with another seed."""
    return replace(member, name=run_folder.member(seed, member.fold), seed=seed)


def sweep(folder: Path) -> None:
    """Remove half-written files of a killed run, but no files of others; call it with the folder's lock held."""
    for place in (folder, *run_folder.members(folder), folder / FINAL):
        for name in FILES:
            files.sweep(place / name)


class Comparison(NamedTuple):
    """How the members in a folder compare with those that are wanted."""

    others: list[str]  # members to be replaced
    trained: bool  # whether all that are wanted are trained
    seeds: list[int]  # other seeds of the same run that stay, and are trained in each of its folds


@contextmanager
def claimed(folder: Path, descriptions: dict[str, dict[str, Any]], overwrite: bool) -> Iterator[list[int]]:
    """Prepare a folder for the members of this run; replace other members only with `overwrite`.

    Yields the run's other seeds that are trained and stay, if all that are wanted are trained, too.

    What is replaced is moved aside. It is moved back on any error, and removed once all is trained. If an earlier such
    run was killed, what it moved aside is still there: if that was finished, it is kept, and what the killed run left
    in its place is removed.
    """
    aside = folder / BEFORE
    compared = _compare_members(folder, descriptions, overwrite)
    moved = _vacated(folder, compared.others, aside)
    new = [name for name in descriptions if not (folder / name).exists()]
    try:
        _write_settings(folder, descriptions)
        yield compared.seeds
    except Exception:  # after an interrupt, everything stays, to be continued later
        if moved:
            _move_back(folder, new, aside)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _vacated(folder: Path, others: list[str], aside: Path) -> list[str]:
    """Move aside the members to be replaced, and what follows from them; return the names of what was moved."""
    moved = [name for name in {*others, PREDICTIONS, FINAL} if others and (folder / name).exists()]
    for name in moved:
        if _member_is_done(aside / name):
            _remove(folder / name)
        else:
            _move(folder / name, aside / name)
    return moved


def _move_back(folder: Path, new: list[str], aside: Path) -> None:
    """Move back what was moved aside, in place of the new members."""
    for name in new:
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in (*_members_there(aside), aside / PREDICTIONS):
        if path.exists():
            _move(path, folder / path.relative_to(aside))


def is_trained(folder: Path, descriptions: dict[str, dict[str, Any]], overwrite: bool) -> bool:
    """Whether all members are trained already, as far as described; raise if training would refuse the folder."""
    return _compare_members(folder, descriptions, overwrite).trained


def _compare_members(folder: Path, descriptions: dict[str, dict[str, Any]], overwrite: bool) -> Comparison:
    """Compare a folder with this run; refuse other members unless they may be replaced."""
    found = _existing_members(folder, descriptions)
    unlike = {member.name for member in found if member.why}
    trained = all(_member_is_done(folder / name) and name not in unlike for name in descriptions)
    others_stay = trained and not overwrite
    others = [member for member in found if member.why and not (others_stay and member.other_seed is not None)]
    if not overwrite:
        _refuse_to_replace(folder, [member for member in others if _begun(folder / member.name)])
    return Comparison([member.name for member in others], trained, _whole_seeds(folder, found) if others_stay else [])


def _refuse_to_replace(folder: Path, begun: Sequence["ExistingMember"]) -> None:
    """Refuse if there are any, and name one; other seeds of the same run only if there is nothing else."""
    if strange := next((member for member in begun if member.other_seed is None), None):
        path = folder / strange.name
        raise UsageError(f"{path} {strange.why}: choose another -o, or replace it with --overwrite")
    if begun:
        path = folder / begun[0].name
        raise UsageError(
            f"{path} is another seed of this very run: choose another -o, or ask for all of its seeds "
            "with --seed and --seeds"
        )


def _whole_seeds(folder: Path, found: Sequence["ExistingMember"]) -> list[int]:
    """Return the other seeds that are trained in every fold that is wanted."""
    wanted = {(folder / member.name).parent for member in found if not member.why and member.name != FINAL}
    folds_of = Counter(member.other_seed for member in found if _member_is_done(folder / member.name))
    return sorted(seed for seed, folds in folds_of.items() if seed is not None and folds == len(wanted))


class ExistingMember(NamedTuple):
    """A member in a folder."""

    name: str
    why: str  # why it is not one that is wanted; empty if it is
    other_seed: int | None  # its seed, if only that differs from a wanted one


def _existing_members(folder: Path, descriptions: dict[str, dict[str, Any]]) -> list[ExistingMember]:
    """Return the members in a folder, each compared with the wanted one of its name or else of its fold.

    A final one that is not wanted is in nobody's way.
    """
    of_fold = {(folder / name).parent: descriptions[name] for name in descriptions if name != FINAL}
    found = []
    for path in _members_there(folder):
        name, settings, near = path.relative_to(folder).as_posix(), _read_settings(path), of_fold.get(path.parent)
        if name in descriptions:
            why = _damage(path, settings) or _difference(settings, descriptions[name])
            found.append(ExistingMember(name, why, other_seed=None))
        elif name != FINAL:
            other_seed = settings["seed"] if near and _is_other_seed(settings, near) else None
            found.append(ExistingMember(name, "is of another run", other_seed))
    return found


def _is_other_seed(settings: Any, description: dict[str, Any]) -> bool:
    """Whether a member differs from a wanted one only by its seed."""
    return isinstance(settings, dict) and not _difference(settings | {"seed": description["seed"]}, description)


def _members_there(folder: Path) -> list[Path]:
    """Return the paths of the members in a folder."""
    return [path for path in (*run_folder.members(folder), folder / FINAL) if (path / SETTINGS).exists()]


def _write_settings(folder: Path, descriptions: dict[str, dict[str, Any]]) -> None:
    for name, description in descriptions.items():
        path = folder / name / SETTINGS
        if not path.exists():
            with atomic_write(path) as stream:
                stream.write(json.dumps(description, indent=1).encode())


def _move(source: Path, target: Path) -> None:
    """Rename a file or folder, replacing any target."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove(target)
    source.replace(target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _member_is_done(path: Path) -> bool:
    """Whether a member is trained; a file of joined predictions counts if it exists."""
    return path.is_file() or (path / run_folder.results(path)[-1]).exists()


def _begun(folder: Path) -> bool:
    """Whether replacing a member would lose anything."""
    return (folder / CHECKPOINT).exists() or _member_is_done(folder)


def _damage(folder: Path, settings: Any) -> str:
    """Return what to say of a member's needed file that cannot be read; empty if all can."""
    if not _begun(folder):
        return ""
    if settings is None:
        return f"has no whole {SETTINGS}"
    needed = run_folder.results(folder) if _member_is_done(folder) else (CHECKPOINT,)
    for name in needed:
        try:
            _read(folder / name)
        except SertoolError:
            return f"has no whole {name}"
    return ""


def _read(path: Path) -> Any:
    """Read one of the files of a member."""
    if path.suffix == ".parquet":
        return manifest_io.read(str(path))
    return modelfile.read(path) if path.name == MODEL else tensorfile.read(path)


def _read_settings(member: Path) -> Any:
    try:
        return json.loads((member / SETTINGS).read_bytes())
    except ValueError:
        return None


def describe(material: Material, design: Design, member: Member) -> dict[str, Any]:
    """Return everything that determines a member's weights, by name."""
    soft_emotions = sorted(manifest.family(material.table, "soft_")) if design.training.soft else ()
    table, store = material.table, material.store
    words = asdict(design) | {
        "weights": _weights(design.weights), "features": store.records, "shards": _digest(*store.keys),
        "clips": manifest.digest(table), "split": _digest(member.split.tobytes().hex()),
        "teacher": material.taught and _digest(material.taught.shares.tobytes().hex()),
        "imitate": material.imitated and _digest(design.imitate or "", *material.imitated.store.keys),
        "seed": member.seed, "seeds": member.seeds,
        "listeners": _digest(*(_column(table, f"soft_{word}") for word in soft_emotions)),
    }  # fmt: skip
    words |= {name: _digest(*map(str, values)) for name, values in design.aim.truths(table).items()}
    words |= {name: _column(table, name) for name in ("speaker", "corpus", "parent")}
    return json.loads(json.dumps(words))


def describe_ahead(design: Design, member: Member) -> dict[str, Any]:
    """Return what determines a member's weights, as far as known before features are made and a teacher answers."""
    words = asdict(design) | {"weights": _weights(design.weights), "seed": member.seed, "seeds": member.seeds}
    return json.loads(json.dumps({name: words[name] for name in words if name not in KNOWN_AFTER_FEATURES}))


def _weights(source: str | None) -> str | None:
    """Identify the model of --weights: a file by its content, wherever it lies, or a model of the package by name."""
    return source if source is None or source in shipped.names() else _file_digest(source, stamp(path_text(source)))


@lru_cache(maxsize=1)  # it is gigabytes, and the same for each member
def _file_digest(path: str, _stamp: tuple[int, int] | None) -> str:
    return downloading.digests(Path(path), ("sha256",))["sha256"][:16]


def _column(table: Table, name: str) -> str:
    column = manifest.codes(table, name)
    return _digest(name, column.index.tobytes().hex(), *codes.strings(column.values, 0, len(column.values)))


def _digest(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


def _difference(existing: Any, description: Any) -> str:
    """Return how an existing member differs from a wanted one, as far as known yet; empty if it does not."""
    if isinstance(existing, dict) and "features" not in description:  # described ahead
        existing = {name: existing[name] for name in existing if name in description}
    old, new = _flat(existing), _flat(description)
    names = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    if not names:
        return ""
    differences = [DIGESTED.get(name, f"{name} {old.get(name)}, not {new.get(name)}") for name in names[:3]]
    return f"was trained with {'; '.join(differences)}{' and more' if len(names) > 3 else ''}"


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Flatten nested entries to their paths: `mel.settings.hop`."""
    if not isinstance(value, dict):
        return {name: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, key if name in ("", *UNNAMED_GROUPS) else f"{name}.{key}")
    return flat
