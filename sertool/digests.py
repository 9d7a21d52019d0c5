"""Digests of sounds: equal for equal samples and never, in practice, for others; at the speed of memory.

SHA-1 of the samples would take as long as all else that is done to a clip. Nobody forges sounds here, so SHA-1 of sums
will do: the samples' bytes as 64-bit words x_i, each times an odd random weight of its place, modulo 2^64, twice over
with other weights. Two blocks that differ by d_i are confused if sum w_i d_i = 0 in both sums. The chance of that is
2^-128 for any one pair, or 2^-32 at worst, where no two words differ but in the last of the four samples they hold.
"""

import hashlib

import numpy as np

from sertool.codes import mix

SUMS = 2
_weights = np.zeros((SUMS, 0), np.uint64)


class Digest:
    """Of blocks of samples that follow one another; how they are cut into blocks is part of it."""

    def __init__(self, rate: int, channels: int) -> None:
        self.held = hashlib.sha1(b"%d %d" % (rate, channels), usedforsecurity=False)

    def add(self, block: np.ndarray) -> None:
        """`[frames]` or `[frames, channels]` of any type."""
        data = block.reshape(-1).view(np.uint8)
        words = data[: len(data) // 8 * 8].view("<u8")
        for weights in _first_weights(len(words)):
            self.held.update(int(np.dot(weights, words)).to_bytes(8, "little"))
        self.held.update(b"%d " % len(data) + data[len(words) * 8 :].tobytes())

    def text(self) -> str:
        """32 hexadecimal digits."""
        return self.held.hexdigest()[:32]


def _first_weights(count: int) -> np.ndarray:
    """Odd random numbers, `[2, count]`; made once for the longest block so far."""
    global _weights  # noqa: PLW0603 (a cache: whoever comes late makes the same again)
    held = _weights  # other threads may put shorter ones in its place
    if held.shape[1] < count:
        places = np.arange(1, SUMS * 2 * count + 1, dtype=np.uint64).reshape(-1, SUMS).T
        _weights = held = np.ascontiguousarray(mix(places * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1))
    return held[:, :count]
