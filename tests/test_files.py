"""Files are whole or absent, folders have one writer at a time, trees end, and paths survive as text."""

import errno
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sertool.errors import Interrupted, SertoolError
from sertool.system import files, locks, paths

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


# Whole or absent.


def test_file_appears_only_when_it_is_complete(tmp_path):
    with files.atomic_write(tmp_path / "a" / "b.txt") as stream:
        stream.write(b"half")
        assert not (tmp_path / "a" / "b.txt").exists()
        stream.write(b" and half")
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"half and half"
    assert names(tmp_path / "a") == ["b.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SertoolError])
def test_aborted_write_leaves_the_old_file_unchanged(tmp_path, error):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(error):
        give_up(tmp_path / "a", error)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def give_up(path: Path, error: type[BaseException] | OSError, *, salvage: bool = False) -> None:
    with files.atomic_write(path, salvage=salvage) as stream:
        stream.write(b"new")
        raise error


@pytest.mark.parametrize(
    ("cause", "raised"), [(KeyboardInterrupt, Interrupted), (SertoolError("failed"), SertoolError)]
)
def test_interrupted_salvage_write_keeps_partial_and_old_file(cause, raised, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"old")
    with pytest.raises(raised, match=r"lies in .*rows\.csv\.part"):
        give_up(path, cause, salvage=True)
    assert path.read_bytes() == b"old"
    assert (tmp_path / "rows.csv.part").read_bytes() == b"new"
    assert names(tmp_path) == ["rows.csv", "rows.csv.part"]


def test_partial_file_is_removed_after_a_complete_salvage_write(tmp_path):
    (tmp_path / "rows.csv.part").write_bytes(b"half")
    with pytest.raises(ValueError, match="lost"), files.atomic_write(tmp_path / "rows.csv", salvage=True):
        raise ValueError("lost")
    assert names(tmp_path) == ["rows.csv.part"]
    with files.atomic_write(tmp_path / "rows.csv"):
        pass
    assert names(tmp_path) == ["rows.csv", "rows.csv.part"]
    with files.atomic_write(tmp_path / "rows.csv", salvage=True) as stream:
        stream.write(b"whole")
    assert names(tmp_path) == ["rows.csv"]


def test_full_disk_keeps_written_partial_data_beside_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(SertoolError, match=r"no space .* lies in .*a\.part"):
        give_up(path, full, salvage=True)
    assert (path.read_bytes(), (tmp_path / "a.part").read_bytes()) == (b"old", b"new")
    with pytest.raises(SertoolError, match="make room"), files.atomic_write(tmp_path / "b", salvage=True):
        raise full
    assert names(tmp_path) == ["a", "a.part"]


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_full_disk_leaves_the_old_file_and_is_reported(tmp_path, monkeypatch, call):
    (tmp_path / "a").write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(SertoolError, match="is full: make room"), files.atomic_write(tmp_path / "a") as stream:
        stream.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("call", ["fsync", pytest.param("sync", marks=posix)])
def test_files_are_on_disk_before_they_get_their_names(tmp_path, monkeypatch, call):
    if call == "fsync":
        monkeypatch.delattr(os, "sync", raising=False)  # as on Windows
    calls = []
    for name in (call, "replace"):
        monkeypatch.setattr(os, name, lambda *_, name=name: calls.append(name))
    files.write_beside(tmp_path / "a", b"x")
    files.name_together([tmp_path / "a"])
    assert calls == [call, "replace"]


@pytest.mark.parametrize(("ages", "is_touched"), [((1, 9), True), ((9, 1), True), ((1, 4), False), ((), False)])
def test_a_file_is_touched_if_any_of_its_sources_is_newer(tmp_path, ages, is_touched):
    for name, age in {"made": 5, **{f"source {number}": age for number, age in enumerate(ages)}}.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (age, age))
    files.no_older(tmp_path / "made", [str(path) for path in tmp_path.glob("source*")])
    assert ((tmp_path / "made").stat().st_mtime > 5) == is_touched


def test_file_without_touch_permission_keeps_its_timestamp(tmp_path, monkeypatch):
    def denied(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    for name in ("made", "source"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (len(name), len(name)))
    monkeypatch.setattr(os, "utime", denied)
    files.no_older(tmp_path / "made", [str(tmp_path / "source")])
    assert (tmp_path / "made").stat().st_mtime == len("made")


def test_unwritable_path_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "a", tmp_path / "folder", tmp_path / ("long" * 100)):
        with pytest.raises(SertoolError, match="cannot write"), files.atomic_write(path) as stream:
            stream.write(b"x")


@posix
def test_new_file_gets_the_default_permissions(tmp_path):
    with files.atomic_write(tmp_path / "a") as stream:
        stream.write(b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@posix
@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_replaced_file_keeps_its_permissions(tmp_path, mode):
    (tmp_path / "a").write_bytes(b"older")
    (tmp_path / "a").chmod(mode)
    with files.atomic_write(tmp_path / "a") as stream:
        stream.write(b"x")
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode
    with suppress(Interrupted), files.atomic_write(tmp_path / "a", salvage=True) as stream:
        stream.write(b"some")
        raise KeyboardInterrupt
    assert (tmp_path / "a.part").stat().st_mode & 0o777 == mode


@posix
def test_writing_to_a_symlink_replaces_its_target_and_keeps_the_link(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "a")
    with files.atomic_write(tmp_path / "link") as stream:
        stream.write(b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "a").read_bytes() == b"x"


@posix
def test_dev_fd_path_of_a_pipe_is_written_to():
    reading, writing = os.pipe()
    with files.atomic_write(Path(f"/dev/fd/{writing}")) as stream:
        stream.write(b"new")
    os.close(writing)
    with open(reading, "rb") as stream:
        assert stream.read() == b"new"


@posix
def test_a_device_or_a_pipe_is_written_to_and_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    with files.atomic_write(tmp_path / "pipe") as stream:
        stream.write(b"x")
    reader.join()
    assert taken == [b"x"]
    assert names(tmp_path) == ["pipe"]
    with files.atomic_write(Path("/dev/null")) as stream:
        stream.write(b"x")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("name", ["a" * 255, "\u2764" * 80, ".hidden"])
def test_any_valid_file_name_can_be_written(tmp_path, name):
    with files.atomic_write(tmp_path / name) as stream:
        stream.write(b"x")
    assert names(tmp_path) == [name]


def test_sweep_removes_only_partial_files_of_the_given_file(tmp_path):
    for name in (".a.txt.123.part", ".a.txt.4_5.part", ".b.txt.6.part", "a.txt", "a.part", ".a.txt.rc"):
        (tmp_path / name).write_bytes(b"x")
    files.sweep(tmp_path / "a.txt")
    assert names(tmp_path) == [".a.txt.rc", ".b.txt.6.part", "a.part", "a.txt"]
    files.sweep(tmp_path / "nowhere" / "a.txt")


def test_writing_removes_stale_partial_files_but_not_those_in_use(tmp_path):
    (tmp_path / ".a.txt.123.part").write_bytes(b"half")
    with files.atomic_write(tmp_path / "a.txt") as first:
        first.write(b"first")
        with files.atomic_write(tmp_path / "a.txt") as second:
            second.write(b"second")
        assert (tmp_path / "a.txt").read_bytes() == b"second"
        assert len(names(tmp_path)) == 2
    assert (tmp_path / "a.txt").read_bytes() == b"first"
    assert names(tmp_path) == ["a.txt"]


# One at a time.


def test_second_writer_of_a_folder_is_refused(tmp_path):
    with (
        locks.folder_lock(tmp_path, wait=False),
        pytest.raises(SertoolError, match="--wait"),
        locks.folder_lock(tmp_path, wait=False),
    ):
        pass
    with locks.folder_lock(tmp_path, wait=False):
        pass


def test_different_parts_may_share_a_folder_and_equal_parts_may_not(tmp_path):
    with locks.folder_lock(tmp_path, wait=False, part="1-of-2"), locks.folder_lock(tmp_path, wait=False, part="2-of-2"):
        for part in ("", "1-of-2"):
            with pytest.raises(SertoolError, match="at work"), locks.folder_lock(tmp_path, wait=False, part=part):
                pass


def test_waiting_run_continues_when_the_lock_is_released(tmp_path):
    order = []

    def second() -> None:
        with locks.folder_lock(tmp_path, wait=True):
            order.append("second")

    with locks.folder_lock(tmp_path, wait=False):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.3)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]


@posix
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_can_be_written_to(tmp_path, monkeypatch, number):
    import fcntl

    def none(*_: object) -> None:
        raise OSError(number, "none")

    monkeypatch.setattr(fcntl, "flock", none)
    with locks.folder_lock(tmp_path, wait=False):
        pass


# Trees and paths.


def test_folders_are_walked_in_sorted_order(tmp_path):
    for name in ("b/2.wav", "b/10.wav", "a.wav", "c.wav", "b/a/x.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in paths.walk(tmp_path, [])]
    assert found == ["a.wav", "c.wav", "b/10.wav", "b/2.wav", "b/a/x.wav"]


@posix
def test_symlink_loops_are_not_followed(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x.wav").touch()
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to("self")
    found = [path.name for path in paths.walk(tmp_path, [])]
    assert sorted(found) == ["self", "x.wav"]


def test_unreadable_root_is_an_error_and_unreadable_subfolder_is_reported(tmp_path, monkeypatch):
    (tmp_path / "shut").mkdir()
    (tmp_path / "x.wav").touch()
    scan = os.scandir

    def denied(folder: Path) -> object:
        if Path(folder).name in ("shut", "root"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", denied)
    failed: list[tuple[Path, str]] = []
    assert [path.name for path in paths.walk(tmp_path, failed)] == ["x.wav"]
    assert failed == [(tmp_path / "shut", "permission denied")]
    (tmp_path / "root").mkdir()
    with pytest.raises(SertoolError, match="permission denied"):
        list(paths.walk(tmp_path / "root", []))


@pytest.mark.parametrize("name", [b"a b", b"n\nl", b"100%", b"\xff\xfe%41", "\u2764\ufe0f".encode(), b"file:", b"#?"])
def test_any_path_survives_conversion_to_text_and_back(name):
    path = os.fsdecode(name)
    text = paths.path_text(path)
    assert paths.path_of(text) == path
    assert text.encode()


@posix
@posix
def test_utf_8_file_names_are_text_in_any_locale(tmp_path):
    (tmp_path / "é.flac").write_bytes(b"x")
    says = "import sys; from sertool.system.paths import path_text; print(ascii(path_text(sys.argv[1])))"
    settings = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", says, tmp_path / "é.flac"], env=settings, capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == ascii(str(tmp_path / "é.flac"))


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("a.wav", "a.wav"), ("link/a.wav", "link/a.wav"), ("x/../a.wav", "a.wav"), ("./x//a.wav", "x/a.wav"),
        ("link/../a.wav", "far/a.wav"), ("link/..", "far"), ("link/x/..", "link"), ("link/../link.wav", "far/link.wav"),
    ],
)  # fmt: skip
def test_path_with_two_dots_after_a_link_is_the_one_that_the_system_opens(tmp_path, monkeypatch, path, meant):
    monkeypatch.chdir(tmp_path.resolve())
    Path("far/away/x").mkdir(parents=True)
    Path("link").symlink_to("far/away")
    Path("far/link.wav").symlink_to("away")
    assert paths.absolute(path) == paths.absolute(Path(path)) == f"{Path.cwd()}/{meant}"


def test_missing_home_folder_error_names_the_variable_to_set(monkeypatch):
    for name in ("HOME", "SERTOOL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 9)
    with pytest.raises(SertoolError, match="set SERTOOL_CACHE"):
        files.cache_folder()
    monkeypatch.setenv("SERTOOL_CACHE", "/somewhere")
    assert files.cache_folder() == Path("/somewhere")


def test_sizes_and_lists_are_formatted_for_readers():
    assert [files.size(count) for count in (3, 1500, 2_000_000, 3e12)] == ["3 B", "1.5 kB", "2.0 MB", "3.0 TB"]
    assert files.listed(range(5), 3) == "0, 1, 2 and 2 more"
    assert files.listed(range(5000), 1) == "0 and 4,999 more"
    assert files.listed([1]) == "1"


def test_generated_file_names_are_plain_and_unique():
    assert paths.plain_names(["a b", "a-b", "a-b-2", "A/b#1"]) == ["a-b", "a-b-2", "a-b-2-2", "A-b#1"]
    assert paths.plain_names(["..", "?"]) == ["unnamed", "unnamed-2"]
    assert len(paths.plain_name("x" * 500)) == 120
