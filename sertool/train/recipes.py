"""Training recipes by name: `sertool train --recipe cnn-transformer-a`.

Each names a network, its features (a preset of `sertool featurize`), its training settings and the protocol of its
published figure, leaky ones included. The command line takes precedence; `--split` in place of the protocol gives the
figure on new speakers.

Some publications chose the epoch on the test set, as for system A's Mamba nets and system B. Nothing here looks at
test: without dev clips all epochs are trained, and the last is kept. What a publication leaves open is named in `ours`:
single values, or all `settings` or `training`; a recipe without it is not from a publication. `emotions` are those
that it knew, where there are others in its corpora, and `copies` the `augment --recipe` of what it learnt from besides.
System D added copies of its clips that were shifted, masked, or both; here each epoch draws anew which of these a clip
is. System C says of one of its networks, and not of which, that SiLU took the place of ReLU.
"""

from typing import Any

SIX = ("neutral", "happy", "sad", "angry", "fear", "disgust")
CREMAD_DEEP = {"preset": "mel-min-max", "protocol": "random-80-20", "scale": "none", "ours": ()}
PLAIN = {"optimizer": "adam", "schedule": "constant", "batch": 32, "keep": "last"}
RECURRENT = {
    "preset": "clstm", "protocol": "random-92-8-leaky-copies", "scale": "corpus",
    "training": {"optimizer": "adam", "lr": 1e-3, "schedule": "plateau", "plateau_factor": 0.5, "plateau_patience": 10,
                 "clip_value": 0.5, "batch": 64, "epochs": 200, "metric": "wa", "absent_emotions": "count"},
    "ours": ("scale", "lr", "metric"), "emotions": SIX,
}  # fmt: skip
LAYERS_OURS = {"ours": ("settings", *RECURRENT["ours"])}
PATIENT = {"optimizer": "adam", "lr": 1e-3, "schedule": "plateau", "plateau_factor": 0.9, "plateau_patience": 20,
           "batch": 16, "epochs": 500, "patience": 100, "metric": "loss", "keep": "best"}  # fmt: skip
ALONG_COLUMNS = {"along": "columns", "channels": (128, 256, 512), "norm": "before", "dropout": 0.2, "dense": (64,)}
NET_OURS = ("settings", "scale", "training")
STATISTICS = {"preset": "classic-1d", "protocol": "random-70-30", "scale": "corpus", "ours": ("model", "scale")}
SPECTROGRAM = {"preset": "mel-30", "protocol": "random-70-30", "scale": "corpus", "training": PATIENT,
               "ours": ("scale", "epochs", "metric", "keep")}  # fmt: skip
IMAGENET = {
    "preset": "imagenet", "protocol": "random-60-20-20", "scale": "none",
    "training": {"optimizer": "sgd", "momentum": 0.0, "lr": 0.01, "schedule": "constant", "batch": 16,
                 "epochs": 100, "patience": 4, "metric": "loss", "keep": "best",
                 "shift": 0.4, "shift_share": 0.5, "time_masks": 2, "time_width": 30, "column_masks": 2,
                 "column_width": 12, "mask_share": 0.5, "absent_emotions": "count"},
    "ours": ("momentum", "epochs", "keep", "shift_share", "time_width", "column_width", "mask_share"),
}  # fmt: skip
ON_STATISTICS = {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.1, "schedule": "cosine", "batch": 64,
                 "epochs": 20, "smoothing": 0.1, "mixup": 0.4, "keep": "last"}  # fmt: skip

RECIPES: dict[str, dict[str, Any]] = {
    "cnn-a": CREMAD_DEEP | {
        "about": "CREMA-D deep models: residual CNN", "model": "cnn",
        "training": PLAIN | {"lr": 1e-3, "epochs": 10},
    },
    "cnn-mfcc-a": CREMAD_DEEP | {
        "about": "CREMA-D deep models, a later run: residual CNN on 128 MFCC", "model": "cnn",
        "settings": {"frames": 173}, "preset": "mfcc-128",  # its 4 s
        "training": PLAIN | {"lr": 1e-3, "epochs": 10}, "ours": ("settings", "training"),
    },
    "cnn-gru-a": CREMAD_DEEP | {
        "about": "CREMA-D deep models: CNN and bidirectional GRU", "model": "cnn-gru",
        "training": PLAIN | {"lr": 2.5e-4, "epochs": 15},
    },
    "cnn-transformer-a": CREMAD_DEEP | {
        "about": "CREMA-D deep models: CNN and transformer", "model": "cnn-transformer",
        "training": PLAIN | {"lr": 1e-4, "epochs": 20},
    },
    "resnet18-a": CREMAD_DEEP | {
        "about": "CREMA-D deep models: ResNet-18 from scratch", "model": "resnet18",
        "training": PLAIN | {"lr": 1e-3, "epochs": 10},
    },
    "mamba-a": CREMAD_DEEP | {
        "about": "CREMA-D deep models: two Mamba blocks", "model": "mamba",
        "training": {"optimizer": "adamw", "lr": 1e-4, "weight_decay": 0.0, "schedule": "constant", "batch": 32,
                     "epochs": 50, "clip": 1.0, "patience": 5, "metric": "wa", "keep": "best"},
        "ours": ("weight_decay", "epochs", "metric", "keep"),
    },
    "mamba-cnn-a": CREMAD_DEEP | {
        "about": "CREMA-D deep models: CNN and three Mamba blocks", "model": "mamba-cnn",
        "training": {"optimizer": "adamw", "lr": 5e-4, "weight_decay": 1e-2, "schedule": "restarts",
                     "restart_epochs": 10, "restart_factor": 2, "smoothing": 0.1, "clip": 1.0, "batch": 32,
                     "epochs": 70, "patience": 7, "metric": "wa", "keep": "best", "absent_emotions": "count"},
        "ours": ("epochs", "metric", "keep"), "emotions": SIX,
    },
    "clstm-b": RECURRENT | {
        "about": "seven corpora, six emotions, a copy of each clip: CNN and LSTM, the published winner",
        "model": "clstm",
    },
    "cnn1d-b": RECURRENT | LAYERS_OURS | {
        "about": "seven corpora, six emotions, a copy of each clip: the CNN (layers ours)", "model": "cnn1d",
    },
    "lstm-b": RECURRENT | LAYERS_OURS | {
        "about": "seven corpora, six emotions, a copy of each clip: the LSTM (layers ours)", "model": "lstm",
    },
    "bilstm-b": RECURRENT | LAYERS_OURS | {
        "about": "seven corpora, six emotions, a copy of each clip: the BiLSTM (layers ours)", "model": "bilstm",
    },
    "gru-b": RECURRENT | LAYERS_OURS | {
        "about": "seven corpora, six emotions, a copy of each clip: the GRU (layers ours)", "model": "gru",
    },
    "cnn1d-c": STATISTICS | {
        "about": "CREMA-D and SAVEE: 1D CNN on selected classic features (layers ours)", "model": "cnn1d",
        "settings": ALONG_COLUMNS, "select": 300, "training": PATIENT,
        "ours": ("select", *NET_OURS),
    },
    "cnn1d-lda-c": STATISTICS | {
        "about": "CREMA-D and SAVEE: 1D CNN on classic features after LDA (layers ours)", "model": "cnn1d",
        "settings": ALONG_COLUMNS, "reduce": "lda", "training": PATIENT,
        "ours": NET_OURS,
    },
    "lda-c": STATISTICS | {"about": "CREMA-D and SAVEE: linear discriminant on classic features", "model": "lda"},
    "svm-c": STATISTICS | {"about": "CREMA-D and SAVEE: support vectors on classic features", "model": "svm"},
    "logistic-c": STATISTICS | {"about": "CREMA-D and SAVEE: regression on classic features", "model": "logistic"},
    "forest-c": STATISTICS | {"about": "CREMA-D and SAVEE: random forest on classic features", "model": "forest"},
    "cnn2d-c": SPECTROGRAM | {"about": "CREMA-D and SAVEE: 2D CNN on 30 mels", "model": "cnn2d"},
    "cnn2d-silu-c": SPECTROGRAM | {
        "about": "CREMA-D and SAVEE: 2D CNN with SiLU on 30 mels", "model": "cnn2d", "settings": {"activation": "silu"},
        "ours": ("activation", *SPECTROGRAM["ours"]),
    },
    "msf-cnn-c": {
        "about": "CREMA-D and SAVEE: 1D CNN on modulation spectra and MFCC", "model": "msf-cnn", "preset": "msf-mfcc",
        "protocol": "random-70-30", "scale": "corpus", "training": PATIENT, "ours": NET_OURS,
    },
    "msf-cnn-silu-c": {
        "about": "CREMA-D and SAVEE: 1D CNN with SiLU on modulation spectra and MFCC", "model": "msf-cnn",
        "settings": {"activation": "silu"}, "preset": "msf-mfcc", "protocol": "random-70-30", "scale": "corpus",
        "training": PATIENT, "ours": NET_OURS,
    },
    "densenet161-d": IMAGENET | {"about": "five corpora: DenseNet-161 from ImageNet", "model": "densenet161"},
    "resnet50-d": IMAGENET | {"about": "five corpora: ResNet-50 from ImageNet", "model": "resnet50"},
    "resnext50-d": IMAGENET | {"about": "five corpora: ResNeXt-50 from ImageNet", "model": "resnext50"},
    "acnt-e": {
        "about": "RAVDESS: residual CNN and transformer", "model": "acnt", "preset": "acnt", "copies": "acnt",
        "protocol": "random-70-15-15", "scale": "corpus",
        "training": {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 1e-2, "schedule": "plateau",
                     "plateau_factor": 0.5, "plateau_patience": 10, "smoothing": 0.1, "batch": 32, "epochs": 100,
                     "patience": 15, "metric": "uar", "keep": "best", "time_masks": 1, "time_width": 30,
                     "column_masks": 1, "column_width": 8, "shift": 0.1, "gain": 0.5, "noise": 0.1},
        "ours": ("feedforward", "scale", "lr", "weight_decay", "plateau_factor", "plateau_patience", "batch", "epochs",
                 "patience", "metric", "keep", "time_masks", "time_width", "column_masks", "column_width", "shift",
                 "gain", "noise"),
    },
    "whisper-probe": {
        "about": "Whisper base, frozen: regression on statistics of all layers", "model": "probe",
        "preset": "whisper-stats", "scale": "corpus", "protocol": "speaker:70/15/15",
    },
    "whisper-mlp": {
        "about": "Whisper base, frozen: dense layers on statistics of all layers", "model": "mlp",
        "preset": "whisper-stats", "scale": "corpus", "protocol": "speaker:70/15/15",
        "training": ON_STATISTICS,
    },
    "base": {
        "about": "emotions of your own on the features of the package's `base`: nothing is fetched", "model": "mlp",
        "settings": {"networks": 3}, "preset": "base", "scale": "corpus", "protocol": "speaker:70/15/15",
        "training": ON_STATISTICS,
    },
    "whisper-tuned": {
        "about": "Whisper base, its blocks 3 and 4 trained on", "model": "whisper", "preset": "whisper-2",
        "scale": "none", "protocol": "speaker:70/15/15",
        "training": {"optimizer": "adamw", "lr": 5e-4, "weight_decay": 0.01, "schedule": "cosine", "warmup": 60,
                     "batch": 32, "epochs": 6, "clip": 1.0, "smoothing": 0.1, "mixup": 0.4, "mixes": "summary",
                     "ema": 0.998, "time_masks": 2, "time_width": 20, "keep": "last", "precision": "bf16"},
    },
    "whisper-steady": {
        "about": "Whisper base, four blocks trained without labels to give copies the features of their clips",
        "model": "whisper", "settings": {"tune": 4}, "preset": "whisper-0", "scale": "none",
        "protocol": "speaker:70/15/15",
        "training": {"optimizer": "adamw", "lr": 5e-4, "schedule": "cosine", "warmup": 60, "batch": 16, "epochs": 2,
                     "clip": 1.0, "steady": 1.0, "keep": "last", "precision": "bf16"},
    },
    "sertool": {
        "about": "our own log-mel network, from scratch; of copies by `augment --recipe sertool` in --epochs 8",
        "model": "sertool", "preset": "mel-64", "scale": "corpus", "protocol": "speaker:70/15/15",
        "training": {"optimizer": "adamw", "lr": 7e-4, "weight_decay": 0.05, "schedule": "cosine", "warmup": 200,
                     "batch": 32, "epochs": 24, "smoothing": 0.1, "mixup": 0.3, "ema": 0.998, "clip": 1.0,
                     "time_masks": 2, "time_width": 30, "column_masks": 2, "column_width": 12, "gain": 0.3,
                     "keep": "last", "precision": "bf16"},
    },
}  # fmt: skip

USUAL = {"whisper": "whisper-tuned", "sertool": "sertool"}  # the default recipe of a model
