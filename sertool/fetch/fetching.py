"""Fetch corpora from a cache, a mirror, public sources, or archives that the user has.

A corpus is unpacked in `OUT/.NAME.part`, and renamed to `OUT/NAME` only when it is complete.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from urllib.parse import quote

from sertool import catalogue, corpora, sources
from sertool.errors import SertoolError, UsageError
from sertool.fetch import corpus_folder, download_cache, offers
from sertool.fetch.offers import Offer
from sertool.internet import downloading, unpacking, web
from sertool.internet.downloading import Item
from sertool.sources import Plan, ask
from sertool.system import files, locks, talk

FAILURES = (web.Refused, web.Damaged, web.Unreachable, unpacking.Unreadable)  # after these, another source may succeed

Agree = Callable[[Offer], None]
Get = Callable[[Item], Path]


@dataclass(frozen=True)
class FetchSettings:
    """Where corpora go, and how to get them."""

    out: Path
    cache: Path | None = None  # None: downloads are removed in the end
    mirror: str | None = None
    archives: tuple[Path, ...] = ()  # use these, and download nothing
    jobs: int = 8
    wait: bool = False

    def store(self, name: str) -> Path:
        return self.cache / name if self.cache else self.out / f".{name}.cache"


@dataclass(frozen=True)
class _Origin:
    """A place to fetch a corpus from: a cache, a mirror or a public source."""

    home: str
    plan: Callable[[Get], Plan]
    indexed: bool = False  # whether it is a store, whose index may come from anyone


def fetch(name: str, settings: FetchSettings, agree: Agree) -> Path:
    """Fetch a corpus into its folder; `agree` is called before the first download, and raises if the user declines."""
    offer, folder = offers.offer(name), settings.out / name
    if corpus_folder.is_complete(folder):
        talk.say(f"{name} is complete in {folder}")
        return folder
    _refuse_foreign(folder)
    with locks.folder_lock(settings.out, settings.wait, name):
        if corpus_folder.is_complete(folder):  # another process was faster
            return folder
        if settings.archives:
            _take_given(offer, settings)
            return folder
        with locks.folder_lock(settings.store(name), settings.wait, option="--cache"):
            _agree_once(offer, settings, agree)
            _fetch_from_any(offer, settings)
        if not settings.cache:
            shutil.rmtree(settings.store(name), ignore_errors=True)
    return folder


def _refuse_foreign(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and corpus_folder.read_lock(folder) is None:
        raise UsageError(f"{folder} is there already and was not fetched: move it away, or use another -o")


def _agree_once(offer: Offer, settings: FetchSettings, agree: Agree) -> None:
    """Ask for agreement to the licence unless it was given before, or the corpus cannot be fetched anyway."""
    note, licence = settings.store(offer.name) / "licence.txt", f"{offer.facts['LICENCE']}\n"
    is_known = note.is_file() and note.read_text(encoding="utf-8") == licence
    if not is_known and (offer.is_free or settings.mirror):
        agree(offer)
        with files.atomic_write(note) as stream:
            stream.write(licence.encode())


def _fetch_from_any(offer: Offer, settings: FetchSettings) -> None:
    origins, troubles = _origins(offer, settings), []
    for turn, origin in enumerate(origins, 1):
        try:
            return _fetch_from(origin, offer, settings)
        except FAILURES as error:
            troubles.append(f"{origin.home}: {error}")
            if turn < len(origins):
                talk.warn(f"{offer.name}: {troubles[-1]}; trying {origins[turn].home}")
    raise SertoolError(f"{offer.name}: {'; '.join(troubles)}")


def _origins(offer: Offer, settings: FetchSettings) -> list[_Origin]:
    """Return the cache, the mirror, and the public sources."""
    origins, cache = [], settings.store(offer.name)
    if (cache / download_cache.INDEX).is_file():
        origins.append(
            _Origin(f"the cache {cache}", lambda _: download_cache.read_index(cache.absolute().as_uri()), True)
        )
    if settings.mirror:
        mirror = settings.mirror if "://" in settings.mirror else Path(settings.mirror).absolute().as_uri()
        home = f"{mirror.rstrip('/')}/{quote(offer.name)}"
        origins.append(_Origin(home, lambda _: download_cache.read_index(home), True))
    return origins + [_Origin(source["home"], partial(sources.plan, source)) for source in offer.sources]


def _fetch_from(origin: _Origin, offer: Offer, settings: FetchSettings) -> None:
    cache, pins = settings.store(offer.name), _pins(offer, settings)

    def get(item: Item) -> Path:
        download_cache.download_missing(cache, Plan((item,)), pins, settings.jobs, offer.name)
        return download_cache.place(cache, item)

    plan = origin.plan(get)
    items, came = download_cache.download_missing(cache, plan, pins, settings.jobs, offer.name)
    home = plan.home or origin.home
    sealed = download_cache.write_index(cache, items, home)
    try:
        _install(offer, settings, sealed, partial(download_cache.place, cache), home)
    except unpacking.Unreadable:
        download_cache.drop(cache, [item for item in items if not item.digests])  # others are as they were published
        raise
    _say_where_from(offer, settings, origin, items, came)


def _say_where_from(offer: Offer, settings: FetchSettings, origin: _Origin, items: Sequence[Item], came: int) -> None:
    """Say which digests checked the files: published ones, those of a store's own index, or none."""
    lock = corpus_folder.lock_path(settings.out / offer.name)
    published = {name for source in offer.sources for name, facts in sources.named_files(source).items()
             if any(word in facts for word in sources.DIGESTS)}  # fmt: skip
    vouched = sum(item.path in published if origin.indexed else bool(item.digests) for item in items)
    part = "" if vouched == len(items) else f"{vouched:,} of {len(items):,} files "
    other = "as its own index says" if origin.indexed else f"digests kept in {lock}"
    checked = f"{part}as published" if vouched else f"{other}, as none are published"
    if vouched and part and origin.indexed:
        checked = f"{checked}, the others {other}"
    talk.say(f"{files.size(came)} from {origin.home}: {checked}")
    if settings.cache:
        talk.say(f"what was downloaded stays in {settings.store(offer.name)}")


def _pins(offer: Offer, settings: FetchSettings) -> download_cache.Pins:
    """Return the digests published in the corpus' file, and those of an earlier download."""
    lock = corpus_folder.read_lock(settings.out / offer.name)
    pins: dict[str, dict[str, str]] = {name: dict(digests) for name, digests in (lock["items"] if lock else {}).items()}
    for source in offer.sources:
        for name, facts in sources.named_files(source).items():
            pins.setdefault(name, {}).update({word: facts[word] for word in sources.DIGESTS if word in facts})
    return pins


def _take_given(offer: Offer, settings: FetchSettings) -> None:
    """Use archives that the user has; one named like a published archive must be that archive."""
    pins, items = _pins(offer, settings), []
    for path in settings.archives:
        if not path.is_file():
            other = "a folder: index it as it is" if path.is_dir() else "no regular file"
            raise UsageError(f"--from {path}: {other if path.exists() else 'no such file'}")
        items.append(download_cache.pinned(_given(path, offer), pins))
        downloading.check(items[-1], path)
    _install(offer, settings, items, lambda item: Path(item.url), "--from")


def _given(path: Path, offer: Offer) -> Item:
    """Return a file of the user's as an item; one that a source names is unpacked as the source says."""
    for source in offer.sources:
        if (facts := sources.named_files(source).get(path.name)) is not None:
            return sources.item(path.name, str(path), facts, source)
    return Item(path.name, str(path), unpack=True)


def _install(
    offer: Offer, settings: FetchSettings, items: Sequence[Item], where: Callable[[Item], Path], home: str
) -> None:
    """Unpack what was downloaded, check that it is the corpus, and rename the folder."""
    beside, folder = settings.out / f".{offer.name}{files.UNFINISHED}", settings.out / offer.name
    try:
        sizes = corpus_folder.lay_out(items, where, beside)
        clips = _clips(offer, sizes)
    except SertoolError:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    lock = {
        "corpus": offer.corpus,
        "source": home,
        "licence": offer.facts["LICENCE"],
        "items": {item.path: dict(item.digests) for item in items if item.lasting},
        "files": sizes,
    }
    corpus_folder.install(beside, folder, lock)
    talk.say(f"{offer.name}: {talk.counted(clips, 'clip')} in {folder}")
    if clips < offer.facts["CLIPS"]:
        talk.warn(f"{offer.name} should have {offer.facts['CLIPS']:,} clips")


def _clips(offer: Offer, sizes: Mapping[str, int]) -> int:
    """Return how many files are audio with a name of the corpus' pattern; refuse if there is none."""
    corpus = corpora.load(offer.corpus)
    facts = catalogue.read(catalogue.PACKAGE / "sound/audio.py").facts
    audio = (*facts["EXTENSIONS"], *facts["BY_FFMPEG"])
    paths = [PurePath("/", offer.name, name) for name in sizes]
    clips = sum(path.suffix.lower() in audio and corpus.parse(path) is not None for path in paths)
    if not clips:
        example = PurePath(next(iter(corpus.EXAMPLES))).name
        raise unpacking.Unreadable(f"there is no clip of {corpus.TITLE} in it, such as {example}")
    return clips


def outlook(name: str, settings: FetchSettings) -> str:
    """Say what a fetch would do, without network access."""
    offer, folder = offers.offer(name), settings.out / name
    if corpus_folder.is_complete(folder):
        return f"{name} is complete in {folder}"
    if settings.archives:
        return f"would unpack {files.listed(settings.archives)} into {folder}"
    homes = [origin.home for origin in _origins(offer, settings)]
    if homes[0].startswith("the cache"):
        return f"would unpack {name} from {homes[0]} into {folder}"
    if not offer.is_free and not settings.mirror:
        return f"{name} {ask.words(offer.sources[0])}"
    amount = f"{offer.megabytes} MB" if offer.megabytes else "an unknown number of bytes"
    return f"would fetch {name}: {amount} from {', else '.join(homes)}, by way of {settings.store(name)}, into {folder}"
