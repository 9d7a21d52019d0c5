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
class Wish:
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


def fetch(name: str, wish: Wish, agree: Agree) -> Path:
    """Bring a corpus to its folder; `agree` is called before the first download, and raises where it is not to be."""
    wanted, folder = offer(name), wish.out / name
    if landing.is_complete(folder):
        talk.say(f"{name} is complete in {folder}")
        return folder
    _refuse_foreign(folder)
    with locks.alone(wish.out, wish.wait, name):
        if landing.is_complete(folder):  # another process was quicker
            return folder
        if wish.archives:
            _take_given(wanted, wish)
            return folder
        with locks.alone(wish.store(name), wish.wait):
            _agree_once(wanted, wish, agree)
            _fetch_from_any(wanted, wish)
        if not wish.cache:
            shutil.rmtree(wish.store(name), ignore_errors=True)
    return folder


def _refuse_foreign(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and landing.read_lock(folder) is None:
        raise UsageError(f"{folder} is there already and was not fetched: move it away, or use another -o")


def _agree_once(wanted: Offer, wish: Wish, agree: Agree) -> None:
    """Agree to a licence that was not agreed to before; not to one of what nobody will give anyhow."""
    note, licence = wish.store(wanted.name) / "licence.txt", f"{wanted.facts['LICENCE']}\n"
    is_known = note.is_file() and note.read_text(encoding="utf-8") == licence
    if not is_known and (wanted.is_free or wish.mirror):
        agree(wanted)
        with files.whole(note) as stream:
            stream.write(licence.encode())


def _fetch_from_any(wanted: Offer, wish: Wish) -> None:
    tries, troubles = _tries(wanted, wish), []
    for turn, attempt in enumerate(tries, 1):
        try:
            return _fetch_from(attempt, wanted, wish)
        except FAILURES as error:
            troubles.append(f"{attempt.home}: {error}")
            if turn < len(tries):
                talk.warn(f"{wanted.name}: {troubles[-1]}; trying {tries[turn].home}")
    raise SertoolError(f"{wanted.name}: {'; '.join(troubles)}")


def _tries(wanted: Offer, wish: Wish) -> list[_Try]:
    """The cache, the mirror, and the public sources."""
    found, kept = [], wish.store(wanted.name)
    if (kept / store.INDEX).is_file():
        found.append(_Try(f"the cache {kept}", lambda _: store.read_index(kept.absolute().as_uri()), True))
    if wish.mirror:
        mirror = wish.mirror if "://" in wish.mirror else Path(wish.mirror).absolute().as_uri()
        home = f"{mirror.rstrip('/')}/{quote(wanted.name)}"
        found.append(_Try(home, lambda _: store.read_index(home), True))
    return found + [_Try(source["home"], partial(sources.plan, source)) for source in wanted.sources]


def _fetch_from(attempt: _Try, wanted: Offer, wish: Wish) -> None:
    kept, pins = wish.store(wanted.name), _pins(wanted, wish)

    def get(item: Item) -> Path:
        store.bring(kept, Plan((item,)), pins, wish.jobs, wanted.name)
        return store.place(kept, item)

    plan = attempt.plan(get)
    items, came = store.bring(kept, plan, pins, wish.jobs, wanted.name)
    home = plan.home or attempt.home
    sealed = store.seal(kept, items, home)
    try:
        _land(wanted, wish, sealed, partial(store.place, kept), home)
    except unpacking.Unreadable:
        store.drop(kept, [item for item in items if not item.digests])  # what nobody vouched for; the rest is as it was
        raise
    _say_where_from(wanted, wish, attempt, items, came)


def _say_where_from(wanted: Offer, wish: Wish, attempt: _Try, items: Sequence[Item], came: int) -> None:
    """Say what vouches for what came: its publisher, or else the index of a store, which was believed, or nobody."""
    lock = landing.lock_path(wish.out / wanted.name)
    named = {name for source in wanted.sources for name, facts in sources.named(source).items()
             if any(word in facts for word in sources.DIGESTS)}  # fmt: skip
    vouched = sum(item.path in named if attempt.indexed else bool(item.digests) for item in items)
    part = "" if vouched == len(items) else f"{vouched:,} of {len(items):,} files "
    other = "as its own index says" if attempt.indexed else f"digests kept in {lock}"
    checked = f"{part}as published" if vouched else f"{other}, as none are published"
    if vouched and part and attempt.indexed:
        checked = f"{checked}, the others {other}"
    talk.say(f"{files.size(came)} from {attempt.home}: {checked}")
    if wish.cache:
        talk.say(f"what was downloaded stays in {wish.store(wanted.name)}")


def _pins(wanted: Offer, wish: Wish) -> store.Pins:
    """The digests that are published in the corpus' file, and those of what came before."""
    lock = landing.read_lock(wish.out / wanted.name)
    pins: dict[str, dict[str, str]] = {name: dict(known) for name, known in (lock["items"] if lock else {}).items()}
    for source in wanted.sources:
        for name, facts in sources.named(source).items():
            pins.setdefault(name, {}).update({word: facts[word] for word in sources.DIGESTS if word in facts})
    return pins


def _take_given(wanted: Offer, wish: Wish) -> None:
    """Use archives that the user has; one with the name of a published one must be that one."""
    pins, items = _pins(wanted, wish), []
    for path in wish.archives:
        if not path.is_file():
            other = "a folder: index it as it is" if path.is_dir() else "no regular file"
            raise UsageError(f"--from {path}: {other if path.exists() else 'no such file'}")
        into = next((facts.get("into") for source in wanted.sources for name, facts in sources.named(source).items()
                     if name == path.name), None)  # fmt: skip
        items.append(store.pinned(Item(path.name, str(path), path.stat().st_size, unpack=True, into=into), pins))
        transfer.check(items[-1], path)
    _land(wanted, wish, items, lambda item: Path(item.url), "--from")


def _land(wanted: Offer, wish: Wish, items: Sequence[Item], where: Callable[[Item], Path], home: str) -> None:
    """Lay out what came, see that it is what was wanted, and give it its name."""
    beside, folder = wish.out / f".{wanted.name}{files.UNFINISHED}", wish.out / wanted.name
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


def outlook(name: str, wish: Wish) -> str:
    """What a fetch would do, without asking anybody."""
    wanted, folder = offer(name), wish.out / name
    if landing.is_complete(folder):
        return f"{name} is complete in {folder}"
    if wish.archives:
        return f"would unpack {files.listed(wish.archives)} into {folder}"
    homes = [attempt.home for attempt in _tries(wanted, wish)]
    if homes[0].startswith("the cache"):
        return f"would unpack {name} from {homes[0]} into {folder}"
    if not wanted.is_free and not wish.mirror:
        return f"{name} {ask.words(wanted.sources[0])}"
    known = f"{wanted.megabytes} MB" if wanted.megabytes else "an unknown number of bytes"
    return f"would fetch {name}: {known} from {', else '.join(homes)}, by way of {wish.store(name)}, into {folder}"
