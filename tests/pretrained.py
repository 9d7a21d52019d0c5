"""Pretrained encoders in the publishers' own layout, but small and with random weights: a plugin of pytest's."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

SMALL = {"bands": 80, "width": 32, "heads": 2, "layers": 3}


def whisper_state(seed: int = 0, size: str = "base") -> dict[str, torch.Tensor]:
    """Random tensors under OpenAI's names, in float16 as there, with some of the decoder's."""
    from sertool.encoders import whisper

    dice = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in whisper.shapes(size, whisper.SIZES[size]["layers"]).items():
        spread = torch.randn(shape, generator=dice) * (shape[-1] * (shape[-1] if len(shape) == 3 else 1)) ** -0.5
        state[name] = (spread + ("ln.weight" in name)).half()
    extras = {"encoder.positional_embedding": (1500, 32), "encoder.ln_post.weight": (32,), "decoder.ln.weight": (32,)}
    return state | {name: torch.zeros(shape).half() for name, shape in extras.items()}


def checkpoint(state: dict[str, torch.Tensor]) -> bytes:
    """A file as OpenAI publishes it."""
    made = io.BytesIO()
    torch.save({"dims": {"n_mels": 80, "n_audio_ctx": 1500}, "model_state_dict": state}, made)
    return made.getvalue()


@pytest.fixture(scope="module")
def small_encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The encoders of usual size made small, with a cache that has their weights; the cache."""
    from sertool import weights
    from sertool.encoders import whisper

    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERTOOL_CACHE", str(cache))
        patch.setitem(whisper.SIZES, "base", whisper.SIZES["base"] | SMALL)
        held = checkpoint(whisper_state())
        patch.setitem(whisper.SIZES["base"], "sha256", hashlib.sha256(held).hexdigest())
        place = whisper.published("base").place
        place.parent.mkdir()
        place.write_bytes(held)
        weights.give(None)
        yield cache
