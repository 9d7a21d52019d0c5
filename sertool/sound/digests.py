"""Digests of audio: equal for equal samples, and practically never for different ones; at the speed of memory.

Samples are reduced to the smallest form that holds them: 16 bits in place of floats if all values are multiples of
2^-15, and one channel if all channels are equal. Whether that holds is known only at the end, so every form that has
held so far has its own sums.

SHA-1 of the samples would take as long as all other work on a clip. As nobody forges audio here, SHA-1 of sums
suffices: the samples' bytes as 64-bit words x_i, each times an odd random weight of its position, modulo 2^64, twice
with different weights. Two blocks that differ by d_i collide if sum w_i d_i = 0 in both sums. The probability is 2^-128
for any one pair, or 2^-32 at worst, if all differing words differ only in the last of the four samples they hold.
"""

import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from sertool.numeric.codes import mix

SUMS = 2
PIECE_VALUES = 1 << 20
FEW_VALUES = 64
STEPS = np.float32(32768)  # 16-bit steps in full scale
Form = tuple[int, int]  # channels, and bytes per sample; the smallest is preferred
LEAST = (1, 2)
NOTHING = np.zeros(0, np.uint8)
_weights = np.zeros((SUMS, 0), np.uint64)


class Digest:
    """The digest of consecutive blocks of samples, however they are cut."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.sums: dict[Form, _FormDigest] | None = None

    def add(self, block: np.ndarray) -> None:
        """Add `[frames]` or `[frames, channels]`, int16 or float32."""
        forms = {LEAST: block} if block.ndim == 1 and block.dtype == np.int16 else dict(_forms(block))
        if self.sums is None:
            self.sums = {form: _FormDigest(self.rate, form) for form in forms}
        self.sums = {form: sums for form, sums in self.sums.items() if form in forms}
        for form, sums in self.sums.items():
            sums.add(np.ascontiguousarray(forms[form]).reshape(-1).view(np.uint8))

    def text(self) -> str:
        """Return the digest as 32 hexadecimal digits, empty without samples."""
        return self.sums[min(self.sums)].text() if self.sums else ""


def _forms(block: np.ndarray) -> Iterator[tuple[Form, np.ndarray]]:
    """Yield the forms that hold a block without loss, each with the converted samples."""
    samples = block if block.ndim == 2 else block[:, None]
    equal = samples.shape[1] == 1 or _all(samples, lambda part: part == part[:, :1])
    for channels in {1 if equal else samples.shape[1], samples.shape[1]}:
        values = samples[:, :channels]
        if block.dtype != np.int16:
            yield (channels, 4), values
        if block.dtype == np.int16 or _all(values, lambda part: _in_16_bits(part) == part * STEPS):
            yield (channels, 2), _in_16_bits(values)


def _all(values: np.ndarray, applies: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Whether a predicate holds for all values; a few are tested first, as most counterexamples show there."""
    with np.errstate(over="ignore", invalid="ignore"):
        return all(applies(part).all() for part in (values[:: len(values) // FEW_VALUES + 1], values))


def _in_16_bits(values: np.ndarray) -> np.ndarray:
    return values if values.dtype == np.int16 else (values * STEPS).astype(np.int16)


class _FormDigest:
    """Weighted sums of the bytes of one form; SHA-1 takes each piece's sums, its length and its odd last bytes."""

    def __init__(self, rate: int, form: Form) -> None:
        channels, size = form
        self.held = hashlib.sha1(b"%d %d" % (rate, channels), usedforsecurity=False)
        self.piece = max(1, PIECE_VALUES // channels) * channels * size
        self._begin()

    def _begin(self) -> None:
        self.sums, self.length, self.odd = [0] * SUMS, 0, NOTHING

    def add(self, data: np.ndarray) -> None:
        while len(data):
            left = self.piece - self.length
            self._sum(data[:left])
            data = data[left:]
            if self.length == self.piece:
                self._end()

    def _sum(self, data: np.ndarray) -> None:
        begun, self.length = self.length // 8, self.length + len(data)
        data = np.concatenate([self.odd, data]) if len(self.odd) else data
        words = data[: len(data) // 8 * 8].view("<u8")
        weights = _first_weights(begun + len(words))[:, begun:]
        self.sums = [sum_ + int(np.dot(row, words)) for sum_, row in zip(self.sums, weights, strict=True)]
        self.odd = data[len(words) * 8 :]

    def _end(self) -> None:
        for total in self.sums:
            self.held.update((total % 2**64).to_bytes(8, "little"))
        self.held.update(b"%d " % self.length + self.odd.tobytes())
        self._begin()

    def text(self) -> str:
        if self.length:
            self._end()
        return self.held.hexdigest()[:32]


def _first_weights(count: int) -> np.ndarray:
    """Return odd pseudo-random numbers, `[2, count]`, cached for the longest block so far."""
    global _weights  # noqa: PLW0603 (a cache: concurrent threads make the same)
    longest = _weights  # other threads may replace it by shorter ones
    if longest.shape[1] < count:
        places = np.arange(1, SUMS * 2 * count + 1, dtype=np.uint64).reshape(-1, SUMS).T
        _weights = longest = np.ascontiguousarray(mix(places * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1))
    return longest[:, :count]
