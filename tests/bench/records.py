"""Make figures that anyone can repeat with a few `sertool` commands, keep the output, and show it in README.

    python tests/bench/records.py CORPORA WORK [NAME...]     run those that are named, or all that were never run
    python tests/bench/records.py --readme                   write the table into README.md again
    python tests/bench/records.py --readme --check           fail if README.md shows anything else

CORPORA holds the folders cremad, ravdess, emodb and tess; all outputs go to WORK, and existing ones are not made again.
Whisper's weights come from the cache or its publisher, or from `--weights FILE`.
"""

import argparse
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import shown

HELD = Path(__file__).with_name("records.json")


class Record(NamedTuple):
    """A figure: its corpus, its system, and its commands. The last command writes the predictions that are scored."""

    corpus: str
    protocol: str
    system: str
    commands: tuple[str, ...]


class Anchor(NamedTuple):
    """A published figure, under a split of its own."""

    corpus: str
    protocol: str
    system: str
    uar: str


def encoder(corpus: str, how: str) -> str:
    """Return the command for statistics of Whisper's layers over a corpus with a published split."""
    index = f"sertool index {{corpora}}/{corpus} --protocol {how}"
    return f"{index} | sertool featurize --whisper base --stats mean,std {{weights}} -o {corpus}-whisper > /dev/null"


def head(corpus: str, recipe: str, *words: str) -> str:
    name = "-".join([corpus, recipe, *("speaker" for word in words if word == "--adapt")])
    options = " ".join(words)
    return (
        f"sertool train {corpus}-whisper/manifest.parquet --recipe {recipe} {options} -o runs/{name} > {name}.parquet"
    )


# Of EMO-DB's eight speakers here one is left out: another one as dev would be a seventh of those who are left. Nothing
# is chosen on it, and regression learns from it afterwards anyway.
WITHOUT_DEV = {"emodb": ("--no-dev",)}


def heads(corpus: str, how: str) -> dict[str, Record]:
    """Return records of a frozen encoder with a regression or a small network, each also adapted to speakers."""
    first, words = encoder(corpus, how), ("--seeds 3", *WITHOUT_DEV.get(corpus, ()))
    return {
        f"{corpus}-probe": Record(corpus, how, "frozen Whisper-base, regression",
                                  (first, head(corpus, "whisper-probe"))),
        f"{corpus}-probe-speaker": Record(corpus, how, "the same, adapted to each speaker",
                                          (first, head(corpus, "whisper-probe", "--adapt", "speaker"))),
        f"{corpus}-mlp": Record(corpus, how, "frozen Whisper-base, small network",
                                (first, head(corpus, "whisper-mlp", *words))),
        f"{corpus}-mlp-speaker": Record(corpus, how, "the same, adapted to each speaker",
                                        (first, head(corpus, "whisper-mlp", *words, "--adapt", "speaker"))),
    }  # fmt: skip


WITH_CREMAD = "--recipe whisper-mlp --always-train cremad --balance corpus"


def joined(corpus: str, how: str) -> dict[str, Record]:
    """Return records of the small network trained on CREMA-D as well, whoever is held out."""
    both = f"{corpus}-whisper/manifest.parquet cremad-whisper/manifest.parquet"
    made = {}
    for name, system, words in (
        ("with-cremad", "the small network, CREMA-D in train as well", ""),
        ("with-cremad-speaker", "the same, adapted to each speaker", " --adapt speaker"),
    ):
        how_long = " ".join([f"{WITH_CREMAD} --epochs 8 --seeds 3", *WITHOUT_DEV.get(corpus, ())])
        line = f"sertool train {both} {how_long}{words} -o runs/{corpus}-{name} > {corpus}-{name}.parquet"
        made[f"{corpus}-{name}"] = Record(
            corpus, how, system, (encoder(corpus, how), encoder("cremad", "cremad-nk"), line)
        )
    return made


def copied(corpus: str, how: str) -> dict[str, Record]:
    """Return records of the same with copies of the small corpus: one run, with and without adaptation.

    Nothing is chosen on dev, so dev is trained on, too.
    """
    name = f"{corpus}-copies"
    made = (
        encoder("cremad", "cremad-nk"),
        f"sertool index {{corpora}}/{corpus} --protocol {how} | {EACH_KIND}"
        f" | sertool featurize --whisper base --stats mean,std {{weights}} -o {name} > /dev/null",
        f"sertool train {name}/manifest.parquet cremad-whisper/manifest.parquet {WITH_CREMAD} --epochs 5"
        f" --set networks=3 --no-dev --adapt speaker -o runs/{name} > {name}-speaker.parquet",
    )
    asked = f"sertool predict -m runs/{name} {name}/manifest.parquet -f parquet > {name}.parquet"
    return {
        name: Record(
            corpus,
            how,
            "the same with copies of one kind each and three networks, for strangers and adapted",
            (*made, asked),
        ),
        f"{name}-speaker": Record(corpus, how, "the same run, adapted to each speaker", made),
    }


def with_others() -> dict[str, Record]:
    """Return records of the small network trained on three small corpora, too: one run, with and without adaptation."""
    name, how = "cremad-with-others", "cremad-nk"
    others = " ".join(f"{{corpora}}/{corpus}" for corpus in ("ravdess", "emodb", "tess"))
    made = (
        encoder("cremad", how),
        f"sertool index {others} --emotions neutral,happy,sad,angry,fear,disgust"
        " | sertool featurize --whisper base --stats mean,std {weights} -o others-whisper > /dev/null",
        "sertool train cremad-whisper/manifest.parquet others-whisper/manifest.parquet --recipe whisper-mlp"
        f" --always-train ravdess,emodb,tess --adapt speaker --seeds 3 -o runs/{name} > {name}-speaker.parquet",
    )
    asked = f"sertool predict -m runs/{name} cremad-whisper/manifest.parquet -f parquet > {name}.parquet"
    system = "the small network, RAVDESS, EMO-DB and TESS in train as well"
    return {
        name: Record("cremad", how, f"{system}; three seeds' answers averaged", (*made, asked)),
        f"{name}-speaker": Record("cremad", how, "the same run, adapted to each speaker", made),
    }


def own(corpus: str, how: str) -> dict[str, Record]:
    """Return records of training on one corpus alone, with the features of the package's model."""
    made = {}
    for name, system, words in (
        (f"{corpus}-own", "`--recipe base`: small network on the features of the package's `base`", ""),
        (f"{corpus}-own-speaker", "the same, adapted to each speaker", " --adapt speaker"),
    ):
        index = f"sertool index {{corpora}}/{corpus} --protocol {how}"
        seeds = " ".join(["--seeds 3", *WITHOUT_DEV.get(corpus, ())])
        train = f"sertool train --recipe base {seeds}{words} -o runs/{name} > {name}.parquet"
        made[name] = Record(corpus, how, system, (f"{index} | {train}",))
    return made


def scratch(corpus: str, how: str) -> dict[str, Record]:
    """Return the record of our own network trained from random numbers on one small corpus and copies of its clips."""
    made = f"sertool index {{corpora}}/{corpus} --protocol {how} | sertool augment --recipe sertool"
    train = f"sertool train -m sertool --precision bf16 --no-dev --epochs 12 -o runs/{corpus}-scratch"
    return {
        f"{corpus}-scratch": Record(
            corpus, how, "`-m sertool` from scratch, 1.1 M", (f"{made} | {train} > {corpus}-scratch.parquet",)
        )
    }


def tuned(corpus: str, how: str) -> dict[str, Record]:
    """Return the record of Whisper's blocks trained on with one small corpus."""
    index, name = f"sertool index {{corpora}}/{corpus} --protocol {how}", f"{corpus}-tuned"
    words = " ".join(["--recipe whisper-tuned {weights}", *WITHOUT_DEV.get(corpus, ())])
    command = f"{index} | sertool train {words} -o runs/{name} > {name}.parquet"
    return {name: Record(corpus, how, "Whisper-base, two of four blocks trained on", (command,))}


COPIES = (
    "sertool augment cremad-whisper/manifest.parquet --copies 4 --speed 0.88:1.12 --noise 5:30 --noise-colour any"
    " --reverb 0.2:0.6 --telephone --gain=-20:6 --share speed=0.85 --share noise=0.25 --share reverb=0.15"
    " --share telephone=0.12 --share gain=0.2 | sertool featurize --preset mel-64 -o cremad-mel > /dev/null"
)
TEACHING = "--recipe whisper-mlp --adapt speaker --strangers 0 --prior-clips 0"
TEACHER = (
    "sertool index cremad-whisper/manifest.parquet --where split=train --folds 5"
    f" | sertool train {TEACHING} -o runs/teacher > /dev/null"
)
ROBUST = (
    "--copies 4 --speed 0.88:1.12 --noise 5:30 --noise-colour any --reverb 0.2:0.7 --telephone --codec 8:24"
    " --clipping 3:15 --gain=-30:6 --share speed=0.7 --share noise=0.3 --share reverb=0.2 --share telephone=0.15"
    " --share codec=0.2 --share clipping=0.15 --share gain=0.3"
)
NET = "sertool train cremad-mel/manifest.parquet --recipe sertool --precision bf16 --keep last --epochs 8"
TUNED = (
    "sertool index {corpora}/cremad --protocol cremad-nk"
    " | sertool featurize --whisper base --layers 2 {weights} -o cremad-layer-2 > /dev/null"
)
HARD = (
    "sertool augment - --copies 2 --noise 5:15 --noise-colour any --seed 1"
    " | sertool augment - --copies 1 --telephone --seed 2"
)
AT_ONCE = "--whisper-whole 30 --whisper-piece 30"  # as `base` was made, before longer clips were cut into pieces
STEADY = (
    "sertool index {corpora}/cremad --protocol cremad-nk"
    f" | {HARD} | sertool augment - --copies 1 --reverb 0.2:0.7 --codec 8:24 --clipping 3:15 --share reverb=0.5"
    " --share codec=0.5 --share clipping=0.3 --seed 3"
    f" | sertool featurize --whisper base --layers 0 {AT_ONCE} {{weights}} -o cremad-heard > /dev/null",
    "sertool train cremad-heard/manifest.parquet --recipe whisper-steady {weights} --pack 8-bit -o runs/steady"
    " > cremad-steady.parquet",
)
EACH_KIND = " | ".join(
    f"sertool augment - --copies 1 {kind}"
    for kind in (
        *(f"--speed {speed}:{speed}" for speed in (0.85, 0.9, 0.95, 1.05, 1.1, 1.15)),
        "--telephone",
        "--noise 5:15 --noise-colour any",
        "--reverb 0.2:0.7 --codec 8:24 --clipping 3:15 --share reverb=0.5 --share codec=0.5 --share clipping=0.3",
        "--gain=-30:6",
    )
)
FOUR_BLOCKS = (
    *STEADY,
    f"sertool index {{corpora}}/cremad --protocol cremad-nk | {EACH_KIND}"
    f" | sertool featurize --whisper base --layers 0-4 --stats mean,std {AT_ONCE}"
    " --weights runs/steady/seed-0/model.safetensors -o cremad-each-kind > /dev/null",
    "sertool train cremad-each-kind/manifest.parquet --recipe whisper-mlp --set groups=5 --set networks=3 --epochs 5"
    " --adapt speaker --weights runs/steady/seed-0/model.safetensors --pack 8-bit -o runs/cremad-base"
    " > cremad-base-speaker.parquet",
)
TRAIN_TINY = "--recipe sertool --precision bf16 --epochs 10 --features mel"
TINY = (
    f"sertool augment cremad-whisper/manifest.parquet {ROBUST} | {HARD}"
    " | sertool featurize --preset mel-64 -o cremad-robust-mel > /dev/null",
    TEACHER,
    f"sertool train cremad-robust-mel/manifest.parquet {TRAIN_TINY}"
    " --teacher runs/teacher/predictions.parquet --imitate whisper -o runs/tiny > cremad-tiny.parquet",
)
# What the package's models are calibrated by: the same trainings on some of train's speakers, and the others' answers.
BASE_FOLDS = (
    f"sertool index {{corpora}}/cremad --protocol cremad-nk | sertool index --where split=train --folds 5 | {EACH_KIND}"
    " | sertool featurize --preset base -o base-folds > /dev/null",
    "sertool train base-folds/manifest.parquet --recipe base --epochs 5 --adapt speaker --final -o runs/base-folds"
    " > base-folds.parquet",
)
TINY_FIFTH = (
    "sertool index cremad-whisper/manifest.parquet --where split=train --split speaker:train=80/dev=20"
    " -o tiny-fifth-clips.parquet",
    "sertool index tiny-fifth-clips.parquet --where split=train --folds 5"
    f" | sertool train {TEACHING} -o runs/tiny-fifth-teacher > /dev/null",
    f"sertool augment tiny-fifth-clips.parquet {ROBUST} | {HARD}"
    " | sertool featurize --preset mel-64 -o tiny-fifth-mel > /dev/null",
    f"sertool train tiny-fifth-mel/manifest.parquet {TRAIN_TINY}"
    " --teacher runs/tiny-fifth-teacher/predictions.parquet --imitate whisper -o runs/tiny-fifth > tiny-fifth.parquet",
)
DEV = "sertool index {corpora}/cremad --protocol cremad-nk | sertool index --where split=dev -o cremad-dev.parquet"


def shipped(model: str, *words: str) -> tuple[str, ...]:
    """Return the commands that run a model of the package on the dev speakers' audio."""
    name = "-".join(["cremad", "shipped", model, *("speaker" for word in words if word.startswith("--adapt"))])
    asked = " ".join(["sertool predict -m", model, *words, "cremad-dev.parquet -f parquet"])
    return (DEV, f"{asked} > {name}.parquet")


def published(recipe: str, system: str) -> Record:
    """Return a record of a published network, trained as published, but without shared speakers in train and test."""
    index = "sertool index {corpora}/cremad --protocol cremad-nk"
    train = f"sertool train --recipe {recipe} --precision bf16 --seeds 3 -o runs/{recipe} > cremad-{recipe}.parquet"
    return Record("cremad", "cremad-nk", system, (f"{index} | {train}",))


def alike(model: str, system: str) -> Record:
    """Return a record of a published network trained like ours: the same copies and recipe, on up to 320 frames."""
    name = f"{model}-ours"
    train = f"{NET} -m {model} --set frames=320 --seeds 3 --features mel -o runs/{name} > cremad-{name}.parquet"
    return Record("cremad", "cremad-nk", system, (encoder("cremad", "cremad-nk"), COPIES, train))


RECORDS: dict[str, Record] = {
    **heads("cremad", "cremad-nk"),
    **with_others(),
    "cremad-tuned": Record(
        "cremad", "cremad-nk", "Whisper-base, two of four blocks trained on",
        (TUNED, "sertool train cremad-layer-2/manifest.parquet --recipe whisper-tuned {weights} --pack 8-bit"
                " -o runs/cremad-tuned > cremad-tuned.parquet"),
    ),
    "cremad-tuned-speaker": Record(
        "cremad", "cremad-nk", "the same, adapted to each speaker",
        (TUNED, "sertool train cremad-layer-2/manifest.parquet --recipe whisper-tuned --adapt speaker {weights}"
                " --pack 8-bit -o runs/cremad-tuned-speaker > cremad-tuned-speaker.parquet"),
    ),
    "cremad-cnn-a": published("cnn-a", "system A's residual CNN, as published"),
    "cremad-cnn-gru-a": published("cnn-gru-a", "system A's CNN and GRU, as published"),
    "cremad-cnn-transformer-a": published("cnn-transformer-a", "system A's CNN and transformer, as published"),
    "cremad-cnn-transformer-a-float32": Record(
        "cremad", "cremad-nk", "the same in float32",
        ("sertool train runs/cnn-transformer-a/features/manifest.parquet --recipe cnn-transformer-a"
         " --precision float32 -o runs/cnn-transformer-a-float32 > cremad-cnn-transformer-a-float32.parquet",),
    ),
    "cremad-resnet18-a": published("resnet18-a", "system A's ResNet-18, as published"),
    "cremad-mamba-a": published("mamba-a", "system A's two Mamba blocks, as published"),
    "cremad-mamba-cnn-a": published("mamba-cnn-a", "system A's CNN and three Mamba blocks, as published"),
    "cremad-cnn1d-c": published("cnn1d-c", "system C's 1D CNN, as published"),
    "cremad-cnn2d-silu-c": published("cnn2d-silu-c", "system C's 2D CNN with SiLU, as published"),
    "cremad-scratch": Record(
        "cremad", "cremad-nk", "`-m sertool` from scratch, 1.1 M",
        (encoder("cremad", "cremad-nk"), COPIES,
         f"{NET} --seeds 3 --features mel -o runs/scratch > cremad-scratch.parquet"),
    ),
    "cremad-scratch-speaker": Record(
        "cremad", "cremad-nk", "the same, adapted to each speaker",
        (encoder("cremad", "cremad-nk"), COPIES,
         f"{NET} --adapt speaker --features mel -o runs/scratch-speaker > cremad-scratch-speaker.parquet"),
    ),
    "cremad-cnn-ours": alike("cnn", "system A's residual CNN, trained as `-m sertool` is"),
    "cremad-cnn-gru-ours": alike("cnn-gru", "system A's CNN and GRU, trained as `-m sertool` is"),
    "cremad-cnn-transformer-ours": alike(
        "cnn-transformer", "system A's CNN and transformer, trained as `-m sertool` is"
    ),
    "cremad-distilled": Record(
        "cremad", "cremad-nk", "`-m sertool` taught by the encoder",
        (encoder("cremad", "cremad-nk"), COPIES, TEACHER,
         f"{NET} --teacher runs/teacher/predictions.parquet --imitate whisper -o runs/distilled"
         " > cremad-distilled.parquet"),
    ),
    "cremad-distilled-speaker": Record(
        "cremad", "cremad-nk", "the same, adapted to each speaker",
        (encoder("cremad", "cremad-nk"), COPIES, TEACHER,
         f"{NET} --adapt speaker --teacher runs/teacher/predictions.parquet --imitate whisper -o runs/distilled-speaker"
         " > cremad-distilled-speaker.parquet"),
    ),
    "cremad-base": Record(
        "cremad", "cremad-nk", "Whisper-base, four blocks trained to be robust to noise, adapted", FOUR_BLOCKS
    ),
    "cremad-tiny": Record(
        "cremad", "cremad-nk", "`-m sertool` taught by the encoder, copies with codecs and noise, too",
        (encoder("cremad", "cremad-nk"), *TINY),
    ),
    "base-folds": Record(
        "cremad", "cremad-nk", "`base` in five folds of train's speakers, by which it was chosen, adapted", BASE_FOLDS,
    ),
    "tiny-fifth": Record(
        "cremad", "cremad-nk", "`tiny` trained on four in five of train's speakers, and asked of the others",
        (encoder("cremad", "cremad-nk"), *TINY_FIFTH),
    ),
    "cremad-shipped-tiny": Record("cremad", "cremad-nk", "the package's `tiny`", shipped("tiny")),
    "cremad-shipped-base": Record("cremad", "cremad-nk", "the package's `base`", shipped("base")),
    "cremad-shipped-base-speaker": Record(
        "cremad", "cremad-nk", "the same, adapted to each speaker", shipped("base", "--adapt speaker")
    ),
    **scratch("ravdess", "ravdess-emobox"),
    **heads("ravdess", "ravdess-emobox"),
    **joined("ravdess", "ravdess-emobox"),
    **copied("ravdess", "ravdess-emobox"),
    **tuned("ravdess", "ravdess-emobox"),
    **own("ravdess", "ravdess-emobox"),
    **scratch("emodb", "loso"),
    **heads("emodb", "loso"),
    **joined("emodb", "loso"),
    **copied("emodb", "loso"),
    **tuned("emodb", "loso"),
    **own("emodb", "loso"),
    **heads("tess", "tess-cross"),
}  # fmt: skip

ANCHORS = (
    Anchor("cremad", "63/9/19 speakers", "from scratch (LEAF)", "57"),
    Anchor("cremad", "63/9/19 speakers", "frozen PANNs; AST; BYOL-A, linear", "51.8; 58.4; 63.8"),
    Anchor("cremad", "63/9/19 speakers", "frozen BEATs, linear", "67.6"),
    Anchor("cremad", "63/9/19 speakers", "frozen Whisper-base, linear", "70.8"),
    Anchor("cremad", "63/9/19 speakers", "frozen Whisper-large-v3, linear", "76.2"),
    Anchor("cremad", "63/9/19 speakers", "frozen Dasheng-1.2B, linear", "76.9"),
    Anchor("ravdess", "Luna's 5 folds", "from scratch (ResLSTM)", "62.3"),
    Anchor("ravdess", "Luna's 5 folds", "fine-tuned PANNs CNN14", "76.6"),
    Anchor("ravdess", "Luna's 5 folds", "fine-tuned XLSR", "82.3"),
    Anchor("ravdess", "EmoBox's 6 folds", "frozen Whisper-large-v3", "75.3"),
    Anchor("tess", "one speaker to the other", "classical", "about 17"),
)

COLUMNS = {
    "cremad": "CREMA-D, `cremad-nk`, dev",
    "ravdess": "RAVDESS, `ravdess-emobox`",
    "emodb": "EMO-DB, `loso`",
}
OVERVIEW = {
    "`-m sertool` from scratch": ("cremad-scratch", "ravdess-scratch", "emodb-scratch"),
    "the same, taught by an encoder": ("cremad-distilled",),
    "frozen Whisper-base, regression": ("cremad-probe", "ravdess-probe", "emodb-probe"),
    "that regression, adapted to each speaker": (
        "cremad-probe-speaker", "ravdess-probe-speaker", "emodb-probe-speaker",
    ),
    "frozen Whisper-base, small network": ("cremad-mlp", "ravdess-mlp", "emodb-mlp"),
    "the same with other corpora in train": ("cremad-with-others", "ravdess-with-cremad", "emodb-with-cremad"),
    "Whisper-base, two of four blocks trained on": ("cremad-tuned", "ravdess-tuned", "emodb-tuned"),
    "the package's `base`; elsewhere `--recipe base`": ("cremad-shipped-base", "ravdess-own", "emodb-own"),
    "the same, adapted to each speaker": ("cremad-shipped-base-speaker", "ravdess-own-speaker", "emodb-own-speaker"),
    "other corpora in train, adapted to each speaker": (
        "cremad-with-others-speaker", "ravdess-with-cremad-speaker", "emodb-with-cremad-speaker",
    ),
}  # fmt: skip


def run(name: str, places: dict[str, str], work: Path) -> dict[str, Any]:
    """Return a record's figures; run those of its commands whose output is missing."""
    record, made = RECORDS[name], work / "made"
    made.mkdir(parents=True, exist_ok=True)
    for place, command in enumerate(record.commands):
        done = made / digest(record.commands[: place + 1])
        if not done.exists():
            text = command.format(**places)
            print(f"+ {text}", flush=True)
            subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=True, cwd=work)
            done.touch()
    held = shown.scored(work / record.commands[-1].rpartition("> ")[2])
    figures = {figure: shown.per_cent(held["figures"][figure]) for figure in ("uar", "wa")}
    seeds = shlex.split(record.commands[-1])
    return figures | {
        "part": held["split"], "clips": held["clips"], "speakers": held["speakers"],
        "seeds": int(seeds[seeds.index("--seeds") + 1]) if "--seeds" in seeds else 1,
        "commands": digest(record.commands),
    }  # fmt: skip


def digest(commands: Sequence[str]) -> str:
    """Return a digest of commands, including the model that they use; each depends on those before it."""
    asked = [shown.of_package(model) for model in re.findall(r"predict -m (\w+) ", commands[-1])]
    return shown.checksum("\n".join([*commands, *asked]).encode())


def overview(held: dict[str, Any]) -> str:
    """Return the main figures as README shows them, a column for each corpus."""
    best = {anchor.corpus: anchor.uar for anchor in sorted(ANCHORS, key=lambda anchor: anchor.uar)}
    rows = [["", *COLUMNS.values()], ["---"] * (len(COLUMNS) + 1)]
    rows.append(["*published:* the best, speaker-disjoint", *(best.get(corpus, "") for corpus in COLUMNS)])
    for label, names in OVERVIEW.items():
        cells = [shown.interval(held[name]["uar"]) if name in held else "" for name in names]
        rows.append([label, *cells, *[""] * (len(COLUMNS) - len(cells))])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def table(held: dict[str, Any]) -> str:
    """Return all records as README shows them, each corpus with published figures."""
    if stale := [name for name in held if held[name]["commands"] != digest(RECORDS[name].commands)]:
        raise SystemExit(f"{', '.join(stale)}: measured with other commands or models: measure them again")
    lines = ["| corpus, protocol | system | UAR % [95 %] | accuracy % | on | seeds |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for corpus in dict.fromkeys(record.corpus for record in RECORDS.values()):
        lines += [f"| {a.corpus}, {a.protocol} | *published:* {a.system} | {a.uar} | | | |"
                  for a in ANCHORS if a.corpus == corpus]  # fmt: skip
        lines += [_row(RECORDS[name], held[name]) for name in RECORDS
                  if RECORDS[name].corpus == corpus and name in held]  # fmt: skip
    return "\n".join(lines) + "\n"


def _row(record: Record, figures: dict[str, Any]) -> str:
    uar, wa = figures["uar"], figures["wa"]
    where = f"{figures['part']}: {figures['clips']:,} clips, {figures['speakers']} speakers"
    both = f"{shown.interval(uar)} | {wa['value']:.1f}"
    return f"| {record.corpus}, `{record.protocol}` | {record.system} | {both} | {where} | {figures['seeds']} |"


def with_table(text: str, held: dict[str, Any]) -> str:
    """Return README with its tables of records renewed: the main ones, and all of them folded away."""
    folded = f"\n<details>\n<summary>All systems, beside published figures</summary>\n\n{table(held)}\n</details>\n"
    return shown.placed(text, "records", overview(held) + folded)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", metavar="CORPORA WORK NAME")
    parser.add_argument("--weights", help="a file of Whisper-base's weights")
    shown.add_options(parser)
    asked = parser.parse_intermixed_args()
    held = shown.kept(HELD)
    if asked.readme:
        shown.settle(asked, lambda text: with_table(text, held))
        return
    corpora, work, *names = asked.places
    weights = f"--weights {shlex.quote(str(Path(asked.weights).resolve()))}" if asked.weights else ""
    places = {"corpora": str(Path(corpora).resolve()), "weights": weights}
    for name in names or [name for name in RECORDS if name not in held]:
        held[name] = run(name, places, Path(work).resolve())
        print(name, held[name], flush=True)
        shown.keep(HELD, {name: held[name] for name in RECORDS if name in held})


if __name__ == "__main__":
    main()
