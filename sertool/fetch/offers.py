"""List what can be fetched, as declared in the corpora's files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sertool import catalogue, sources
from sertool.errors import UsageError
from sertool.sources import Source


@dataclass(frozen=True)
class Offer:
    """A corpus, or a part of one; its name is also the name of its folder."""

    name: str
    corpus: str
    facts: Mapping[str, Any]

    @property
    def sources(self) -> list[Source]:
        """The sources in the order in which they are tried; one with several `bases` becomes several."""
        return [
            {**source, "base": base, "home": base} if base else source
            for source in self.facts["SOURCES"]
            for base in source.get("bases", (None,))
        ]

    @property
    def megabytes(self) -> str:
        """The size of the download, as far as known; `~` marks an estimate."""
        size, exactly = sources.size(self.sources[0])
        return "" if size is None else f"{'' if exactly else '~'}{size / 1e6:,.0f}"

    @property
    def is_free(self) -> bool:
        """Whether any source can be downloaded by a program."""
        return any(source["kind"] != "ask" for source in self.sources)


def offers() -> dict[str, Offer]:
    """Return all that can be fetched, by name."""
    all_offers = []
    for corpus, entry in catalogue.entries("corpora").items():
        if "SOURCES" in entry.facts:
            all_offers.append(Offer(corpus, corpus, entry.facts))
            parts = entry.facts.get("PARTS", {}).items()
            all_offers += [Offer(f"{corpus}-{part}", corpus, {**entry.facts, **facts}) for part, facts in parts]
    return {offer.name: offer for offer in all_offers}


def offer(name: str) -> Offer:
    known_offers = offers()
    if name not in known_offers:
        raise UsageError(f"no corpus to fetch is called {name!r}: choose from {', '.join(known_offers)}")
    return known_offers[name]
