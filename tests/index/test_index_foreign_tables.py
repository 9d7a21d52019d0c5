"""index reads tables that others made."""

import pytest
from indexing import table
from running import sertool


@pytest.mark.parametrize("labels", ["perceived", "soft"])
def test_no_emotion_is_missed_where_listeners_votes_say_it(make, labels):
    folder = make("x/1.wav", "x/2.wav", "x/3.wav")
    text = "path,votes_voice_sad,votes_voice_angry\n1.wav,3,1\n2.wav,0,4\n"
    a = table(folder, "a.csv", text)
    done = sertool("index", folder / "x", "--table", a, "--labels", labels, "-f", "jsonl")
    assert "no emotion is known" not in done.err
    assert "no emotion is known of 2 of 2 clips" in sertool("index", folder / "x", "--table", a, "-f", "jsonl").err
    a = table(folder, "a.csv", f"{text}3.wav,0,0\n")
    done = sertool("index", folder / "x", "--table", a, "--labels", labels, "-f", "jsonl")
    assert "no emotion is known of 1 of 3 clips, such as x/3" in done.err
