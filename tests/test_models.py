"""Every file of `models/` keeps the same contract; each published architecture has the layers that were published."""

import copy
import warnings
from dataclasses import replace
from functools import cache
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sertool import catalogue, imagenet, models
from sertool.errors import SertoolError, UsageError
from sertool.manifests.answer_kinds import Emotions
from sertool.networks import classical, layers, norm_folding, norms
from sertool.networks.padding import real_frames

CLASSIFIERS, REGRESSORS = ("lda", "svm", "logistic", "forest", "probe"), ("ridge", "svr")
CLASSICAL = CLASSIFIERS + REGRESSORS
BACKBONES = ("densenet161", "resnet50", "resnext50")
EVERY = [pytest.param(name, marks=pytest.mark.slow if name in BACKBONES else ()) for name in catalogue.names("models")]
NETWORKS = [each for each in EVERY if each.values[0] not in CLASSICAL]
STATISTICS = (*CLASSICAL, "msf-cnn")
LAYERED = ("mlp", "attentive", "whisper")  # whose columns are those of an encoder's layers, side by side


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """What is this small is slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def made(name: str, classes: int = 6, columns: int | None = None, **settings: object) -> nn.Module:
    return copy.deepcopy(_made(name, classes, columns, **settings))  # faster than drawing its weights again


@cache
def _made(name: str, classes: int, columns: int | None, **settings: object) -> nn.Module:
    module = models.load(name)
    torch.manual_seed(0)
    model = module.Model(replace(module.Settings(), **settings), columns or width(module), classes)
    if hasattr(model, "fit"):
        x, y = statistics(columns or width(module), classes)
        model.fit(x, ratings(y, classes) if name in REGRESSORS else y, None, 0)
    return model.eval()


def width(module: ModuleType) -> int:
    return sum(module.INPUT.values())


def statistics(columns: int, classes: int, clips: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Rows that tell the classes apart, though not without fail, on scales of their own."""
    draw = np.random.default_rng(0)
    y = np.arange(clips) % classes
    x = draw.normal(size=(classes, columns))[y] * 0.3 + draw.normal(size=(clips, columns))
    return (x * draw.uniform(0.1, 30, columns) + draw.normal(size=columns)).astype(np.float32), y


def ratings(y: np.ndarray, dimensions: int) -> np.ndarray:
    """Of each clip on each dimension, whether it is of that class; some are unknown."""
    known = (y[:, None] == np.arange(dimensions)).astype(float)
    known[::7, 0] = np.nan
    return known


def batch(columns: int, *lengths: int, behind: float = 0.0) -> tuple[Tensor, Tensor]:
    """Random clips in one batch, and what lies behind them."""
    rows = torch.full((len(lengths), max(lengths), columns), behind)
    draw = torch.Generator().manual_seed(1)
    for place, length in enumerate(lengths):
        rows[place, :length] = torch.randn(length, columns, generator=draw)
    return rows, torch.tensor(lengths)


def one_by_one(model: nn.Module, rows: Tensor, lengths: Tensor) -> Tensor:
    return torch.cat([model(rows[at : at + 1, :length], lengths[at : at + 1]) for at, length in enumerate(lengths)])


# --- what every file keeps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", catalogue.names("models"))
def test_model_facts_are_readable_without_importing_the_model(name):
    entry = catalogue.read(catalogue.PACKAGE / "models" / f"{name.replace('-', '_')}.py")
    assert entry.title
    assert isinstance(entry.facts["ORIGIN"], str)
    assert isinstance(entry.facts["PARAMETERS"], int)
    assert all(isinstance(columns, int) for columns in entry.facts["INPUT"].values())
    assert all(setting.help for setting in entry.settings)


def test_unknown_model_name_is_refused_with_the_choices():
    with pytest.raises(UsageError, match=r"no model cnn3.*cnn-gru"):
        models.load("cnn3")


@pytest.mark.parametrize("name", EVERY)
@torch.no_grad()
def test_clip_gets_the_same_answer_alone_and_in_a_batch(name):
    model = made(name)
    columns = width(models.load(name))
    rows, lengths = batch(columns, 61, 7, 1, 101, 2)
    together = model(rows, lengths)
    assert together.shape == (5, 6)
    assert together.isfinite().all()
    limit = 1e-5 * max(1.0, float(together.abs().max()))
    assert (together - one_by_one(model, rows, lengths)).abs().max() < limit
    noisy, _ = batch(columns, 61, 7, 1, 101, 2, behind=torch.nan)
    assert (together - model(noisy.flip(0), lengths.flip(0)).flip(0)).abs().max() < limit
    assert (together[1] - together[0]).abs().max() > 1e-6


@pytest.mark.gpu
@pytest.mark.parametrize("name", catalogue.names("models"))
@torch.no_grad()
def test_gpu_answers_match_the_cpu_alone_and_in_a_batch(name, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # else convolutions round to 10 bits
    model = made(name)
    columns = width(models.load(name))
    rows, lengths = batch(columns, 61, 7, 1, 200, 2, 161)
    elsewhere = model(rows, lengths)
    noisy, _ = batch(columns, 61, 7, 1, 200, 2, 161, behind=torch.nan)
    limit = 1e-3 * max(1.0, float(elsewhere.abs().max()))
    model.cuda()
    together = model(rows.cuda(), lengths)
    assert together.is_cuda
    assert (together.cpu() - elsewhere).abs().max() < limit
    assert (together - one_by_one(model, rows.cuda(), lengths)).abs().max() < limit
    assert (together - model(noisy.cuda(), lengths)).abs().max() < limit


@pytest.mark.gpu
@pytest.mark.parametrize("name", [name for name in catalogue.names("models") if name not in CLASSICAL])
def test_network_gradients_are_finite_on_a_gpu(name):
    fields = models.load(name).Settings.__dataclass_fields__
    model = made(name, **({"frames": 32} if "frames" in fields else {})).train().cuda()
    rows, lengths = batch(width(models.load(name)), 30, 12, 1, 25)
    F.cross_entropy(model(rows.cuda(), lengths), torch.arange(4).cuda()).backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in model.parameters())


@pytest.mark.parametrize("name", EVERY)
@torch.no_grad()
def test_empty_batch_gives_no_answers(name):
    columns = width(models.load(name))
    assert made(name)(torch.zeros(0, 40, columns), torch.zeros(0, dtype=torch.long)).shape == (0, 6)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_folding_norms_for_inference_preserves_the_answers(name, precision):
    model, draw = made(name), torch.Generator().manual_seed(2)
    for norm in (each for each in model.modules() if isinstance(each, norm_folding.NORMS)):
        for part, low in ((norm.weight, 0.5), (norm.bias, -0.5), (norm.running_mean, -0.5), (norm.running_var, 0.5)):
            part.uniform_(low, low + 1, generator=draw)
    rows, lengths = batch(width(models.load(name)), 31, 7)
    exact = model(rows, lengths)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        before, after = (answers(rows, lengths).float() for answers in (model, norm_folding.folded(model, precision)))
    assert (after - exact).abs().max() <= 2 * (before - exact).abs().max() + 1e-4 * exact.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
@torch.no_grad()
def test_three_minute_clip_gets_a_finite_answer(name):
    rows, lengths = batch(width(models.load(name)), 6000)
    assert made(name)(rows, lengths).isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_and_its_gradients_are_finite(name):
    fields = models.load(name).Settings.__dataclass_fields__
    model = made(name, classes=2, **({"frames": 32} if "frames" in fields else {})).train()
    columns = width(models.load(name))
    lengths = torch.tensor([18, 12, 1, 15, 16, 18])
    labels = torch.arange(6) % 2
    rows = torch.randn(6, 18, columns) * 0.1 + torch.where(labels == 1, 1.0, -1.0)[:, None, None]
    rows = layers.cleared(rows, lengths)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    while len(losses) < 40 and min(losses, default=1.0) >= 0.7 * max(losses[:1], default=0.0):
        loss = F.cross_entropy(model(rows, lengths), labels)
        optimiser.zero_grad()
        loss.backward()
        assert all(each.grad.isfinite().all() for each in model.parameters())
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_seed_determines_the_initial_weights(name):
    module, first = models.load(name), made(name).state_dict()
    torch.manual_seed(0)
    again = module.Model(module.Settings(), width(module), 6).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    torch.manual_seed(1)
    other = module.Model(module.Settings(), width(module), 6).state_dict()
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_head_of_the_embeddings_equals_the_forward_pass(name):
    model = made(name)
    rows, lengths = batch(width(models.load(name)), 40, 9)
    vectors = model.embed(rows, lengths)
    assert vectors.dim() == 2
    torch.testing.assert_close(model.head(vectors), model(rows, lengths))


@pytest.mark.parametrize("name", EVERY)
@torch.no_grad()
def test_state_dict_fully_restores_a_fresh_model(name):
    model, module = made(name), models.load(name)
    fresh = module.Model(module.Settings(), width(module), 6).eval()
    fresh.load_state_dict(model.state_dict())
    rows, lengths = batch(width(module), 20, 3)
    assert torch.equal(fresh(rows, lengths), model(rows, lengths))


@pytest.mark.parametrize("name", NETWORKS)
def test_network_can_be_built_on_the_meta_device(name):
    module = models.load(name)
    with torch.device("meta"):
        planned = module.Model(module.Settings(), width(module), 6).state_dict()
    state = made(name).state_dict()
    assert {key: each.shape for key, each in planned.items()} == {key: each.shape for key, each in state.items()}
    assert all(each.is_meta for each in planned.values())


@pytest.mark.parametrize("name", catalogue.names("models"))
def test_settings_have_limits_that_admit_the_defaults(name):
    usual = models.settings(name, {})
    assert models.settings(name, vars(usual)) == usual
    for setting in catalogue.entries("models")[name].settings:
        if setting.kind in ("int", "float", "tuple[int, ...]"):
            assert setting.low is not None
            assert setting.high is not None
            with pytest.raises(UsageError, match=f"{name}: {setting.name} cannot be"):
                models.settings(name, {setting.name: 10**9})


@pytest.mark.parametrize("name", EVERY)
def test_single_frame_batch_is_accepted_in_training_mode(name):
    model = made(name).train()
    rows, lengths = batch(width(models.load(name)), 1)
    assert model(rows, lengths).isfinite().all()


ODD = [
    pytest.param(name, setting.name, value, marks=pytest.mark.slow if name in BACKBONES else ())
    for name in catalogue.names("models")
    if name not in CLASSICAL
    for setting in catalogue.entries("models")[name].settings
    for value in {"int": (1, 3), "tuple[int, ...]": ((1,), (2, 1), (1,) * catalogue.LONGEST)}.get(setting.kind, ())
]


@pytest.mark.parametrize(("name", "setting", "value"), ODD)
def test_every_allowed_setting_works_or_is_refused_at_construction(name, setting, value, monkeypatch):
    for draw in ("kaiming_uniform_", "kaiming_normal_", "uniform_"):  # which takes most of the time
        monkeypatch.setattr(nn.init, draw, lambda tensor, *_, **__: nn.init.constant_(tensor, 0.01))
    module = models.load(name)
    scratch = {"pretrained": False} if hasattr(module.Settings, "pretrained") else {}
    try:
        model = module.Model(models.settings(name, {setting: value} | scratch), width(module), 6)
    except SertoolError:
        return
    for frames in (1, 25):
        rows, lengths = batch(width(module), frames)
        assert model.train()(rows, lengths).isfinite().all()
        assert model.eval()(rows, lengths).isfinite().all()


@pytest.mark.parametrize("name", ["acnt", "attentive", "cnn-transformer", "sertool"])
def test_attention_heads_that_do_not_divide_the_columns_are_refused(name):
    with pytest.raises(UsageError, match=r"3 heads do not divide \d+ columns"):
        made(name, heads=3)


@pytest.mark.parametrize("columns", [3, 4])
def test_positional_encoding_is_as_wide_as_the_rows(columns):
    assert layers.positions(5, columns, torch.device("cpu")).shape == (5, columns)


@pytest.mark.parametrize("name", [each for each in EVERY if each.values[0] not in (*STATISTICS, *LAYERED)])
@pytest.mark.parametrize("columns", [16, 37])
@torch.no_grad()
def test_unusual_input_widths_are_accepted(name, columns):
    columns *= 4 if name in BACKBONES else 1
    rows, lengths = batch(columns, 30, 5)
    assert made(name, columns=columns, classes=3)(rows, lengths).shape == (2, 3)


# --- layers, counted by hand -------------------------------------------------------------------------------------


def conv(inputs: int, outputs: int, size: int, bias: bool = True) -> int:
    return inputs * outputs * size + bias * outputs


def dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def gates(kinds: int, inputs: int, width: int) -> int:
    """Torch keeps two biases for each gate."""
    return kinds * width * (inputs + width + 2)


def attention_layer(width: int, feedforward: int) -> int:
    attention = 4 * dense(width, width)
    return attention + dense(width, feedforward) + dense(feedforward, width) + 2 * 2 * width


MAMBA = (
    256 * 1024  # in, with gate
    + conv(1, 512, 4)  # each channel by itself
    + 512 * (16 + 16 + 16)  # step of rank 256 / 16, b, c
    + dense(16, 512)  # step
    + 512 * 16  # a
    + 512  # d
    + 512 * 256  # out
)
CONVOLUTIONS = conv(1, 32, 9) + conv(32, 64, 9) + conv(64, 128, 9) + conv(128, 256, 9) + 2 * (32 + 64 + 128 + 256)
SKIP = conv(32, 64, 1)
CONVOLUTIONS_B = conv(22, 1024, 5) + conv(1024, 512, 5) + conv(512, 256, 5) + 2 * (1024 + 512 + 256)
DENSE_B = dense(128, 128) + dense(128, 64) + dense(64, 32) + dense(32, 6)
RESNET18 = (
    conv(1, 64, 49, False) + 2 * 64
    + 4 * (conv(64, 64, 9, False) + 2 * 64)
    + sum(
        conv(before, after, 9, False) + 3 * conv(after, after, 9, False) + 4 * 2 * after
        + conv(before, after, 1, False) + 2 * after
        for before, after in ((64, 128), (128, 256), (256, 512))
    )
    + dense(512, 6)
)  # fmt: skip
ACNT = (
    sum(
        conv(before, after, 9, False) + conv(after, after, 9, False) + conv(before, after, 1, False) + 3 * 2 * after
        for before, after in ((1, 16), (16, 32), (32, 64), (64, 128))
    )
    + dense(128 * 5, 128)
    + 2 * attention_layer(128, 512)
    + dense(128, 64)
    + dense(64, 6)
)
SERTOOL = (
    conv(1, 24, 25, False) + 2 * 24
    + sum(
        conv(before, after, 9, False) + conv(after, after, 9, False) + 2 * 2 * after
        + dense(after, after // 4) + dense(after // 4, after)
        + (0 if before == after else conv(before, after, 1, False) + 2 * after)
        for before, after in ((24, 24), (24, 48), (48, 96), (96, 160))
    )
    + dense(160 * 64 // 16, 256)
    + 2 * gates(3, 256, 128)
    + dense(256, 64) + dense(64, 4)
    + dense(2 * 256, 6)
)  # fmt: skip


def bottlenecks(width: int, groups: int) -> int:
    """The body of ResNet-50 (width 64, one group) or ResNeXt-50 (width 128, 32 groups)."""
    total, before = 0, 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        inner, after = width * 2**stage, 256 * 2**stage
        total += conv(before, after, 1, False) + 2 * after  # beside the first
        for _ in range(blocks):
            total += (
                conv(before, inner, 1, False) + conv(inner // groups, inner, 9, False) + conv(inner, after, 1, False)
            )
            total += 2 * (inner + inner + after)
            before = after
    return total


def densenet161() -> int:
    total, channels = conv(2, 96, 49, False) + 2 * 96, 96
    for stage, blocks in enumerate((6, 12, 36, 24)):
        for _ in range(blocks):
            total += 2 * channels + conv(channels, 192, 1, False) + 2 * 192 + conv(192, 48, 9, False)
            channels += 48
        if stage < 3:
            total += 2 * channels + conv(channels, channels // 2, 1, False)
            channels //= 2
    return total + 2 * channels + dense(channels, 6)


COUNTS = {
    "cnn": CONVOLUTIONS + SKIP + dense(256, 64) + dense(64, 6),
    "cnn-gru": CONVOLUTIONS + SKIP + 2 * gates(3, 256 * 8, 128) + dense(256, 64) + dense(64, 6),
    "cnn-transformer": CONVOLUTIONS
    + dense(2048, 256)
    + 2 * attention_layer(256, 2048)
    + dense(256, 64)
    + dense(64, 6),
    "resnet18": RESNET18,
    "mamba": dense(128, 256) + 2 * MAMBA + dense(256, 1) + dense(256, 6),
    "mamba-cnn": conv(1, 64, 25) + 2 * 64 + conv(64, 256, 9) + 2 * 256
    + 2 * 256 + 3 * (MAMBA + 2 * 256) + dense(256, 1) + dense(256, 128) + dense(128, 6),
    "cnn1d": CONVOLUTIONS_B + dense(256, 128) + dense(128, 64) + dense(64, 32) + dense(32, 6),
    "lstm": gates(4, 22, 128) + 2 * gates(4, 128, 128) + DENSE_B,
    "bilstm": 2 * (gates(4, 22, 128) + 2 * gates(4, 256, 128)) + DENSE_B + 128 * 128,
    "gru": gates(3, 22, 128) + 2 * gates(3, 128, 128) + DENSE_B,
    "clstm": CONVOLUTIONS_B + gates(4, 256, 128) + 2 * gates(4, 128, 128) + DENSE_B,
    "cnn2d": conv(1, 32, 40) + 3 * conv(32, 32, 40) + 4 * 2 * 32 + dense(32 * 1 * 4, 64) + 2 * 64 + dense(64, 6),
    "msf-cnn": conv(1, 128, 5) + conv(128, 256, 5) + conv(256, 512, 5) + 2 * (128 + 256 + 512)
    + dense(512 * 35, 64) + dense(64, 6),
    "acnt": ACNT,
    "sertool": SERTOOL,
    "resnet50": conv(2, 64, 49, False) + 2 * 64 + bottlenecks(64, 1) + dense(2048, 6),
    "resnext50": conv(2, 64, 49, False) + 2 * 64 + bottlenecks(128, 32) + dense(2048, 6),
    "densenet161": densenet161(),
    "mlp": 7 * dense(1024, 64) + 2 * 448 + dense(448, 256) + dense(256, 6),
    "attentive": 7 + dense(512, 256) + dense(256, 64) + dense(64, 4) + dense(512, 6),
    "probe": dense(7168, 6),
    "whisper": 2 * attention_layer(512, 2048) + 2 * 1024 + dense(1024, 6),
    "lda": dense(258, 6),
    "logistic": dense(258, 6),
    "ridge": dense(7168, 3),
    "svm": 0,
    "forest": 0,
    "svr": 0,
}  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
def test_parameter_counts_match_the_layers_counted_by_hand(name):
    module = models.load(name)
    assert COUNTS[name] == module.PARAMETERS
    if name in CLASSICAL:
        answers = 3 if name in REGRESSORS else 6
        state = made(name, answers).state_dict()
        assert COUNTS[name] in (0, state.get("weight", Tensor()).numel() + answers)
    else:
        assert sum(each.numel() for each in made(name).parameters()) == COUNTS[name]


def shapes(model: nn.Module, columns: int, frames: int) -> dict[str, tuple[int, ...]]:
    """What leaves each part of a model, without the clips."""
    found = {}

    def note(name: str):
        def hook(_module: nn.Module, _given: object, out: object) -> None:
            found[name] = tuple((out[0] if isinstance(out, tuple) else out).shape[1:])

        return hook

    for name, part in model.named_modules():
        part.register_forward_hook(note(name))
    model(torch.zeros(2, frames, columns), torch.tensor([frames, frames]))
    return found


@torch.no_grad()
def test_tensor_shapes_between_layers_match_the_publications():
    """What the publications say of the tensors between their layers; time is before bands here."""
    found = shapes(made("cnn-gru"), 128, 160)
    assert found["convolutions"] == (256, 10, 8)
    assert found["gru"] == (10, 256)
    assert shapes(made("cnn-transformer"), 128, 160)["project"] == (10, 256)
    assert shapes(made("mamba-cnn"), 128, 160)["convolutions"] == (256, 40, 32)
    assert shapes(made("cnn2d"), 30, 79)["convolutions"] == (32, 4, 1)
    assert shapes(made("resnet18"), 128, 160)["stages"] == (512, 5, 4)
    found = shapes(made("acnt", classes=8), 40, 174)
    assert found["convolutions"] == (128, 22, 5)
    assert found["project"] == (22, 128)
    assert found["head"] == (8,)
    found = shapes(made("clstm"), 22, 401)
    assert [found[f"blocks.{place}.convolution"] for place in range(3)] == [(1024, 401), (512, 201), (256, 101)]


def test_acnt_can_be_built_without_its_transformer():
    with_it, without = made("acnt"), made("acnt", use_transformer=False)
    gone = {key.partition(".")[0] for key in with_it.state_dict()} - {
        key.partition(".")[0] for key in without.state_dict()
    }
    assert gone == {"encoder"}
    rows, lengths = batch(40, 174, 50)
    assert without(rows, lengths).shape == (2, 6)


def test_cnn2d_uses_the_chosen_activation_throughout():
    for name, kind in (("relu", nn.ReLU), ("silu", nn.SiLU)):
        kinds = {type(part) for part in made("cnn2d", activation=name).modules()}
        assert kinds & {nn.ReLU, nn.SiLU} == {kind}


def test_cnn2d_refuses_input_with_too_few_columns():
    with pytest.raises(SertoolError, match="halves 79 frames of 13 columns 4 times: at least 16"):
        made("cnn2d", columns=13)


@torch.no_grad()
def test_cnn1d_along_columns_reproduces_msf_cnn():
    """Along the columns of clip statistics, with the blocks of `msf-cnn`."""
    settings = {"channels": (128, 256, 512), "norm": "before", "dropout": 0.2, "dense": (64,), "along": "columns"}
    mine, theirs = made("cnn1d", columns=258, **settings), made("msf-cnn", columns=258)
    assert [tuple(each.shape) for each in mine.parameters()] == [tuple(each.shape) for each in theirs.parameters()]
    theirs.load_state_dict(mine.state_dict())
    rows, lengths = batch(258, 1, 1)
    torch.testing.assert_close(mine(rows, lengths), theirs(rows, lengths))


@pytest.mark.parametrize("name", ["mlp", "attentive"])
def test_columns_that_do_not_divide_into_layer_groups_are_refused(name):
    assert made(name, columns=24, groups=3).narrow is not None
    with pytest.raises(UsageError, match=r"16 columns are not .*7 groups of one width"):
        made(name, columns=16)


def test_ensemble_averages_probabilities_and_trains_each_network_separately():
    model = made("mlp", columns=24, groups=3, networks=3, dropout=0.0, dropout_in=0.0)
    rows, lengths = batch(24, 1, 1, 1, 1)
    each = [made("mlp", columns=24, groups=3, dropout=0.0, dropout_in=0.0) for _ in range(3)]
    for place, (one, held) in enumerate(zip(each, [model, *model.others], strict=True)):
        own = {name: value for name, value in held.state_dict().items() if not name.startswith(("head", "others"))}
        head = {f"head.{name}": value for name, value in model.head.each[place].state_dict().items()}
        one.load_state_dict(own | head)
    with torch.no_grad():
        answers = torch.stack([one(rows, lengths).softmax(1) for one in each])
        joined = Emotions(["a", "b", "c", "d", "e", "f"]).joined(model(rows, lengths))
        torch.testing.assert_close(joined.softmax(1), answers.mean(0))
    assert (answers.std(0) > 0.01).any()

    learning = model.train()(rows, lengths)
    assert learning.shape == (3, 4, 6)
    for place, one in enumerate(each):
        torch.testing.assert_close(learning[place], one.train()(rows, lengths))


def test_layer_group_takes_its_columns_from_every_statistic():
    """Rows come as `[statistics, layers, width]` in a row."""
    rows = torch.arange(2 * 3 * 4)
    assert layers.parts(rows, 3, stats=2)[1].tolist() == [4, 5, 6, 7, 16, 17, 18, 19]
    assert layers.parts(rows, 3)[1].tolist() == list(range(8, 16))


@torch.no_grad()
def test_untrained_attentive_model_weights_all_layers_equally():
    model = made("attentive", columns=24, groups=3)
    rows, lengths = batch(24, 9, 4)
    swapped = rows.unflatten(2, (3, 8)).flip(2).flatten(2)
    torch.testing.assert_close(model(rows, lengths), model(swapped, lengths))


@torch.no_grad()
def test_whisper_refuses_wrong_features_and_too_many_blocks():
    with pytest.raises(UsageError, match="--whisper base --layers 3 and no --stats"):
        made("whisper", columns=7168, layers=5)
    with pytest.raises(UsageError, match="has 6 blocks"):
        made("whisper", layers=7)
    assert made("whisper", tune=3, pooling="attentive", heads=8).attend.heads == 8


def test_whisper_blocks_learn_more_slowly_the_earlier_they_are():
    shares = [share for _, share in made("whisper", layers=4, tune=3, share=0.4, fade=0.5).slow_parts()]
    assert shares == pytest.approx([0.1, 0.2, 0.4])


@torch.no_grad()
def test_whisper_head_is_initialised_by_regression_on_the_unchanged_blocks():
    model = made("whisper", classes=2, columns=384, size="tiny", layers=2, tune=1)
    x, y = statistics(768, 2)
    model.start_head(x, lambda rows, c: classical.linear(classical.regression(rows, y, c, 300)))
    answer = model.head(model.norm(torch.from_numpy(x))).argmax(1).numpy()
    assert (answer == y).mean() > 0.95


@torch.no_grad()
def test_whisper_head_begins_with_ratings_as_regression_finds_them():
    model = made("whisper", classes=2, columns=384, size="tiny", layers=2, tune=1)
    x, y = statistics(768, 2)
    ratings = np.stack([2.0 * y - 1, 1 - 2.0 * y], axis=1)
    ratings[::3, 1] = np.nan
    model.start_head(x, lambda rows, c: classical.ridge(rows, ratings, c))
    answers = model.eval().head(model.norm(torch.from_numpy(x))).numpy()
    assert all(
        np.corrcoef(2 * y - 1, sign * values)[0, 1] > 0.9 for sign, values in zip((1, -1), answers.T, strict=True)
    )


@pytest.mark.parametrize("pooling", ["statistics", "attentive"])
@torch.no_grad()
def test_whisper_in_bf16_answers_identically_alone_and_in_a_batch(pooling):
    model = norm_folding.folded(made("whisper", columns=384, size="tiny", layers=2, pooling=pooling), "bf16")
    rows, lengths = batch(384, 100, 128, 7, 91)
    with torch.autocast("cpu", torch.bfloat16):
        together = model(rows, lengths)
        for clip, length in enumerate(lengths):
            pair = [clip, clip]  # as predict asks for one clip
            assert torch.equal(model(rows[pair, :length], lengths[pair])[0], together[clip])


def test_number_of_channels_is_configurable():
    assert made("cnn", channels=(8, 16, 24)).convolutions.blocks[2][0].out_channels == 24
    assert made("sertool", channels=(8, 16, 24), width=64).project[0].in_features == 24 * 8
    assert made("acnt", channels=(8, 16)).project.in_features == 16 * 20


# --- layers that see padding -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((5, 7, 20), torch.contiguous_format),
        ((5, 7, 20, 6), torch.contiguous_format),
        ((5, 7, 20, 6), torch.channels_last),
    ],
)
@pytest.mark.parametrize("compiling", [False, True])
def test_batch_norm_ignores_padding_frames(shape, layout, compiling, monkeypatch):
    """The slow twin gathers the frames and normalises them with Torch's own layer."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    torch.manual_seed(0)
    x = (3 + torch.randn(shape)).contiguous(memory_format=layout)
    lengths = torch.tensor([20, 3, 11, 1, 17])
    mine, twin = norms.BatchNorm(7), nn.BatchNorm1d(7)
    nn.init.normal_(twin.weight)
    nn.init.normal_(twin.bias)
    mine.load_state_dict(twin.state_dict(), strict=False)
    slope = torch.randn(shape)
    results = []
    valid = real_frames(lengths, 20, x.device)
    for norm in (mine, twin):
        leaf = x.clone().requires_grad_()
        if norm is mine:
            y = mine(leaf, layers.mask(lengths, leaf))
        else:
            frames = leaf.movedim(1, -1)[valid]
            y = torch.zeros_like(leaf.movedim(1, -1))
            y[valid] = twin(frames.flatten(0, -2)).view_as(frames)
            y = y.movedim(-1, 1)
        (y * slope).sum().backward()
        results.append([y, leaf.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_batch_norm_in_bfloat16_keeps_accurate_statistics_and_gradients():
    torch.manual_seed(0)
    x, lengths = 2 + torch.randn(8, 4, 50, 6), torch.randint(10, 51, (8,))
    norm, slope = norms.BatchNorm(4), torch.randn(8, 4, 50, 6)
    leaves = [x.clone().requires_grad_(), x.bfloat16().requires_grad_()]
    fine = norm(leaves[0], layers.mask(lengths, x))
    statistics = norm.running_mean.clone()
    coarse = norm(leaves[1], layers.mask(lengths, leaves[1]))
    assert coarse.dtype == torch.bfloat16
    assert (coarse - fine).abs().max() < 0.05
    torch.testing.assert_close(norm.running_mean, 0.9 * statistics + statistics, atol=1e-3, rtol=1e-3)
    for made in (fine, coarse):
        (made.float() * slope).sum().backward()
    padding = ~real_frames(lengths, 50, x.device)
    assert not coarse.movedim(1, 2)[padding].any()
    assert not leaves[1].grad.movedim(1, 2)[padding].any()
    torch.testing.assert_close(leaves[1].grad.float(), leaves[0].grad, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("both_ways", [False, True])
@torch.no_grad()
def test_recurrent_layers_match_torch_on_packed_sequences(kind, both_ways):
    torch.manual_seed(0)
    mine = layers.Recurrent(kind, 5, 8, 3, 0.3, both_ways).eval()
    twin = kind(5, 8, 3, batch_first=True, bidirectional=both_ways)
    for place, ways in enumerate(mine.layers):
        for way, ending in zip(ways, ("", "_reverse"), strict=False):
            for name, values in way.named_parameters():
                getattr(twin, name.replace("_l0", f"_l{place}{ending}")).copy_(values)
    rows, lengths = batch(5, 20, 1, 13)
    _, state = twin(nn.utils.rnn.pack_padded_sequence(rows, lengths, batch_first=True, enforce_sorted=False))
    state = state[0] if kind is nn.LSTM else state
    ends = torch.cat([state[-2], state[-1]], 1) if both_ways else state[-1]
    torch.testing.assert_close(mine(rows, lengths), ends)


def test_padding_does_not_change_gradients_of_the_sertool_model():
    """Training, too: a batch padded further is the same batch."""
    module = models.load("sertool")
    rows, lengths = batch(64, 90, 40, 77)
    found = []
    for further in (0, 50):
        torch.manual_seed(0)
        model = module.Model(module.Settings(dropout=0.0), 64, 6).train()
        F.cross_entropy(model(F.pad(rows, (0, 0, 0, further)), lengths), torch.tensor([0, 1, 2])).backward()
        found.append([each.grad for each in model.parameters()])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, atol=2e-5, rtol=1e-3)


# --- backbones ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BACKBONES)
def test_missing_weights_error_names_the_file_and_its_download_address(name, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    file = catalogue.read(catalogue.PACKAGE / "models" / f"{name}.py").facts["WEIGHTS"]
    for path, expected in ((None, tmp_path / "checkpoints" / file), ("here.pth", "here.pth")):
        with pytest.raises(SertoolError, match="--scratch") as error:
            imagenet.weights(file, path)
        assert f"{expected}: download https://download.pytorch.org/models/{file}" in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_published_weights_load_with_averaged_colour_channels(name, tmp_path):
    """A file in torchvision's layout, as old as it may be: without counts of batches, DenseNet's with other names."""
    import torchvision

    source = getattr(torchvision.models, "resnext50_32x4d" if name == "resnext50" else name)(weights=None)
    state = {key.replace(".norm1.", ".norm.1."): value for key, value in source.state_dict().items()}
    torch.save({key: value for key, value in state.items() if "num_batches" not in key}, tmp_path / "weights.pth")
    model = made(name)
    model.pretrain(tmp_path / "weights.pth")
    first = "features.conv0" if name == "densenet161" else "conv1"
    mine, theirs = (net.get_submodule(first).weight for net in (model.backbone, source))
    torch.testing.assert_close(mine, theirs.mean(1, keepdim=True).repeat(1, 2, 1, 1))
    colours = torch.randn(1, 1, 64, 64).expand(1, 3, 64, 64)
    source.get_submodule("classifier" if name == "densenet161" else "fc").register_forward_pre_hook(
        lambda _module, given: found.append(given[0])
    )
    found: list[Tensor] = []
    with torch.no_grad():
        source.eval()(colours)
        torch.testing.assert_close(model.backbone(colours[:, :2] * 1.5), found[0], rtol=1e-3, atol=1e-3)
    scratch = made(name, pretrained=False)
    scratch.pretrain(tmp_path / "nowhere.pth")


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "other.pth")
    net = nn.Sequential()
    net.conv1, net.deeper = nn.Conv2d(2, 64, 7), nn.Linear(2, 2)
    with pytest.raises(SertoolError, match="not resnet50"):
        imagenet.adopt(net, imagenet.weights("", tmp_path / "other.pth"), "conv1.weight", "resnet50.pth")
    (tmp_path / "broken.pth").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(SertoolError, match=r"broken\.pth holds no weights"):
        imagenet.weights("resnet50.pth", tmp_path / "broken.pth")


def test_input_that_does_not_fit_a_backbone_is_refused():
    with pytest.raises(UsageError, match="129 columns are not 2 channels"):
        imagenet.check(129, 2, 157)
    with pytest.raises(UsageError, match="157 frames of 20 bands"):
        imagenet.check(40, 2, 157, least=29)


def test_image_channels_are_taken_from_adjacent_column_blocks():
    rows = torch.arange(2 * 3 * 8.0).view(2, 3, 8)
    image = imagenet.images(rows, torch.tensor([3, 2]), 5, 2)
    assert image.shape == (2, 2, 4, 5)
    assert torch.equal(image[0, 1, :, 0], rows[0, 0, 4:])
    assert image[0, :, :, 3:].eq(0).all()
    assert image[1, :, :, 2:].eq(0).all()


# --- classical models --------------------------------------------------------------------------------------------


def twin(name: str, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """What scikit-learn itself says of the rows that it was fitted to."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.svm import SVC

    z = (x - x.mean(0)) / x.std(0)
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    machine = SVC(gamma=1 / x.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = {
            "lda": lambda: LinearDiscriminantAnalysis().fit(z, y),
            "logistic": lambda: LogisticRegression(C=0.1, max_iter=1000).fit(z, y, weights),
            "probe": lambda: LogisticRegression(C=5 / len(x), max_iter=300).fit(z, y, weights),
            "svm": lambda: CalibratedClassifierCV(machine, cv=folds, ensemble=False).fit(z, y, weights),
            "forest": lambda: RandomForestClassifier(random_state=3).fit(x, y, weights),
        }[name]()
    return fitted.predict_proba(x if name == "forest" else z)


@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classical_model_probabilities_match_scikit_learn(name, classes):
    x, y = statistics(258, classes, 240)
    weights = None if name == "lda" else np.where(y == 0, 2.0, 1.0)
    model = models.load(name).Model(models.load(name).Settings(), 258, classes)
    model.fit(x, y, weights, 3)
    rows = torch.from_numpy(x)[:, None]
    mine = model(rows, torch.ones(len(x), dtype=torch.long)).softmax(1)
    assert np.abs(mine.numpy() - twin(name, x, y, weights)).max() < 1e-5
    assert float((mine.argmax(1).numpy() == y).mean()) > 1 / classes


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", REGRESSORS)
def test_ratings_of_regressors_match_scikit_learn_where_clips_are_rated(name, weighted):
    from sklearn.linear_model import Ridge
    from sklearn.svm import SVR

    x, y = statistics(258, 3, 240)
    y, weights = ratings(y, 2), np.where(y == 1, 2.0, 1.0) if weighted else None
    module = models.load(name)
    model = module.Model(module.Settings(), 258, 2)
    model.fit(x, y, weights)
    mine = model(torch.from_numpy(x)[:, None], torch.ones(len(x), dtype=torch.long)).numpy()
    z = (x - x.mean(0)) / x.std(0)
    for place in range(2):
        twin, known = {"ridge": Ridge(len(x)), "svr": SVR(gamma=1 / 258)}[name], ~np.isnan(y[:, place])
        twin.fit(z[known], y[known, place], None if weights is None else weights[known])
        assert np.abs(mine[:, place] - twin.predict(z)).max() < 1e-4


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressor_ignores_the_seed_and_a_constant_column(name):
    module, (x, y) = models.load(name), statistics(20, 3)
    x[:, 4] = 7.0
    one, two = (module.Model(module.Settings(), 20, 3) for _ in range(2))
    for seed, model in enumerate((one, two)):
        model.fit(x, ratings(y, 3), None, seed)
    assert not module.DRAWS
    assert all(torch.equal(value, two.state_dict()[key]) for key, value in one.state_dict().items())
    assert one(torch.from_numpy(x)[:, None], torch.ones(len(x), dtype=torch.long)).isfinite().all()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classical_model_declares_whether_the_seed_matters(name):
    module = models.load(name)
    x, y = statistics(20, 3)
    y = np.random.default_rng(1).permutation(y)  # nothing to learn, so that whatever is drawn shows
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = module.Model(module.Settings(), 20, 3)
        model.fit(x, y, None, seed)
        states.append(model.state_dict())
    one, two = states
    alike = [one[key].shape == two[key].shape and torch.equal(one[key], two[key]) for key in one]
    assert all(alike) is not getattr(module, "DRAWS", True)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_emotion_without_training_clips_is_never_predicted(name):
    module = models.load(name)
    x, y = statistics(20, 3)
    model = module.Model(module.Settings(), 20, 5)
    model.fit(x, np.array([1, 3, 4])[y])
    mine = model(torch.from_numpy(x)[:, None], torch.ones(len(x), dtype=torch.long)).softmax(1)
    assert mine[:, [0, 2]].max() < 1e-20
    torch.testing.assert_close(mine.sum(1), torch.ones(len(x)))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_constant_column_leaves_the_answers_finite(name):
    x, y = statistics(20, 3)
    x[:, 4] = 7.0
    module = models.load(name)
    model = module.Model(module.Settings(), 20, 3)
    model.fit(x, y)
    assert model(torch.from_numpy(x)[:, None], torch.ones(len(x), dtype=torch.long)).isfinite().all()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_fitting_a_single_emotion_is_refused(name):
    module = models.load(name)
    with pytest.raises(SertoolError, match="two emotions"):
        module.Model(module.Settings(), 4, 2).fit(np.ones((5, 4), np.float32), np.zeros(5, int))


@pytest.mark.parametrize("name", ["logistic", "probe"])
def test_identical_copies_leave_a_regression_unchanged(name):
    module = models.load(name)
    x, y = statistics(20, 3)
    clip = np.repeat(np.arange(len(x)), 4)
    alone, copied = (module.Model(module.Settings(), 20, 3) for _ in range(2))
    alone.fit(x, y)
    copied.fit(x[clip], y[clip], None, 0, clip)
    torch.testing.assert_close(copied.weight, alone.weight, atol=1e-3, rtol=0)


def test_svm_needs_two_clips_of_each_emotion():
    module = models.load("svm")
    x, y = statistics(4, 2)
    with pytest.raises(SertoolError, match="two at least"):
        module.Model(module.Settings(), 4, 2).fit(x, np.r_[1, 0 * y[1:]])
    with pytest.raises(SertoolError, match="two at least"):
        module.Model(module.Settings(), 4, 2).fit(x, y, origin=y)  # copies of one clip each
    with pytest.raises(SertoolError, match="two at least"):
        module.folds(np.r_[y, 2], np.r_[np.arange(len(y)), 0], 0)  # a copy that a teacher took for something else


def test_copies_do_not_make_an_svm_overconfident():
    """Where emotions cannot be told apart, probabilities say so, though a copy is known from its clip."""
    module = models.load("svm")
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(90, 20)), np.arange(90) % 3
    clip = np.tile(np.arange(90), 3)
    copied = x[clip] + 0.1 * draw.normal(size=(270, 20))
    model = module.Model(module.Settings(), 20, 3)
    model.fit(copied, y[clip], None, 0, clip)
    fresh = torch.from_numpy(draw.normal(size=(300, 1, 20))).float()
    assert model(fresh, torch.ones(300, dtype=torch.long)).softmax(1).max(1).values.mean() < 0.45


def test_svm_is_calibrated_on_clips_it_was_not_fitted_to():
    module = models.load("svm")
    for clips, count in ((120, 5), (9, 3), (6, 2)):
        clip = np.tile(np.arange(clips), 3)
        found = module.folds(clip % 3, clip, 0)
        assert len(found) == count
        assert sorted(np.concatenate([held for _, held in found])) == list(range(3 * clips))
        for fit, held in found:
            assert set(clip[fit] % 3) == {0, 1, 2}
            assert not set(clip[fit]) & set(clip[held])


def test_rounded_forest_thresholds_split_float32_values_identically():
    forest = models.load("forest")
    exact = np.array([0.1, -0.1, 1 / 3, 2.0, -1e-42])
    rounded = forest.below(exact)
    assert (rounded <= exact).all()
    assert (np.nextafter(rounded.astype(np.float32), np.float32(np.inf)).astype(float) > exact).all()
