"""What a training is told: numbers that make no sense are refused before anything is read."""

import pytest
from running import sertool

from sertool import catalogue

LOOP = catalogue.read(catalogue.PACKAGE / "train/training_settings.py").settings
NUMBERS = [held for held in LOOP if held.kind in ("int", "float")]


@pytest.mark.parametrize("held", NUMBERS, ids=lambda held: held.name)
def test_numeric_option_below_its_limit_is_refused_in_one_line(held: catalogue.Setting) -> None:
    assert held.low is not None, "every number has a lowest value"
    word = f"--{held.name.replace('_', '-')}"
    done = sertool("train", "none.parquet", "-m", "cnn", word, held.low - 1)
    assert done.code == 2
    assert f"'{word}'" in done.line
    assert f"{held.low:g}" in done.line


@pytest.mark.parametrize(
    "words", [("--smoothing", 3), ("--soft", 1.1), ("--ema", 2), ("--plateau-factor", 2), ("--shift", 1.5),
              ("--time-width", 2**70), ("--batch", 2**70)]
)  # fmt: skip
def test_shares_above_one_and_excessive_counts_are_refused(words: tuple[str, float]) -> None:
    done = sertool("train", "none.parquet", "-m", "cnn", *words)
    assert (done.code, f"'{words[0]}'" in done.line) == (2, True)


@pytest.mark.parametrize("model", catalogue.names("models"))
def test_model_settings_are_listed_with_defaults_that_parse_back(model: str) -> None:
    held = catalogue.entries("models")[model].settings
    listed = [line.split()[:2] for line in sertool("train", "-m", model, "--list").out.decode().splitlines()[1:]]
    assert [name for name, _ in listed] == [each.name for each in held]
    assert [catalogue.parsed(each, usual) for each, (_, usual) in zip(held, listed, strict=True)] == [
        each.default for each in held
    ]
