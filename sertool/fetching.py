"""Corpora that arrive whole: from a cache, a mirror, one of several sources, or archives that the user has.

What comes is laid out in `OUT/.NAME.part` and has its name `OUT/NAME` only when all of it is there.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from urllib.parse import quote

from sertool import catalogue, corpora, files, landing, locks, sources, store, talk, transfer, unpacking, web
from sertool.errors import SertoolError, UsageError
from sertool.offers import Offer, offer
from sertool.sources import Plan, ask
from sertool.transfer import Item

FAILURES = (web.Refused, web.Damaged, web.Unreachable, unpacking.Unreadable)  # another source may do better

Agree = Callable[[Offer], None]
Get = Callable[[Item], Path]


@dataclass(frozen=True)
class Errand:
    """Where corpora are to go, and how to get them."""

    out: Path
    cache: Path | None = None  # None: what was downloaded is removed in the end
    mirror: str | None = None
    archives: tuple[Path, ...] = ()  # take these, and ask nobody
    jobs: int = 8
    wait: bool = False

    def store(self, name: str) -> Path:
        return self.cache / name if self.cache else self.out / f".{name}.cache"


@dataclass(frozen=True)
class _Try:
    """One place that may have a corpus."""

    home: str
    plan: Callable[[Get], Plan]
    indexed: bool = False  # by a store, whose index may be anybody's


def fetch(name: str, errand: Errand, agree: Agree) -> Path:
    """Bring a corpus to its folder; `agree` is called before the first download, and raises where it is not to be."""
    wanted, folder = offer(name), errand.out / name
    if landing.is_complete(folder):
        talk.say(f"{name} is complete in {folder}")
        return folder
    _refuse_foreign(folder)
    with locks.alone(errand.out, errand.wait, name):
        if landing.is_complete(folder):  # another process was quicker
            return folder
        if errand.archives:
            _take_given(wanted, errand)
            return folder
        with locks.alone(errand.store(name), errand.wait):
            _agree_once(wanted, errand, agree)
            _fetch_from_any(wanted, errand)
        if not errand.cache:
            shutil.rmtree(errand.store(name), ignore_errors=True)
    return folder


def _refuse_foreign(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and landing.read_lock(folder) is None:
        raise UsageError(f"{folder} is there already and was not fetched: move it away, or use another -o")


def _agree_once(wanted: Offer, errand: Errand, agree: Agree) -> None:
    """Agree to a licence that was not agreed to before; not to one of what nobody will give anyhow."""
    note, licence = errand.store(wanted.name) / "licence.txt", f"{wanted.facts['LICENCE']}\n"
    is_known = note.is_file() and note.read_text(encoding="utf-8") == licence
    if not is_known and (wanted.is_free or errand.mirror):
        agree(wanted)
        with files.whole(note) as stream:
            stream.write(licence.encode())


def _fetch_from_any(wanted: Offer, errand: Errand) -> None:
    tries, troubles = _tries(wanted, errand), []
    for turn, attempt in enumerate(tries, 1):
        try:
            return _fetch_from(attempt, wanted, errand)
        except FAILURES as error:
            troubles.append(f"{attempt.home}: {error}")
            if turn < len(tries):
                talk.warn(f"{wanted.name}: {troubles[-1]}; trying {tries[turn].home}")
    raise SertoolError(f"{wanted.name}: {'; '.join(troubles)}")


def _tries(wanted: Offer, errand: Errand) -> list[_Try]:
    """The cache, the mirror, and the public sources."""
    found, kept = [], errand.store(wanted.name)
    if (kept / store.INDEX).is_file():
        found.append(_Try(f"the cache {kept}", lambda _: store.read_index(kept.absolute().as_uri()), True))
    if errand.mirror:
        mirror = errand.mirror if "://" in errand.mirror else Path(errand.mirror).absolute().as_uri()
        home = f"{mirror.rstrip('/')}/{quote(wanted.name)}"
        found.append(_Try(home, lambda _: store.read_index(home), True))
    return found + [_Try(source["home"], partial(sources.plan, source)) for source in wanted.sources]


def _fetch_from(attempt: _Try, wanted: Offer, errand: Errand) -> None:
    kept, pins = errand.store(wanted.name), _pins(wanted, errand)

    def get(item: Item) -> Path:
        store.bring(kept, Plan((item,)), pins, errand.jobs, wanted.name)
        return store.place(kept, item)

    plan = attempt.plan(get)
    items, came = store.bring(kept, plan, pins, errand.jobs, wanted.name)
    home = plan.home or attempt.home
    sealed = store.seal(kept, items, home)
    try:
        _land(wanted, errand, sealed, partial(store.place, kept), home)
    except unpacking.Unreadable:
        store.drop(kept, [item for item in items if not item.digests])  # what nobody vouched for; the rest is as it was
        raise
    _say_where_from(wanted, errand, attempt, items, came)


def _say_where_from(wanted: Offer, errand: Errand, attempt: _Try, items: Sequence[Item], came: int) -> None:
    """Say what vouches for what came: its publisher, or else the index of a store, which was believed, or nobody."""
    lock = landing.lock_path(errand.out / wanted.name)
    named = {name for source in wanted.sources for name, facts in sources.named(source).items()
             if any(word in facts for word in sources.DIGESTS)}  # fmt: skip
    vouched = sum(item.path in named if attempt.indexed else bool(item.digests) for item in items)
    part = "" if vouched == len(items) else f"{vouched:,} of {len(items):,} files "
    other = "as its own index says" if attempt.indexed else f"digests kept in {lock}"
    checked = f"{part}as published" if vouched else f"{other}, as none are published"
    if vouched and part and attempt.indexed:
        checked = f"{checked}, the others {other}"
    talk.say(f"{files.size(came)} from {attempt.home}: {checked}")
    if errand.cache:
        talk.say(f"what was downloaded stays in {errand.store(wanted.name)}")


def _pins(wanted: Offer, errand: Errand) -> store.Pins:
    """The digests that are published in the corpus' file, and those of what came before."""
    lock = landing.read_lock(errand.out / wanted.name)
    pins: dict[str, dict[str, str]] = {name: dict(known) for name, known in (lock["items"] if lock else {}).items()}
    for source in wanted.sources:
        for name, facts in sources.named(source).items():
            pins.setdefault(name, {}).update({word: facts[word] for word in sources.DIGESTS if word in facts})
    return pins


def _take_given(wanted: Offer, errand: Errand) -> None:
    """Use archives that the user has; one with the name of a published one must be that one."""
    pins, items = _pins(wanted, errand), []
    for path in errand.archives:
        if not path.is_file():
            other = "a folder: index it as it is" if path.is_dir() else "no regular file"
            raise UsageError(f"--from {path}: {other if path.exists() else 'no such file'}")
        into = next((facts.get("into") for source in wanted.sources for name, facts in sources.named(source).items()
                     if name == path.name), None)  # fmt: skip
        items.append(store.pinned(Item(path.name, str(path), path.stat().st_size, unpack=True, into=into), pins))
        transfer.check(items[-1], path)
    _land(wanted, errand, items, lambda item: Path(item.url), "--from")


def _land(wanted: Offer, errand: Errand, items: Sequence[Item], where: Callable[[Item], Path], home: str) -> None:
    """Lay out what came, see that it is what was wanted, and give it its name."""
    beside, folder = errand.out / f".{wanted.name}{files.UNFINISHED}", errand.out / wanted.name
    try:
        listed = landing.lay_out(items, where, beside)
        clips = _clips(wanted, listed)
    except SertoolError:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    lock = {
        "corpus": wanted.corpus,
        "source": home,
        "licence": wanted.facts["LICENCE"],
        "items": {item.path: dict(item.digests) for item in items if item.lasting},
        "files": listed,
    }
    landing.settle(beside, folder, lock)
    talk.say(f"{wanted.name}: {talk.counted(clips, 'clip')} in {folder}")
    if clips < wanted.facts["CLIPS"]:
        talk.warn(f"{wanted.name} should have {wanted.facts['CLIPS']:,} clips")


def _clips(wanted: Offer, listed: Mapping[str, int]) -> int:
    """How many files are audio whose name the corpus knows; none means that this is something else."""
    corpus = corpora.load(wanted.corpus)
    audio = catalogue.read(catalogue.PACKAGE / "audio.py").facts["EXTENSIONS"]
    paths = [PurePath("/", wanted.name, name) for name in listed]
    clips = sum(path.suffix.lower() in audio and corpus.parse(path) is not None for path in paths)
    if not clips:
        example = PurePath(next(iter(corpus.EXAMPLES))).name
        raise unpacking.Unreadable(f"there is no clip of {corpus.TITLE} in it, such as {example}")
    return clips


def outlook(name: str, errand: Errand) -> str:
    """What a fetch would do, without asking anybody."""
    wanted, folder = offer(name), errand.out / name
    if landing.is_complete(folder):
        return f"{name} is complete in {folder}"
    if errand.archives:
        return f"would unpack {files.listed(errand.archives)} into {folder}"
    homes = [attempt.home for attempt in _tries(wanted, errand)]
    if homes[0].startswith("the cache"):
        return f"would unpack {name} from {homes[0]} into {folder}"
    if not wanted.is_free and not errand.mirror:
        return f"{name} {ask.words(wanted.sources[0])}"
    known = f"{wanted.megabytes} MB" if wanted.megabytes else "an unknown number of bytes"
    return f"would fetch {name}: {known} from {', else '.join(homes)}, by way of {errand.store(name)}, into {folder}"
