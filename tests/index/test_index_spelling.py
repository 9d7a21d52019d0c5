"""index reads names and tables in any encoding, form and case."""

import os
import shutil
import sys
import unicodedata

import pytest
from indexing import index, refused, table
from running import sertool

from sertool.manifests import manifest, manifest_io


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_file_names_match_across_unicode_normalisation_forms(make, form):
    folder = make("nfc/K\u00f6ln/M\u00fcde_1.wav", "nfd/Ko\u0308ln/Mu\u0308de_2.wav")
    rows = (f"K\u00f6ln/M\u00fcde_{number}.wav,angry" for number in (1, 2))
    text = unicodedata.normalize(form, "\n".join(["file,emotion", *rows, ""]))
    held = index(folder, "--table", table(folder, "l.csv", text), "-q")
    assert [(row["emotion"], row.get("issue")) for row in held] == [("angry", None)] * 2


ZOE, MUDE = ("Zo\u00eb", "Zoe\u0308"), ("m\u00fcde", "mu\u0308de")  # each in both forms of Unicode


@pytest.mark.parametrize("way", [(), ("--pattern", f"{{speaker}}/{{emotion}}_{MUDE[1]}_{{}}.wav")])
def test_labels_and_speakers_match_across_unicode_normalisation_forms(make, way):
    folder = make(*(f"{who}/{word}_{word}_{k}.wav" for k, (who, word) in enumerate(zip(ZOE, MUDE, strict=True))))
    names = (f"{who}/{word}_{word}_{k}.wav" for k, (who, word) in enumerate(zip(ZOE, MUDE, strict=True)))
    lines = (f"{name},{word},{who}" for name, word, who in zip(names, MUDE, ZOE, strict=True))
    listing = table(folder, "l.csv", "\n".join(["path,emotion,speaker", *lines, ""]))
    for given in MUDE:
        held = index(folder, *(way or ("--table", listing)), "--map", f"{given}=sad", "-q")
        assert [row["emotion"] for row in held] == ["sad", "sad"]
        assert {row["speaker"] for row in held} == {f"{folder.name}:{ZOE[0]}"}


def test_speaker_leak_is_found_across_unicode_normalisation_forms(tmp_path):
    lines = (f"c{k},c{k}.wav,{who},{part}" for k, (who, part) in enumerate(zip(ZOE, ("train", "test"), strict=True)))
    listing = table(tmp_path, "l.csv", "\n".join(["clip,path,speaker,split", *lines, ""]))
    done = sertool("index", "--audit", listing)
    assert (done.code, b"LEAK  speaker: 1 in more than one part" in done.out) == (1, True)


@pytest.mark.parametrize("words", [("--table",), ()])
@pytest.mark.parametrize("text", ["path,sentence\n1.wav,caf\xe9\n", '{"path": "1.wav", "sentence": "caf\xe9"}\n'])
def test_non_utf8_text_is_refused_with_advice_to_save_as_utf8(tmp_path, words, text):
    (tmp_path / "a").write_bytes(text.encode("latin-1"))
    says = (
        "line 2 is not UTF-8, in column sentence: save it as CSV UTF-8" if "," in text[:9] else "line 1 is not UTF-8: "
    )
    refused(*words, tmp_path / "a", code=1, says=says)
    for utf in ("utf-16", "utf-16-be"):
        (tmp_path / "a").write_bytes(("\ufeff" if utf != "utf-16" else "").encode(utf) + text.encode(utf))
        refused(*words, tmp_path / "a", code=1, says="UTF-16 text, as spreadsheets call Unicode: save it as UTF-8")


def test_table_with_carriage_return_line_endings_is_read(make):
    folder = make("1.wav", "2.wav")
    mac = table(folder, "m.csv", "")
    mac.write_bytes(b"Datei;file;emotion\r1;1.wav;angry\r2;2.wav;sad\r")
    assert [row["emotion"] for row in index(folder, "--table", mac, "-q")] == ["angry", "sad"]


@pytest.mark.parametrize("first", ["", "sep=;\r\n", "\ufeffsep=;\n"])
@pytest.mark.parametrize("head", ["Datei;file;emotion;;", "path;emotion;;;"])
def test_table_with_spreadsheet_leftovers_is_read(make, first, head):
    folder = make("1.wav", "2.wav")
    rows = ("1;1.wav;angry;;", "2;2.wav;sad;;") if head.startswith("D") else ("1.wav;angry;;;", "2.wav;sad;;;")
    left = table(folder, "l.csv", "\n".join([first + head, *rows, ""]))
    assert [row["emotion"] for row in index(folder, "--table", left, "-q")] == ["angry", "sad"]
    if head.startswith("p"):
        assert [row["emotion"] for row in index(left, "-q")] == ["angry", "sad"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            b"file;emotion;Bemerkung\n1.wav;angry;ok\n1.wav;angry;m\xfcde\n",
            "line 3 is not UTF-8, in column Bemerkung: ",
        ),
        (b"file;Emotion\n1.wav;m\xfcde\n", "line 2 is not UTF-8, in column Emotion: save it as CSV UTF-8"),
        (b'file;x;emotion\n1.wav;"a\nb";m\xfcde\n', "line 2 is not UTF-8, in column emotion: save it as CSV UTF-8"),
        (b"file;emotion\r1.wav;angry\r2.wav;m\xfcde\r", "line 3 is not UTF-8, in column emotion: "),
        (b"file;emotion;M\xfche\n1.wav;sad;1\n", "line 1 is not UTF-8, in column M\ufffdhe: save it as CSV UTF-8"),
        (b"file;emotion\nm\xfcde.wav;sad\n", "m\ufffdde.wav is not UTF-8, and no file is called so: save the table as"),
    ],
)
def test_non_utf8_table_is_refused_naming_line_and_column(make, text, says):
    folder = make("1.wav", "2.wav")
    (folder / "l.csv").write_bytes(text)
    refused(folder, "--table", folder / "l.csv", code=1, says=says)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are any bytes on Linux alone")
@pytest.mark.parametrize("name", [b"path", b"file"])
def test_files_with_non_utf8_names_are_found_by_tables(make, name):
    folder = make("1.wav")
    (folder / "J").mkdir()
    (folder / "1.wav").rename(folder / os.fsdecode(b"J/\xf6.wav"))
    (folder / "l.csv").write_bytes(name + b",emotion\nJ/\xf6.wav,angry\n")
    held = index(folder, "--table", folder / "l.csv", "-q")
    assert [(row["emotion"], row.get("issue")) for row in held] == [("angry", None)]


@pytest.mark.parametrize("head", [b"PK\3\4 xl/workbook.xml", b"\xd0\xcf\x11\xe0 Workbook"])
def test_excel_workbook_is_refused_with_advice_to_save_as_csv(make, head):
    folder, says = make("1.wav"), "an Excel workbook, or another archive: save it as CSV UTF-8"
    book = folder / "labels.xlsx"
    book.write_bytes(head + bytes(100))
    refused(folder, "--table", book, code=1, says=f"{book}: {says}")
    refused(book, code=1, says=f"{book}: {says}")
    refused("-", code=1, says=f"stdin: {says}", stdin=book.read_bytes())


def test_speaker_names_are_trimmed_and_case_differences_are_warned_about(make, tmp_path):
    names = ("ann", "ann ", "Ann", "bob", "eve", " ")
    folder = make(*(f"mine/{name}/sad_{k}.wav" for k, name in enumerate(names))) / "mine"
    words = ("--pattern", "{speaker}/{emotion}_{}.wav", "--split", "speaker:50/25/25")
    refused(folder, *words, says="1 of 6 rows have no speaker", code=2)
    shutil.rmtree(folder / " ")
    done = sertool("index", folder, *words, "-o", tmp_path / "m.csv")
    assert "differ only by case are taken for different people: mine:Ann and mine:ann" in done.err
    read = manifest_io.read(str(tmp_path / "m.csv"))
    assert manifest.column(read, "speaker").count("mine:ann") == 2
    assert "differ only" not in sertool("index", tmp_path / "m.csv").err
    blank = manifest.with_column(read, "speaker", [f" {name}\t" for name in manifest.column(read, "speaker")])
    manifest_io.write(blank, str(tmp_path / "blank.parquet"), "parquet")
    assert {row["speaker"] for row in index(tmp_path / "blank.parquet")} == {
        "mine:ann", "mine:Ann", "mine:bob", "mine:eve",
    }  # fmt: skip
