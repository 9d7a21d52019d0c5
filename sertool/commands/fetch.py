"""Download corpora from their public sources, checked and unpacked."""

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from sertool import options
from sertool.errors import SertoolError, UsageError
from sertool.options import option
from sertool.system import talk

EPILOG = """\b
Examples:
  sertool fetch --list
  sertool fetch cremad -o corpora/
  sertool fetch ravdess ravdess-song --accept-license -o corpora/
  sertool fetch emodb --dry-run
  sertool fetch esd --from 'Emotional Speech Dataset (ESD).zip' -o corpora/
  sertool fetch tess --cite >> references.bib
  SERTOOL_CACHE=/srv/cache sertool fetch emodb --accept-license
  sertool fetch emodb --mirror http://lab.example/cache
  sertool fetch emodb tess --accept-license | sertool index -o clips.parquet

A second run does nothing, and a run that was cut off continues. Downloads stay in the cache; a cache that is served by
a web server, or lies on a shared disk, can be the mirror of others. The paths of complete folders are written to
stdout, one a line. NAME.lock beside a folder lists its files and digests: as long as it is there, later downloads must
have the same digests.

\b
Environment:
  SERTOOL_CACHE     the cache; else sertool/ in XDG_CACHE_HOME or ~/.cache
  KAGGLE_API_TOKEN  the token for Kaggle; else KAGGLE_USERNAME and KAGGLE_KEY, or
                    access_token or kaggle.json in KAGGLE_CONFIG_DIR or ~/.kaggle
  HTTPS_PROXY       the proxy to go through
"""


class Name(click.ParamType):
    """A name of what can be fetched; completion describes each."""

    name = "name"
    many = False

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from sertool.fetch.offers import offers

        if value not in offers():
            self.fail(f"no corpus to fetch is called {value!r}: choose from {', '.join(offers())}", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from sertool.fetch.offers import offers

        sources = offers().values()
        return [CompletionItem(o.name, help=o.facts["TITLE"]) for o in sources if o.name.startswith(incomplete)]


def _place_options() -> Any:
    group = "Where it comes from"
    return options.stack(
        option("--from", "archives", multiple=True, type=click.Path(path_type=Path), metavar="FILE", group=group,
               help="Take this archive, of a corpus that is given on request; several if it came in parts."),
        option("--mirror", metavar="URL", group=group,
               help="Ask here first: a cache of sertool that is served (http, https, file) or lies in a folder."),
        option("--cache", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", group=group,
               help="Keep downloads here rather than in the usual cache."),
        option("--no-cache", is_flag=True, group=group, help="Keep no downloads once they are unpacked."),
    )  # fmt: skip


def _output_options() -> Any:
    return options.stack(
        option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", default="corpora",
               show_default=True, help="Put each corpus into a folder of its own in this one."),
        option("--accept-license", "--accept-licence", "accepted", is_flag=True,
               help="Accept the licences without being asked, for scripts."),
        option("-j", "--jobs", type=options.Number(int, 1, 64), default=8, show_default=True, metavar="N",
               help="Connections at once."),
        options.dry_run,
        options.wait,
        option("--list", "show_list", is_flag=True, help="Show what can be fetched, or all about NAME, and stop."),
        option("--cite", is_flag=True, help="Print BibTeX for the corpora, and stop."),
        options.quiet, options.verbose,
    )  # fmt: skip


@click.command(cls=options.Command, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, metavar="NAME...", type=Name())
@options.stack(_place_options(), _output_options())
def command(names: tuple[str, ...], **values: Any) -> int | None:
    """Download corpora, check them against their published digests, and unpack them; --list shows each NAME."""
    if values["show_list"]:
        return _show_list(names)
    if not names:
        from sertool.fetch.offers import offers

        raise UsageError(f"name a corpus: {', '.join(offers())}; --list tells what they are")
    if values["cite"]:
        return _cite(names)
    if values["cache"] and values["no_cache"]:
        raise UsageError("--cache says where downloads are kept, and --no-cache that none are: give one of them")
    if "://" in (mirror := values["mirror"] or "") and not mirror.startswith(("http://", "https://", "file://")):
        raise UsageError(f"--mirror {mirror}: begins with http, https or file, or is a folder")
    if values["archives"] and len(names) > 1:
        raise UsageError("--from gives one corpus: name one")
    return _fetch(names, values)


def _fetch(names: tuple[str, ...], values: dict[str, Any]) -> int | None:
    from sertool.fetch import fetching
    from sertool.system import files

    cache = None if values["no_cache"] else values["cache"] or files.cache_folder()
    settings = fetching.FetchSettings(
        values["out"], cache, values["mirror"], values["archives"], values["jobs"], values["wait"]
    )  # fmt: skip
    failed = False
    for name in dict.fromkeys(names):
        try:
            if values["dry_run"]:
                talk.say(fetching.outlook(name, settings))
            else:
                talk.out(str(fetching.fetch(name, settings, _agreeing(values["accepted"]))))
        except UsageError:
            raise
        except SertoolError as error:  # others may still succeed
            if len(names) == 1:
                raise
            talk.fail(f"sertool: {error}")
            failed = True
    return 1 if failed else None


def _agreeing(accepted: bool) -> Any:
    """Return a function that shows a licence and asks for agreement, unless it was given already."""

    def agree(offer: Any) -> None:
        facts = offer.facts
        terms = f"{facts['TITLE']}: {facts['LICENCE']} ({facts['HOMEPAGE']})"
        if accepted:
            talk.say(f"accepted: {terms}")
        elif not talk.from_terminal():
            raise UsageError(f"{offer.name} has a licence to accept first: {terms}; add --accept-license")
        elif not click.confirm(f"{talk.clean(terms)}\nDo you accept this licence?", err=True):
            raise UsageError(f"{offer.name} was not fetched: its licence was not accepted")

    return agree


def _cite(names: tuple[str, ...]) -> None:
    from sertool.fetch.offers import offer

    for text in dict.fromkeys(offer(name).facts["CITATION"] for name in names):
        for line in text.splitlines():
            talk.out(line)


def _show_list(names: tuple[str, ...]) -> None:
    from sertool.fetch.offers import offer, offers

    if names:
        for name in names:
            talk.table(("", name), _all_about(offer(name)))
        return
    rows = [
        (o.name, f["SPEAKERS"], f"{f['CLIPS']:,}", f["HOURS"], len(f["EMOTIONS"]), f["LANGUAGE"],
         o.megabytes if o.is_free else "ask", f["LICENCE"])
        for o in offers().values() for f in [o.facts]
    ]  # fmt: skip
    headers = ("corpus", "speakers", "clips", "hours", "emotions", "language", "MB", "licence")
    talk.table(headers, rows, right="speakers clips hours emotions MB")


def _all_about(offer: Any) -> list[tuple[str, object]]:
    facts = offer.facts
    figures = f"{facts['SPEAKERS']} speakers, {facts['CLIPS']:,} clips"
    return [
        ("title", facts["TITLE"]),
        ("home", facts["HOMEPAGE"]),
        ("licence", facts["LICENCE"]),
        ("figures", figures + (f", {facts['HOURS']} hours" if facts["HOURS"] else "")),
        ("language", facts["LANGUAGE"]),
        ("emotions", ", ".join(facts["EMOTIONS"])),
        ("download", f"{offer.megabytes} MB" if offer.megabytes else "unknown"),
        *(("source", source.get("who", source["home"])) for source in offer.sources),
    ]
