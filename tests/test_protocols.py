"""The laws of protocols: each says in one way how it divides, and reading them costs nothing."""

import subprocess
import sys
from collections import Counter
from dataclasses import fields

import pytest

from sertool import catalogue
from sertool.divisions import protocols
from sertool.divisions.protocols import PROTOCOLS, UNNAMED


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_draws_its_parts_or_publishes_them_or_leaves_each_of_them_out(name):
    protocol = PROTOCOLS[name]
    assert bool(protocol.shares) + bool(protocol.speakers) + protocol.of_clips + (name == "loso") == 1
    assert bool(protocol.speakers or protocol.of_clips) == bool(protocol.corpus)
    assert protocol.folds == (name == "loso" or (bool(protocol.speakers) and name != "cremad-nk"))
    assert "\n" not in protocol.title


@pytest.mark.parametrize("name", [name for name, protocol in PROTOCOLS.items() if protocol.shares])
def test_the_shares_of_a_protocol_are_as_if_they_were_typed(name):
    shares = PROTOCOLS[name].shares
    assert sum(shares) == pytest.approx(1)
    typed = "/".join(f"{part}={100 * share:g}" for part, share in shares._asdict().items() if share)
    assert protocols.parse(f"speaker:{typed}").shares == shares


@pytest.mark.parametrize("name", [name for name, protocol in PROTOCOLS.items() if protocol.folds])
def test_no_speaker_is_published_in_two_folds(name):
    protocol = PROTOCOLS[name]
    written = [place for text in protocol.speakers for place in protocols._expanded(text)]
    assert len(written) == len(protocol.places())


def test_who_is_neither_dev_nor_test_of_cremad_nk_trains():
    assert Counter(PROTOCOLS["cremad-nk"].places().values()) == {0: 57, 1: 15, 2: 19}
    assert PROTOCOLS["cremad-nk"].places()["cremad:1005"] == 1


def test_what_is_leaky_says_so_in_its_title():
    assert all(protocol.is_leaky == protocol.title.startswith("LEAKY: ") for protocol in PROTOCOLS.values())


def test_copies_are_divided_as_a_recipe_makes_them():
    recipes = catalogue.keys("augment/effect_chains.py", "RECIPES")
    assert {protocol.copies for protocol in PROTOCOLS.values()} - {None} <= set(recipes)


def test_a_protocol_is_known_by_the_beginning_of_what_was_asked_for():
    assert protocols.named("speaker:70/15/15") is PROTOCOLS["speaker"]
    assert protocols.named("loso, cremad in train") is PROTOCOLS["loso"]
    assert protocols.named("random-70-30").seed == 42


@pytest.mark.parametrize("asked", [None, 5, "5 folds", "its own split", "from cremad to emodb", ""])
def test_what_names_no_protocol_keeps_speakers_together_and_asks_for_nothing(asked):
    protocol = protocols.named(asked)
    assert protocol is UNNAMED
    assert protocol.keeps_speakers
    assert not protocol.is_leaky
    usual = {field.name: field.default for field in fields(protocol) if field.name != "title"}
    assert {name: getattr(protocol, name) for name in usual} == usual


def test_help_reads_protocols_without_numpy():
    program = "import sys, sertool.divisions.protocols; print('numpy' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )
