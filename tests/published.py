"""Random weights in the layouts of OpenAI's and torchaudio's files, of encoders as large as they are now."""

import io

import torch

from sertool.encoders import ssl, whisper


def whisper_state(seed: int = 0, size: str = "base") -> dict[str, torch.Tensor]:
    """Random tensors under OpenAI's names, in float16 as there, with some of the decoder's."""
    rng = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in whisper.shapes(size, whisper.SIZES[size]["layers"]).items():
        spread = torch.randn(shape, generator=rng) * (shape[-1] * (shape[-1] if len(shape) == 3 else 1)) ** -0.5
        state[name] = (spread + ("ln.weight" in name)).half()
    extras = {"encoder.positional_embedding": (1500, 32), "encoder.ln_post.weight": (32,), "decoder.ln.weight": (32,)}
    return state | {name: torch.zeros(shape).half() for name, shape in extras.items()}


def checkpoint(state: dict[str, torch.Tensor]) -> bytes:
    """A file as OpenAI publishes it."""
    return saved({"dims": {"n_mels": 80, "n_audio_ctx": 1500}, "model_state_dict": state})


def saved(held: object) -> bytes:
    made = io.BytesIO()
    torch.save(held, made)
    return made.getvalue()


def ssl_state(model: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random tensors under the names that torchaudio's files have."""
    rng = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in ssl.shapes(model, ssl.SIZES[model]["layers"]).items():
        spread = torch.randn(shape, generator=rng) * (shape[-1] if len(shape) > 1 else 16) ** -0.5
        state[name] = spread + ("norm.weight" in name or "weight_g" in name)
    return state
