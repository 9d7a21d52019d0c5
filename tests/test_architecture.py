"""The house: imports run strictly downward, a dependency has one door, and nobody pays for what they don't use."""

import ast
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from sertool import catalogue

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "sertool"

# From the ground up, floor by floor and along each. A file may import those before it, and none of its own folder.
HOUSE = {
    "bedrock": "errors __init__",
    "ground": """talk workers padding batch_changes catalogue codes columns containers digests filters team norms layers
        metrics presets ratios pyin recipes rounding scan schedules stretching device parts dsp pitch_classes products
        slow files locks paths pictures sheet fitted labels run_folder selection shipped protocols dealing splits
        leak_guard streams synth tensorfile unpacking web downloading training_settings weights""",
    "catalogue": "corpora encoders pretrained features imagenet models",
    "formats": """manifest provenance recorded_options row_filter votes speakers taught_encoders intake duplicates
        levels audio encoding folders sounds labelling modelfile named_models shards delimited formats merging shaping
        long_audio own_division splitting auditing doctor checkpoint manifest_paths manifest_io effects sources""",
    "flow": """batches row_scaling speaker_scaling familiarity label_sets teacher_answers consistency heldout
        heldout_checks offers store corpus_folder effect_chains stored_rows predict_inputs windows segments summaries
        model_knowledge heldout_members extraction decoding engine extract predictions tables design training_data
        choosing objective training augmenting packing norm_folding inference ensemble cards tasks clips
        clip_statistics answers answer_files recordings answer_record demonstration""",
    "loops": """scores sums groups comparing evaluating fetching indexing featurizing predicting row_stages
        answer_folder teacher_models speaker_answers verify panels plots targets member_scores member_file members
        refusals rendering wording reports designing preparing runs run_report optimism
        final_model planning experiment""",
    "pages": "charts page",
    "door": "options cli commands __main__",
}
PLACES = " ".join(HOUSE.values()).split()

DOORS = {
    "click": {"cli", "options", "commands"}, "rich": {"talk"}, "tqdm": {"talk"}, "soundfile": {"audio", "encoding"},
    "soxr": {"audio"}, "matplotlib": {"pictures"},
    "pyarrow": {"manifest", "merging", "row_filter", "intake", "delimited", "formats", "manifest_paths", "manifest_io"},
}  # fmt: skip
DISTRIBUTIONS = {"sklearn": "scikit-learn"}
HEAVY = ("torch", "torchaudio", "torchvision", "sklearn", "scipy.signal", "matplotlib")
BANNED = {"utils", "core", "common", "base", "helpers", "manager", "misc"}

FILES = sorted(PACKAGE.rglob("*.py"))


def house(path: Path) -> str:
    """The file or open folder that a path belongs to: `audio`, or `features` for `features/mel.py`."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Everything that a file imports, at its top or later, down to the names: `sertool.files.atomic_write`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(path: Path) -> set[str]:
    """Of the imports those of our own files and folders, by name; `from sertool import __version__` is the package."""
    names = {name.split(".")[1] for name in imports(path) if name.startswith("sertool.")}
    return {"__init__" if name.startswith("__") else name for name in names}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_run_strictly_downward(path):
    own = house(path)
    assert own in PLACES, f"{own} has no place in the house yet: give it one"
    below = PLACES[: PLACES.index(own)]
    assert ours(path) - {own} <= set(below)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_siblings_in_an_open_folder_never_import_each_other(path):
    siblings = {other.stem for other in path.parent.glob("*.py")} - {"__init__"}
    within = (name.split(".")[2:3] for name in imports(path) if name.startswith(f"sertool.{house(path)}."))
    assert path.parent == PACKAGE or not siblings & {name for names in within for name in names}


def third_parties(path: Path) -> set[str]:
    tops = {name.partition(".")[0] for name in imports(path)}
    return tops - set(sys.stdlib_module_names) - {"sertool", "tomllib"}  # which came with Python 3.11


@pytest.mark.parametrize("dependency", DOORS)
def test_each_dependency_has_one_door(dependency):
    users = {house(path) for path in FILES if dependency in third_parties(path)}
    assert users <= DOORS[dependency]


def test_every_import_is_a_declared_dependency():
    lines = re.findall(r'^\s+"([A-Za-z0-9_-]+)[<>=~!\[]', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    declared = {name.lower().replace("_", "-") for name in lines}
    for path in FILES:
        assert {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in third_parties(path)} <= declared, path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_choice_between_two_values_holds_no_other_choice(path):
    """`a if x else b if y else c` is read twice: plain `if`s or a lookup are read once."""
    choices = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.IfExp)]
    nested = [each.lineno for each in choices if isinstance(each.body, ast.IfExp) or isinstance(each.orelse, ast.IfExp)]
    assert not nested


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_loop_is_over_a_choice_between_two_values(path):
    """`for x in xs if wanted else ():` reads like a filter: an `if` around the loop is read once."""
    nodes = [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    loops = [node for node in nodes if isinstance(node, ast.For | ast.comprehension)]
    assert not [loop.iter.lineno for loop in loops if isinstance(loop.iter, ast.IfExp)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_tables_of_data_are_formatted_by_hand(path):
    """Messages are not: what is raised, and what is called with a text."""
    text = path.read_text(encoding="utf-8")
    nodes = [*ast.walk(ast.parse(text))]
    raised = [node for node in nodes if isinstance(node, ast.Raise)]
    calls = [node.value for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    said = [call for call in calls if call.args and isinstance(call.args[0], ast.Constant | ast.JoinedStr)]
    lines = text.split("\n")
    assert not [node.lineno for node in raised + said if "# fmt: skip" in lines[node.end_lineno - 1]]


def test_names_say_something():
    assert not {path.stem for path in PACKAGE.rglob("*") if path.suffix in ("", ".py")} & BANNED


def test_help_index_and_completions_run_without_torch_or_scikit_learn(tree):
    code = f"""
import sys
from sertool.cli import run
for words in {[["--help"], *([name, "--help"] for name in catalogue.names("commands"))]}:
    assert run(words) == 0, words
assert run(["index", {str(tree)!r}]) == 0
sys.path.insert(0, {str(ROOT)!r})
from completions.tree import read
from sertool.cli import cli
read(cli)
print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr.decode().splitlines()[-1] == "[]"


def test_answering_imports_no_compiler(tree):
    """Which takes a second, and is asked for by a decorator already."""
    clip = str(next(tree.rglob("*.wav")))
    code = f"import sys; from sertool import cli; cli.run(['predict', '-q', '-m', 'base', '-m', 'tiny', {clip!r}]); "
    code += "print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_the_package_itself_imports_nothing_heavy():
    code = "import sys; before = set(sys.modules); import sertool; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} - set(sys.stdlib_module_names) <= {"sertool"}


# The catalogue reads what a file says of itself without running it.


def test_settings_are_read_with_their_limits(tmp_path):
    (tmp_path / "x.py").write_text('''"""A thing: of a kind.

More."""
import nothing_of_the_kind
SIZE = 3
class Settings:
    """Words."""
    a: Annotated[int, "how many", 1, 9] = SIZE
    b: Annotated[float | None, "how much", None, 0.5] = None
    c: Annotated[Literal["x", "y"], "which"] = "x"
    d: Annotated[bool, "whether"] = True
    seed: int = 0
    def method(self): ...
''')
    entry = catalogue.read(tmp_path / "x.py")
    assert (entry.title, entry.facts) == ("A thing: of a kind", {"SIZE": 3})
    assert [(s.name, s.kind, s.default, s.low, s.high, s.choices) for s in entry.settings] == [
        ("a", "int", 3, 1, 9, ()), ("b", "float", None, None, 0.5, ()), ("c", "choice", "x", None, None, ("x", "y")),
        ("d", "bool", True, None, None, ()),
    ]  # fmt: skip


OF_FOLDERS = [(folder, name) for folder in ("features", "models") for name in catalogue.entries(folder)]


@pytest.mark.parametrize(("folder", "name"), OF_FOLDERS)
def test_what_the_catalogue_reads_is_what_python_reads(folder, name):
    module, entry = catalogue.load(folder, name), catalogue.entries(folder)[name]
    defaults = module.Settings()
    said = {field.name for field in fields(defaults) if hasattr(field.type, "__metadata__")}
    assert {s.name: s.default for s in entry.settings} == {name: vars(defaults)[name] for name in said}
    assert entry.facts == {word: vars(module)[word] for word in entry.facts}
    assert entry.facts.keys() >= {"features": {"DTYPE"}, "models": {"ORIGIN", "PARAMETERS", "INPUT"}}[folder]
    assert all(s.help for s in entry.settings)
