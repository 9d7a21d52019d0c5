"""A pytest plugin with pretrained encoders of random weights, in the layouts of OpenAI's and torchaudio's files.

They have the usual size, or are made small, with a cache that has their weights.
"""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchaudio

from sertool.encoders import ssl, whisper
from sertool.networks import weights

SMALL = {"bands": 80, "width": 32, "heads": 2, "layers": 3}
SMALL_SSL = {
    "extractor_conv_layer_config": [(16, 10, 5), *[(16, 3, 2)] * 4, *[(16, 2, 2)] * 2], "encoder_embed_dim": 32,
    "encoder_num_layers": 3, "encoder_num_heads": 2, "encoder_ff_interm_features": 64, "encoder_pos_conv_groups": 4,
}  # fmt: skip
SSL = ("wav2vec2-base", "hubert-large", "wavlm-base-plus")  # one of each kind


def whisper_state(seed: int = 0, size: str = "base") -> dict[str, torch.Tensor]:
    """Return random tensors under OpenAI's names, in float16 as published, with some of the decoder's."""
    rng = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in whisper.shapes(size, whisper.SIZES[size]["layers"]).items():
        spread = torch.randn(shape, generator=rng) * (shape[-1] * (shape[-1] if len(shape) == 3 else 1)) ** -0.5
        state[name] = (spread + ("ln.weight" in name)).half()
    extras = {"encoder.positional_embedding": (1500, 32), "encoder.ln_post.weight": (32,), "decoder.ln.weight": (32,)}
    return state | {name: torch.zeros(shape).half() for name, shape in extras.items()}


def checkpoint(state: dict[str, torch.Tensor]) -> bytes:
    """Return a file as OpenAI publishes it."""
    return saved({"dims": {"n_mels": 80, "n_audio_ctx": 1500}, "model_state_dict": state})


def saved(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def ssl_state(model: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Return random tensors under the names in torchaudio's files."""
    rng = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in ssl.shapes(model, ssl.SIZES[model]["layers"]).items():
        spread = torch.randn(shape, generator=rng) * (shape[-1] if len(shape) > 1 else 16) ** -0.5
        state[name] = spread + ("norm.weight" in name or "weight_g" in name)
    return state


@pytest.fixture(scope="module")
def small_encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make the encoders small, and yield a cache that has their weights."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERTOOL_CACHE", str(cache))
        patch.setitem(whisper.SIZES, "base", whisper.SIZES["base"] | SMALL)
        data = checkpoint(whisper_state())
        patch.setitem(whisper.SIZES["base"], "sha256", hashlib.sha256(data).hexdigest())
        place = whisper.published("base").place
        place.parent.mkdir()
        place.write_bytes(data)
        _put_ssl(patch)
        weights.use_file(None)
        yield cache


def _put_ssl(patch: pytest.MonkeyPatch) -> None:
    for model in SSL:
        bundle = ssl.bundle(model)
        small = replace(bundle, _params=bundle._params | SMALL_SSL)
        patch.setattr(torchaudio.pipelines, ssl.SIZES[model]["bundle"], small)
        patch.setitem(ssl.SIZES, model, ssl.SIZES[model] | {"width": 32, "layers": 3})
        ssl.published(model).place.write_bytes(saved(ssl_state(model)))
