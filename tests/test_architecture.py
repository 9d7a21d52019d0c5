"""The house: imports run strictly downward, a dependency has one door, and nobody pays for what they don't use."""

import ast
import functools
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import sertool
from sertool import catalogue

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "sertool"

# From the ground up: files, packages with their files, and open folders (with a slash). A file may import what comes
# before it. Files of an open folder never import each other.
HOUSE = {
    "__init__": "",
    "errors": "",
    "catalogue": "",
    "system": "talk files paths locks parts cgroups workers device team",
    "numeric": "codes scales dsp pitch_classes pyin reference metrics",
    "sound": """containers levels digests ffmpeg decoders audio encoding shaping long_audio filters stretching ratios
        synth pauses folders sounds""",
    "manifests": """columns labels answer_kinds casting manifest manifest_paths row_filter provenance intake delimited
        streams formats run_folder manifest_io votes speakers duplicates merging""",
    "divisions": "protocols dealing splits leak_guard own_division splitting auditing heldout heldout_checks",
    "corpora/": "",
    "index": "labelling tables clips doctor ratings updating correcting indexing recorded_options",
    "internet": "web downloading unpacking",
    "sources/": "",
    "fetch": "download_cache corpus_folder offers fetching",
    "shipped/": "",
    "networks": """norms padding layers selective_scan norm_folding low_precision quantization tensorfile
        classical weights""",
    "encoders/": "",
    "pretraining": "pretrained encoder_trainings",
    "features/": "",
    "effects/": "",
    "featurize": """presets extraction decoding engine extract shards shard_plan given_files given_rows
        featurizing verify clip_statistics""",
    "drawings": "pictures panels plots",
    "augment": "effect_chains augmenting rendering",
    "eval": """renaming predictions vocabulary answers emotions ratings kinds scores bootstrapping groups comparing
        emotion_scores rating_scores evaluating wording tables reports charts sheet intervals svg page""",
    "imagenet": "",
    "models/": "",
    "modelfiles": "batches modelfile row_scaling speaker_scaling packing inference cards named_models",
    "predict": """stored_rows request arrivals manifest_requests predict_inputs windows ensemble familiarity predicting
        voice_names speaker_answers segments summaries row_stages row_options answering answer_files model_knowledge
        heldout_members recordings answer_record answer_folder""",
    "train": """label_sets selection recipes training_settings row_augmentation teacher_answers aim emotion_aim
        dimension_aim design optimism training_data member_scores consistency objective schedules choosing checkpoint
        training member_data refusals runs member_file members run_report teacher_models designing preparing
        final_model planning experiment""",
    "demonstration": "",
    "options": "",
    "cli": "",
    "commands/": "",
    "__main__": "",
}
PACKAGES = {name for name, files in HOUSE.items() if files}
PLACES = [place for name, files in HOUSE.items() for place in ([f"{name}/{file}" for file in files.split()] or [name])]

DOORS = {
    "click": {"cli", "options", "commands"}, "rich": {"talk"}, "tqdm": {"talk"}, "soundfile": {"decoders", "encoding"},
    "imageio_ffmpeg": {"ffmpeg"},
    "soxr": {"audio"}, "matplotlib": {"pictures"},
    "pyarrow": {"casting", "manifest", "merging", "row_filter", "intake", "delimited", "formats", "manifest_paths",
                "manifest_io"},
}  # fmt: skip
DISTRIBUTIONS = {"sklearn": "scikit-learn"}
HEAVY = ("torch", "torchaudio", "torchvision", "sklearn", "scipy.signal", "matplotlib")
BANNED = {"utils", "core", "common", "base", "helpers", "manager", "misc"}


def house(path: Path) -> str | None:
    """Return the place of a file: `errors`, `sound/audio` or, in a folder, `features/`; None for a bare package."""
    first, *rest = path.relative_to(PACKAGE).with_suffix("").parts
    if first in PACKAGES:
        return f"{first}/{rest[0]}" if rest != ["__init__"] else None
    return f"{first}/" if rest else first


FILES = sorted(path for path in PACKAGE.rglob("*.py") if house(path) is not None)


def nodes(path: Path) -> list[ast.AST]:
    return [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]


@functools.cache
def imports(path: Path) -> set[str]:
    """Everything that a file imports, at its top or later, down to the names: `sertool.system.files.atomic_write`."""
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(path: Path) -> set[str]:
    """Return the places of our own files and folders that a file imports."""
    names = [name.split(".")[1:] for name in imports(path) if name.startswith("sertool.")]
    return {_place(first, rest) for first, *rest in names}


def _place(first: str, rest: list[str]) -> str:
    if first.startswith("__"):
        return "__init__"  # `from sertool import __version__`
    if first in PACKAGES:
        return f"{first}/{rest[0]}"
    return first if first in HOUSE else f"{first}/"


def test_imports_run_strictly_downward():
    for path in FILES:
        own = house(path)
        assert own in PLACES, f"{own} has no place in the house yet: give it one"
        assert ours(path) - {own} <= set(PLACES[: PLACES.index(own)]), path


def test_modules_in_the_same_folder_never_import_each_other():
    for path in FILES:
        siblings = {other.stem for other in path.parent.glob("*.py")} - {"__init__"}
        within = {name.split(".")[2] for name in imports(path) if name.startswith(f"sertool.{path.parent.name}.")}
        assert not house(path).endswith("/") or not siblings & within, path


def test_package_docstring_lists_packages_in_import_order():
    names = [
        name
        for line in re.findall(r"^    ([a-z, ]+?)  +\S", sertool.__doc__, re.MULTILINE)
        for name in line.split(", ")
    ]
    house = [name.strip("/") for name in HOUSE if not name.startswith("__")]
    assert set(names) == set(house) - {"commands"}
    assert [name for name in house if name in names and name not in ("cli", "options")] == names[:-2]


def third_parties(path: Path) -> set[str]:
    tops = {name.partition(".")[0] for name in imports(path)}
    return tops - set(sys.stdlib_module_names) - {"sertool", "tomllib"}  # which came with Python 3.11


@pytest.mark.parametrize("dependency", DOORS)
def test_restricted_dependencies_are_imported_only_in_designated_modules(dependency):
    users = {house(path).strip("/").rpartition("/")[2] for path in FILES if dependency in third_parties(path)}
    assert users <= DOORS[dependency]


def test_every_import_is_a_declared_dependency():
    lines = re.findall(r'^\s+"([A-Za-z0-9_-]+)[<>=~!\[]', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    declared = {name.lower().replace("_", "-") for name in lines}
    for path in FILES:
        assert {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in third_parties(path)} <= declared, path


def test_conditional_expressions_are_never_nested():
    """`a if x else b if y else c` is read twice: plain `if`s or a lookup are read once."""
    for path in FILES:
        choices = [node for node in nodes(path) if isinstance(node, ast.IfExp)]
        assert not [each.lineno for each in choices if ast.IfExp in (type(each.body), type(each.orelse))], path


def test_no_loop_is_over_a_choice_between_two_values():
    """`for x in xs if wanted else ():` reads like a filter: an `if` around the loop is read once."""
    for path in FILES:
        loops = [node for node in nodes(path) if isinstance(node, ast.For | ast.comprehension)]
        assert not [loop.iter.lineno for loop in loops if isinstance(loop.iter, ast.IfExp)], path


def test_only_tables_of_data_are_formatted_by_hand():
    """Messages are not: what is raised, and what is called with a text."""
    for path in FILES:
        held = nodes(path)
        raised = [node for node in held if isinstance(node, ast.Raise)]
        calls = [node.value for node in held if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
        said = [call for call in calls if call.args and isinstance(call.args[0], ast.Constant | ast.JoinedStr)]
        lines = path.read_text(encoding="utf-8").split("\n")
        assert not [node.lineno for node in raised + said if "# fmt: skip" in lines[node.end_lineno - 1]], path


def test_no_module_or_folder_has_a_vague_name():
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


@pytest.mark.slow
def test_predict_does_not_import_the_torch_compiler(tree):
    """Which takes a second, and is asked for by a decorator already."""
    clip = str(next(tree.rglob("*.wav")))
    code = f"import sys; from sertool import cli; cli.run(['predict', '-q', '-m', 'base', '-m', 'tiny', {clip!r}]); "
    code += "print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_importing_sertool_loads_only_the_standard_library():
    code = "import sys; before = set(sys.modules); import sertool; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} - set(sys.stdlib_module_names) <= {"sertool"}


# The catalogue reads what a file says of itself without running it.


def test_catalogue_reads_settings_and_limits_without_running_the_file(tmp_path):
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
def test_catalogue_agrees_with_the_imported_module(folder, name):
    module, entry = catalogue.load(folder, name), catalogue.entries(folder)[name]
    defaults = module.Settings()
    said = {field.name for field in fields(defaults) if hasattr(field.type, "__metadata__")}
    assert {s.name: s.default for s in entry.settings} == {name: vars(defaults)[name] for name in said}
    assert entry.facts == {word: vars(module)[word] for word in entry.facts}
    assert entry.facts.keys() >= {"features": {"DTYPE"}, "models": {"ORIGIN", "PARAMETERS", "INPUT"}}[folder]
    assert all(s.help for s in entry.settings)
