"""index reads splits that others published: their columns, and their names of parts."""

import pytest
from indexing import index, refused, rows, table
from running import sertool


def parted(folder, words, column="split"):
    """Write a table of clips in these parts."""
    lines = (f"{number}.wav,sad,s{number},{word}" for number, word in enumerate(words))
    return table(folder, "parts.csv", "\n".join([f"path,emotion,speaker,{column}", *lines]))


def parts(held):
    return [row.get("split") for row in held]


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        (["Trn", "DEV", "tst"], ["train", "dev", "test"]), (["train", "dev", "Eval"], ["train", "dev", "test"]),
        (["train", "evaluation", " "], ["train", "test", None]),
        (["train", "eval", "Test"], ["train", "eval", "test"]), (["tr", "cv", "tt"], ["tr", "cv", "tt"]),
    ],
)  # fmt: skip
def test_evaluation_is_test_unless_a_test_stands_beside_it(tmp_path, words, ours):
    a = parted(tmp_path, words)
    assert parts(index("--table", a, "-q")) == parts(index(a, "-q")) == ours


def test_names_of_parts_mean_what_the_user_says_and_others_nothing(tmp_path):
    a = parted(tmp_path, ["Train", "Development", "Test1", "Test 2", "Test3", "test3", ""])
    told = sertool("index", "--table", a, "-o", tmp_path / "a.parquet")
    says = "split Test1, Test 2, Test3, test3: none of train, dev, test, so train refuses it: say which with --parts "
    assert f"{says}Test1=PART" in told.err
    done = sertool("index", "--table", a, "--parts", "Test1=test,test_2=val", "-f", "jsonl")
    assert parts(rows(done)) == ["train", "dev", "test", "dev", None, None, None]
    assert "split Test3, test3: not in --parts, so no part for 2 clips" in done.err
    assert parts(index(tmp_path / "a.parquet", "--parts", "TEST3=test", "-q"))[4:] == ["test", "test", None]


def test_parts_that_no_clip_is_in_are_named_and_wrong_ones_refused(tmp_path):
    a = parted(tmp_path, ["train", "eval", "test"])
    done = sertool("index", "--table", a, "--parts", "eval=dev", "--parts", "Test9=test", "-f", "jsonl")
    assert parts(rows(done)) == ["train", "dev", "test"]
    assert "--parts test9=test changes nothing: no clip is in a part 'test9'" in done.err
    for wrong in ("Test1", "Test1=", "=test", "Test1=rest", "Test1=test,x"):
        refused("--table", a, "--parts", wrong, says="--parts takes NAME=PART, such as Test1=test")


def test_update_reads_parts_as_before(make):
    folder = make("x/0.wav", "x/1.wav")
    words = ("--table", parted(folder, ["train", "Test1"]), "--parts", "Test1=test", "-o", folder / "a.parquet")
    sertool("index", folder / "x", *words)
    done = sertool("index", folder / "x", "--update", folder / "a.parquet", "-f", "jsonl")
    assert parts(rows(done)) == ["train", "test"]
    assert "--parts Test1=test" in done.err


@pytest.mark.parametrize("column", ["partition", "Subset", "set", "Split_Set"])
def test_split_is_read_from_a_column_of_another_name_if_it_holds_parts(tmp_path, column):
    held = index("--table", parted(tmp_path, ["Train", "Development", "Test1", "Train"], column), "-q")
    assert parts(held) == ["train", "dev", "Test1", "train"]
    assert column not in held[0]
    words = ["A", "B", "test"]
    held = index("--table", parted(tmp_path, words, column), "-q")
    assert [(row.get("split"), row[column]) for row in held] == [(None, word) for word in words]
    held = index("--table", parted(tmp_path, ["train,A", "test,B"], f"split,{column}"), "-q")
    assert [(row["split"], row[column]) for row in held] == [("train", "A"), ("test", "B")]


def test_names_that_the_user_says_are_parts_make_a_split_of_such_a_column(tmp_path):
    a = parted(tmp_path, ["Train", "Fold A", "Fold B"], "set")
    done = sertool("index", "--table", a, "--parts", "fold_a=test,fold_b=dev", "-f", "jsonl")
    assert parts(rows(done)) == ["train", "test", "dev"]
    assert "changes nothing" not in done.err


def test_column_that_looks_like_a_split_is_named_where_none_is_known(tmp_path):
    a = parted(tmp_path, ["train,x,1", "val,y,1", "Eval,z,2", ",w,2"], "Phase,Raum,Take")
    says = "no split is known, but column Phase looks like one (train 1, val 1, Eval 1): name it split"
    for words in (["--table", a], [a]):
        assert says in sertool("index", *words, "-f", "csv").err
        assert "looks like" not in sertool("index", *words, "--folds", 2, "-f", "csv").err
    a = parted(tmp_path, ["train,x,train", "test,y,test"], "split,Raum,Phase")
    assert "looks like" not in sertool("index", "--table", a, "-f", "csv").err
    a = parted(tmp_path, ["train", "bus", "ship"], "vehicle")
    assert "looks like" not in sertool("index", "--table", a, "-f", "csv").err
