"""Feature settings of published systems, by name: `sertool featurize --preset imagenet`.

Each is a list of features and of options as on the command line, which take precedence if given there. `ours` names the
options that a publication leaves open; a preset without it is not from a publication.
"""

from typing import Any

MEL_128 = {"rate": 16000, "n_fft": 2048, "hop": 512, "mel_bands": 128, "mel_scale": "db"}

PRESETS: dict[str, dict[str, Any]] = {
    "mel-min-max": {
        "about": "CREMA-D deep models: 128 log-mels, DC removed, each clip scaled to 0..1",
        "features": ["mel"],
        "options": MEL_128 | {"remove_dc": True, "normalize": ("min-max",)},
        "ours": (),
    },
    "mfcc-128": {
        "about": "CREMA-D CNN: 128 MFCC at 22.05 kHz, 4 s, each clip z-scored",
        "features": ["mfcc"],
        "options": {"rate": 22050, "seconds": 4.0, "n_fft": 2048, "hop": 512, "mfcc_count": 128, "mfcc_bands": 128,
                    "normalize": ("z-score",)},
        "ours": ("n_fft", "hop", "mfcc_bands"),
    },
    "clstm": {
        "about": "seven corpora: ZCR, RMS and 20 MFCC of 25 ms every 10 ms, trimmed at 25 dB, 4 s",
        "features": ["zcr", "rms", "mfcc"],
        "options": {"rate": 16000, "trim": 25.0, "seconds": 4.0, "n_fft": 400, "hop": 160, "mfcc_count": 20},
        "ours": (),
    },
    "classic-1d": {
        "about": "CREMA-D and SAVEE: ten classic features and 100 MFCC, as means over the clip",
        "features": ["mfcc", "mel", "zcr", "rms", "chroma", "bandwidth", "rolloff", "contrast", "flatness", "tonnetz"],
        "options": {"rate": 16000, "mfcc_count": 100, "stats": ("mean",)},
        "ours": ("rate", "stats"),
    },
    "mel-30": {
        "about": "CREMA-D and SAVEE: 30 log-mels of 2.5 s from 0.5 s, for 2D convolutional nets",
        "features": ["mel"],
        "options": {"rate": 16000, "offset": 0.5, "seconds": 2.5, "n_fft": 2048, "hop": 512, "mel_bands": 30},
        "ours": ("rate", "n_fft"),
    },
    "msf-mfcc": {
        "about": "SAVEE and CREMA-D: modulation spectra and MFCC, as means and deviations",
        "features": ["msf", "mfcc"],
        "options": {"rate": 16000, "mfcc_count": 20, "stats": ("mean", "std")},
        "ours": ("rate", "mfcc_count"),
    },
    "imagenet": {
        "about": "five corpora: 128 log-mels of 5 s in two channels, min-max then z-score",
        "features": ["mel"],
        "options": MEL_128 | {"channels": "stereo", "seconds": 5.0, "normalize": ("min-max", "z-score")},
        "ours": ("mel_scale",),
    },
    "acnt": {
        "about": "RAVDESS: 40 log-mels at 22.05 kHz, 174 frames",
        "features": ["mel"],
        "options": {"rate": 22050, "seconds": 4.02, "n_fft": 2048, "hop": 512, "mel_bands": 40, "mel_scale": "log"},
        "ours": (),
    },
    "mel-64": {
        "about": "sertool's own net: 64 log-mels (50 to 8,000 Hz) of 25 ms every 10 ms",
        "features": ["mel"],
        "options": {"rate": 16000, "n_fft": 512, "win_length": 400, "hop": 160, "mel_bands": 64, "mel_fmin": 50.0,
                    "mel_fmax": 8000.0, "mel_scale": "log"},
    },
    "whisper-stats": {
        "about": "pretrained Whisper base: mean and deviation over time of all seven layers, silent ends left out",
        "features": ["whisper"],
        "options": {"want_whisper": "base", "layers": "all", "stats": ("mean", "std"), "trim": 40.0},
    },
    "base": {
        "about": "features of the package's model `base`: Whisper base, layers 0 to 4, trained to be robust to noise",
        "features": ["whisper"],
        "options": {"want_whisper": "base", "layers": "0-4", "stats": ("mean", "std"), "trim": 40.0,
                    "weights": "base", "precision": "int8", "whisper_whole": 5.0, "whisper_piece": 3.0},
    },
    "whisper-0": {
        "about": "pretrained Whisper base: frames of layer 0, for all blocks to train on",
        "features": ["whisper"],
        "options": {"want_whisper": "base", "layers": "0"},
    },
    "whisper-2": {
        "about": "pretrained Whisper base: frames of layer 2 without silent ends, for the blocks behind it to train on",
        "features": ["whisper"],
        "options": {"want_whisper": "base", "layers": "2", "trim": 40.0},
    },
}  # fmt: skip
