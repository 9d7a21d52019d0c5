"""Feature settings of published systems, by name: `sertool featurize --preset crema-2d`.

Each is a list of features and of options as they stand on the command line; what is given there too wins.
"""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # Log-mel with power in dB and each clip scaled to 0..1, as the CREMA-D deep models take it.
    "mel-min-max": {
        "about": "128 log-mels at 16 kHz, per-clip min-max, DC removed",
        "features": ["mel"],
        "options": {"rate": 16000, "remove_dc": True, "normalize": ("min-max",),
                    "mel_bands": 128, "mel_n_fft": 2048, "mel_hop": 512, "mel_scale": "db"},
    },
    "clstm": {
        "about": "ZCR, RMS and 20 MFCC of 25 ms frames; trimmed at 25 dB, 4 s",
        "features": ["zcr", "rms", "mfcc"],
        "options": {"rate": 16000, "trim": 25.0, "seconds": 4.0, "n_fft": 400, "hop": 160, "mfcc_count": 20},
    },
    "classic-1d": {
        "about": "classic features, for selection or LDA, as clip statistics",
        "features": ["mfcc", "mel", "zcr", "rms", "chroma", "bandwidth", "rolloff", "contrast", "flatness", "tonnetz"],
        "options": {"rate": 16000, "mfcc_count": 100, "stats": ("mean",)},
    },
    "mel-30": {
        "about": "30 log-mels of 2.5 s from 0.5 s, for the 2D convolutional nets",
        "features": ["mel"],
        "options": {"rate": 16000, "offset": 0.5, "seconds": 2.5, "mel_bands": 30, "mel_hop": 512},
    },
    "msf-mfcc": {
        "about": "modulation spectral features with MFCC, their mean and deviation",
        "features": ["msf", "mfcc"],
        "options": {"rate": 16000, "mfcc_count": 20, "stats": ("mean", "std")},
    },
    "imagenet": {
        "about": "128 log-mels of 5 s in two channels, min-max then z-score",
        "features": ["mel"],
        "options": {"rate": 16000, "channels": "stereo", "seconds": 5.0, "normalize": ("min-max", "z-score"),
                    "mel_bands": 128, "mel_n_fft": 2048, "mel_hop": 512},
    },
    "acnt": {
        "about": "40 log-mels at 22.05 kHz, 174 frames",
        "features": ["mel"],
        "options": {"rate": 22050, "seconds": 4.0176,
                    "mel_scale": "log", "mel_bands": 40, "mel_n_fft": 2048, "mel_hop": 512},
    },
}  # fmt: skip
