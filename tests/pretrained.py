"""Pretrained encoders made small, with random weights in a cache: a plugin of pytest's."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

SMALL = {"bands": 80, "width": 32, "heads": 2, "layers": 3}
SMALL_SSL = {
    "extractor_conv_layer_config": [(16, 10, 5), *[(16, 3, 2)] * 4, *[(16, 2, 2)] * 2], "encoder_embed_dim": 32,
    "encoder_num_layers": 3, "encoder_num_heads": 2, "encoder_ff_interm_features": 64, "encoder_pos_conv_groups": 4,
}  # fmt: skip
SSL = ("wav2vec2-base", "hubert-large", "wavlm-base-plus")  # each of another kind


@pytest.fixture(scope="module")
def small_encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The encoders of usual size made small, with a cache that has their weights; the cache."""
    from published import checkpoint, whisper_state

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
        _put_ssl(patch)
        weights.use_file(None)
        yield cache


def _put_ssl(patch: pytest.MonkeyPatch) -> None:
    import torchaudio
    from published import saved, ssl_state

    from sertool.encoders import ssl

    for model in SSL:
        bundle = ssl.bundle(model)
        small = replace(bundle, _params=bundle._params | SMALL_SSL)
        patch.setattr(torchaudio.pipelines, ssl.SIZES[model]["bundle"], small)
        patch.setitem(ssl.SIZES, model, ssl.SIZES[model] | {"width": 32, "layers": 3})
        ssl.published(model).place.write_bytes(saved(ssl_state(model)))
