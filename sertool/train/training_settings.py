"""The settings of training a network, whatever its input."""

from dataclasses import dataclass
from typing import Annotated, Literal


@dataclass(frozen=True)
class Settings:
    epochs: Annotated[int, "times over the training clips", 1, 100_000] = 30
    batch: Annotated[int, "clips in a batch", 1, 100_000] = 32
    optimizer: Annotated[Literal["adam", "adamw", "sgd"], "optimiser"] = "adamw"
    lr: Annotated[float, "learning rate", 0] = 1e-3
    weight_decay: Annotated[float, "weight decay", 0] = 0.0
    momentum: Annotated[float, "momentum of SGD", 0, 1] = 0.9
    schedule: Annotated[
        Literal["constant", "plateau", "cosine", "restarts", "one-cycle"],
        "how the learning rate changes: plateau by the dev figure or, without dev, by the loss in train",
    ] = "cosine"
    warmup: Annotated[int, "steps over which the learning rate rises from zero", 0, 100_000] = 0
    plateau_factor: Annotated[float, "factor of the rate on a plateau", 0, 1] = 0.5
    plateau_patience: Annotated[int, "epochs without improvement that make a plateau", 0, 100_000] = 10
    restart_epochs: Annotated[int, "epochs of the first cosine of restarts", 1, 100_000] = 10
    restart_factor: Annotated[int, "each cosine lasts this many times as long as the last", 1, 1000] = 2
    smoothing: Annotated[float, "label smoothing", 0, 1] = 0.0
    balance: Annotated[
        Literal["none", "weights", "sampling", "corpus", "corpus-emotion"],
        "even out emotions, by weights in the loss (weights) or by drawing clips (sampling); or corpora, or both, by "
        "drawing clips; classical models always use weights",
    ] = "none"
    absent_emotions: Annotated[
        Literal["mask", "count"],
        "for networks with several corpora: leave emotions that a clip's corpus lacks out of its loss, or count them",
    ] = "mask"
    clip: Annotated[float | None, "greatest norm of the gradient (0: any)", 0] = None
    clip_value: Annotated[float | None, "greatest value in the gradient (0: any)", 0] = None
    patience: Annotated[int | None, "stop after so many epochs without a better dev figure (0: never)", 0, 100_000] = (
        None
    )
    metric: Annotated[
        Literal["uar", "loss", "wa", "ccc"], "dev figure that chooses the epoch; with --dimensions ccc or loss"
    ] = "uar"
    keep: Annotated[Literal["best", "last"], "the epoch whose weights are kept"] = "best"
    ema: Annotated[float | None, "decay of the weights' moving average, which is what is evaluated and kept", 0, 1] = (
        None
    )
    mixup: Annotated[float | None, "alpha of mixup", 0, 1000] = None
    mixes: Annotated[Literal["rows", "summary"], "what mixup mixes: rows, or the network's embeddings of clips"] = (
        "rows"
    )
    soft: Annotated[
        float, "share of the listeners' votes in the targets, the rest being the intended emotion", 0, 1
    ] = 0.0
    teach: Annotated[float, "share of the teacher's answers in the targets", 0, 1] = 0.7
    likeness: Annotated[float, "weight of likeness to the imitated features in the loss", 0] = 1.0
    steady: Annotated[
        float,
        "consistency: share of the loss for giving a copy the outputs that the untrained encoder has for its clip",
        0,
        1,
    ] = 0.0
    strangers: Annotated[
        float,
        "with --adapt, share of the clips that are scaled as if their speaker were unknown; lda takes any value "
        "between 0 and 1 as 0.5",
        0,
        1,
    ] = 0.5
    time_masks: Annotated[int, "bars of time set to zero in each clip", 0, 1000] = 0
    time_width: Annotated[int, "greatest width of a time bar in rows", 0, 100_000] = 30
    column_masks: Annotated[int, "bars of columns set to zero in each clip", 0, 1000] = 0
    column_width: Annotated[int, "greatest width of a column bar", 0, 100_000] = 12
    mask_share: Annotated[float, "share of the clips that are masked so", 0, 1] = 1.0
    shift: Annotated[float, "greatest roll in time, as a share of the clip", 0, 1] = 0.0
    shift_share: Annotated[float, "share of the clips that are rolled so", 0, 1] = 1.0
    noise: Annotated[float, "standard deviation of Gaussian noise added to the rows", 0] = 0.0
    gain: Annotated[float, "greatest offset added to all columns of a clip", 0] = 0.0
    precision: Annotated[Literal["float32", "bf16"], "arithmetic of training"] = "float32"
    compile: Annotated[bool, "compile the network"] = False
