"""What several test files share."""

from pathlib import Path

import pytest

from sertool import audio, synth


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three speakers, three emotions, two sentences: `s01f/angry_0_0.wav`. Read only."""
    folder = tmp_path_factory.mktemp("voices") / "voices"
    synth.corpus(folder, speakers=3, emotions=("neutral", "happy", "angry"), sentences=2, write=audio.write)
    return folder
