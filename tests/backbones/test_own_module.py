"""A module of one's own: what its layers give is taken as it comes, and read as what it is, or refused in one line."""

import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

import factortopy as ft
from factortopy.backbones.layout import Unclear, picture_axis
from factortopy.backbones.modules import outputs_of
from factortopy.errors import InputError
from factortopy.finetune.network import mode, trainable

WIDTH = 12
few = settings(max_examples=50, deadline=None)


def pictures(n=3, height=64, width=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def mine(module, layers, size=64, **options):
    return ft.from_module(module, layers, name="mine", input_size=size, **options)


def refused(*given, **options):
    with pytest.raises(InputError) as caught:
        mine(*given, **options)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("network mine") and "; " in message
    return message


class Call(nn.Module):
    """A function as a module, so that its output is a layer."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, *inputs):
        return self.run(*inputs)


class Then(nn.Module):
    """Patches (B, 8, 8, 8) of 64 pixels, then a function: the layer "out"."""

    def __init__(self, run, channels=8):
        super().__init__()
        torch.manual_seed(0)
        self.patch, self.out = nn.Conv2d(3, channels, 8, 8), Call(run)

    def forward(self, x):
        return self.out(self.patch(x))


class Transformer(nn.Module):
    """Blocks on patches, with tokens that stand for no place in front of them, in the middle, behind them."""

    def __init__(self, front=1, middle=0, behind=0, patch=8, first="batch", linear=False):
        super().__init__()
        torch.manual_seed(front + 7 * behind)
        self.patch = nn.Linear(3 * patch**2, WIDTH) if linear else nn.Conv2d(3, WIDTH, patch, patch)
        self.side, self.linear, self.first = patch, linear, first
        self.extra = nn.ParameterList(nn.Parameter(torch.randn(n, WIDTH)) for n in (front, middle, behind))
        blocks = (nn.TransformerEncoderLayer(WIDTH, 2, 16, batch_first=first != "sequence") for _ in range(2))
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x):
        p = self.side
        if self.linear:
            x = self.patch(x.unflatten(3, (-1, p)).unflatten(2, (-1, p)).permute(0, 2, 4, 1, 3, 5).flatten(3)).flatten(
                1, 2
            )
        else:
            x = self.patch(x).flatten(2).transpose(1, 2)
        front, middle, behind = (tokens.expand(len(x), -1, -1) for tokens in self.extra)
        half = x.shape[1] // 2
        x = torch.cat([front, x[:, :half], middle, x[:, half:], behind], 1)
        x = x if self.first == "batch" else x.transpose(0, 1)
        for block in self.blocks:
            x = block(x)
        return x


# ---------------------------------------------------------------- outputs are what the layer gave

IN_PLACE = {
    "relu": nn.ReLU(True), "relu6": nn.ReLU6(True), "hardswish": nn.Hardswish(True), "silu": nn.SiLU(True), "mish": nn.Mish(True),
    "elu": nn.ELU(inplace=True), "leaky": nn.LeakyReLU(0.2, True), "hardsigmoid": nn.Hardsigmoid(True), "selu": nn.SELU(True),
    "threshold": nn.Threshold(0.1, 20.0, True), "hardtanh": nn.Hardtanh(inplace=True), "celu": nn.CELU(inplace=True),
    "rrelu": nn.RReLU(inplace=True), "add": Call(lambda x: x.add_(3)), "mul": Call(lambda x: x.mul_(0.5)),
    "zero": Call(lambda x: x.zero_()),
    "view": Call(lambda x: (x.flatten(1)[:, ::2].zero_(), x)[1]), "index": Call(lambda x: (x[:, 0].fill_(5), x)[1]),
    "function": Call(lambda x: F.relu(x, inplace=True)), "clamp": Call(lambda x: x.clamp_(0, 0.1)), "copy": Call(lambda x: x.copy_(-x)),
}  # fmt: skip


@few
@given(
    st.lists(st.sampled_from(list(IN_PLACE)), min_size=1, max_size=4),
    st.sampled_from([nn.Identity(), nn.BatchNorm2d(8)]),
)
def test_what_runs_later_in_place_changes_nothing(names, between):
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, 8, 8)
    network = mine(nn.Sequential(conv, between, *(IN_PLACE[name] for name in names)), ["0"])
    local, _ = network.tokens(pictures())
    with torch.no_grad():
        expected = conv(network.prepare(pictures()))
    torch.testing.assert_close(local[0], expected.permute(0, 2, 3, 1))
    assert local[0].min() < -0.1


def test_a_residual_network_in_place():
    """thingsvision 44: torchvision's ResNet, whose batch norms are followed by an in-place ReLU."""
    torch.manual_seed(0)
    names = ["bn1", "layer1.0.bn1", "layer1.0.bn2"]
    net = torchvision.models.resnet18(weights=None)
    local, _ = mine(net, names).tokens(pictures())
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    plain, _ = mine(net, names).tokens(pictures())
    for a, b in zip(local, plain, strict=True):
        torch.testing.assert_close(a, b)
        assert a.min() < -1


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit", "test_convnext"])
def test_layers_that_timm_collects_are_as_they_were_collected(name):
    """None of the 80 families that were tried writes into them later; one block after another, stopped there, gives the same."""
    network = ft.load_backbone(f"timm/{name}", "untrained")
    pixels = network.prepare(pictures())
    local, _ = network.tokens(pictures())
    for k, tokens in enumerate(local):
        with torch.no_grad():
            (alone,) = network.model.forward_intermediates(
                pixels, indices=[k], stop_early=True, norm=False, intermediates_only=True
            )
        torch.testing.assert_close(tokens, alone.permute(0, 2, 3, 1), atol=1e-5, rtol=1e-4)


def test_gradients_go_through_what_is_kept():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, 8, 8)
    network = mine(nn.Sequential(conv, nn.ReLU(True), nn.Conv2d(8, 8, 1)), ["0", "2"])
    pixels = torch.rand(1, 3, 64, 64, requires_grad=True)
    network.pixel_tokens(pixels)[0][0].square().sum().backward()
    expected = torch.autograd.grad(conv(network._normalised(pixels)).square().sum(), pixels)[0]
    torch.testing.assert_close(pixels.grad, expected)


def test_outputs_in_tuples_and_dicts_are_copied_and_threads_are_kept_apart():
    net = nn.Sequential(Call(lambda x: (x, {"a": [x]})), Call(lambda out: out[0].zero_()))
    with outputs_of(net, ["0"]) as seen:
        net(torch.ones(2))
        other = threading.Thread(target=net, args=(torch.full((2,), 7.0),))
        other.start()
        other.join()
    assert seen["0"][0].tolist() == [1, 1] and seen["0"][1]["a"][0].tolist() == [1, 1]


# ---------------------------------------------------------------- pictures, places, channels


@few
@given(
    front=st.integers(0, 20), behind=st.integers(0, 3), patch=st.sampled_from([8, 16, 32]), first=st.sampled_from(["batch", "sequence"]),
    linear=st.booleans(), size=st.sampled_from([(64, 64), (32, 64), (96, 32)]),
)  # fmt: skip
def test_tokens_are_read_where_their_places_are(front, behind, patch, first, linear, size):
    """Whatever stands before and behind them, whichever axis comes first, squares or not."""
    assume(
        size[0] * size[1] > 4 * patch**2
    )  # a few patches behind many tokens are refused: where they lie does not show
    net = Transformer(front, 0, behind, patch, first, linear)
    network = mine(net, ["blocks.0", net.blocks[1]], size)
    (_, local), (_, global_) = network.tokens(pictures())
    with torch.no_grad():
        x = net(network.prepare(pictures()))
    x = x.transpose(0, 1) if first == "sequence" else x
    h, w = size[0] // patch, size[1] // patch
    grid = x[:, front : front + h * w].unflatten(1, (h, w))
    torch.testing.assert_close(local, grid, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(global_, x[:, 0] if front else grid.mean((1, 2)), atol=1e-5, rtol=1e-4)
    assert network.token_shapes() == [(h, w, WIDTH)] * 2
    assert (network.sites() is not None) == (first == "batch" and not behind and h == w)


@pytest.mark.parametrize("first", ["batch", "sequence"])
def test_pictures_are_never_taken_for_tokens(first):
    """open_clip 1037: (tokens, pictures, channels); five pictures were fifty."""
    network = mine(Transformer(first=first), ["blocks.0", "blocks.1"])
    images = list(pictures(5))
    features = ft.extract(network, images, cache=False)
    assert [array.shape for array in features.local] == [(5, 8, 8, WIDTH)] * 2
    alone = ft.extract(network, images[:1], cache=False)
    np.testing.assert_allclose(features.local[1][0].astype(float), alone.local[1][0], atol=5e-3)


@pytest.mark.parametrize("size", [(64, 64), (64, 32), (32, 96)])
@pytest.mark.parametrize("channels", [4, 8, 12])
def test_maps_of_every_form(size, channels):
    """Even where channels are as many as rows and columns: their places tell them apart."""
    runs = {"nchw": lambda x: x, "nhwc": lambda x: x.permute(0, 2, 3, 1)}
    for own, run in runs.items():
        network = mine(Then(run, channels), ["out", "patch"], size)
        out, patch = network.tokens(pictures())[0]
        torch.testing.assert_close(out, patch)
        assert out.shape == (3, size[0] // 8, size[1] // 8, channels) and network._layouts[0].form == own
    network = mine(Then(lambda x: x.flatten(2), channels), ["out", "patch"], size)  # (B, C, N)
    torch.testing.assert_close(*network.tokens(pictures())[0])


def test_a_place_of_a_wide_picture_stays_where_it_is():
    """A bright spot at the upper right, in features on their own grid and pooled."""
    images = pictures(2, 50, 100)
    images[1] = images[0]
    images[1][5:15, 80:90] = 255
    network = mine(Transformer(front=5), ["blocks.0"], (32, 96))
    assert network.input_size == 96
    for grid in (None, 8):
        features = ft.extract(network, list(images), cache=False, grid=grid)
        change = np.abs(features.local[0][1].astype(float) - features.local[0][0]).mean(-1)
        (h, w), (row, column) = change.shape, np.unravel_index(change.argmax(), change.shape)
        assert (h, w) == ((4, 12) if grid is None else (8, 8))
        assert abs((row + 0.5) / h - 0.2) < 0.15 and abs((column + 0.5) / w - 0.85) < 0.1


@pytest.mark.parametrize(
    "run, expected",
    [
        (lambda x: (x, None), "map"), (lambda x: [x, x], "map"), (lambda x: {"out": x}, "map"), (lambda x: x.double(), "map"),
        (lambda x: {"a": x, "last_hidden_state": x.flatten(2).transpose(1, 2)}, "map"),
        (lambda x: x.mean((2, 3), keepdim=True), "point"), (lambda x: x.half(), "map"),
        (lambda x: {"a": x, "b": x}, "dict with a, b"), (lambda x: x.mean((2, 3)), "(1, 8)"), (lambda x: x.mean((1, 2, 3)), "(1,)"),
        (lambda x: x.mean(), "no axis of pictures"), (lambda x: torch.fft.fft2(x), "complex64"), (lambda x: (x > 0).int(), "int32"),
        (lambda x: x > 0, "bool"), (lambda x: x * float("nan"), "infinity or NaN"), (lambda x: x / 0, "infinity or NaN"),
        (lambda x: None, "NoneType"), (lambda x: x[:, :, None], "(1, 8, 1, 8, 8)"), 
        (lambda x: x.mean(0, keepdim=True), "no axis of pictures"),
        (lambda x: torch.zeros(4, 8, 8, 8), "no axis of pictures"), (lambda x: torch.nested.nested_tensor(list(x)), "several sizes"),
        (lambda x: x.to_sparse(), "sparse"), (lambda x: x * 0, "form='nchw' or 'nhwc'"), (lambda x: "text", "str"),
        (lambda x: x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 4, 5, 1).reshape(-1, 16, 8), "4 parts of each picture in one axis"),
        (lambda x: x.transpose(2, 3).flatten(2).transpose(1, 2), "8 rows from left to right"),
        (lambda x: x.flatten(2)[:, :, torch.randperm(64, generator=torch.Generator().manual_seed(0))].transpose(1, 2), "left to right"),
        (lambda x: F.dropout(x), "from time to time"), (lambda x: x - x.mean(0), "when others are shown with it"),
        (lambda x: (x.flatten(2).transpose(1, 2) * 0)[:, :50], "say prefix="),
    ],
)  # fmt: skip
def test_what_a_layer_may_give(run, expected):
    net = Then(run)
    if expected not in ("map", "point"):
        assert expected in refused(net, ["out"])
        return
    network = mine(net, ["out", "patch"])
    out, patch = network.tokens(pictures())[0]
    assert out.dtype == torch.float32
    torch.testing.assert_close(
        out, patch if expected == "map" else patch.mean((1, 2), keepdim=True), atol=2e-3, rtol=1e-3
    )


@pytest.mark.parametrize(
    "net, options, words",
    [
        (Transformer(5), {"prefix": 1}, "say prefix=5"), (Transformer(17), {"prefix": 0}, "say prefix=17"),
        (Transformer(1, 4), {}, "4 in the middle"), (Transformer(1, 4), {"prefix": 1}, "4 in the middle"),
        (Transformer(first="mixed"), {}, "batch_first=True"), (Transformer(), {"form": "nchw"}, "leave form out"),
    ],
)  # fmt: skip
def test_tokens_that_cannot_be_read(net, options, words):
    assert words in refused(net, ["blocks.0"], **options)


def test_a_stated_prefix_stands_where_places_do_not_show():
    net = Then(lambda x: (x.flatten(2).transpose(1, 2) * 0)[:, :50])
    network = mine(net, ["out"], prefix=1)
    assert network.token_shapes() == [(7, 7, 8)]
    assert "prefix of 2" in refused(net, ["out"], prefix=2)


@pytest.mark.parametrize("size", [(64, 64), (64, 96)])
def test_patches_that_overlap_and_attention_to_fewer(size):
    """As in Segformer: another convolution than that of the patches has a stride; nothing is taken for registers."""

    class Reduced(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.stem, self.norm = nn.Conv2d(3, WIDTH, 7, 4, 3), nn.LayerNorm(WIDTH)
            self.reduce, self.attention = (
                nn.Conv2d(WIDTH, WIDTH, 8, 8),
                nn.MultiheadAttention(WIDTH, 2, batch_first=True),
            )
            self.out = nn.Identity()

        def forward(self, x):
            x = self.stem(x)
            few = self.reduce(x).flatten(2).transpose(1, 2)
            x = self.norm(x.flatten(2).transpose(1, 2))
            return self.out(x + self.attention(x, few, few)[0])

    net = Reduced()
    network = mine(net, ["stem", "norm", "out"], size)
    assert network.token_shapes() == [(size[0] // 4, size[1] // 4, WIDTH)] * 3 and network._layouts[2].prefix == 0


def test_attention_is_no_map():
    class Attention(Transformer):
        def __init__(self):
            super().__init__()
            self.softmax = Call(lambda q: (q @ q.transpose(2, 3)).softmax(-1))

        def forward(self, x):
            return self.softmax(super().forward(x).unflatten(2, (2, 6)).transpose(1, 2))

    assert "attention" in refused(Attention(), ["softmax"])


def test_another_size_later_is_said():
    net = Then(lambda x: x[..., :6] if x.max() > net.limit else x)
    net.limit = 1e9
    network = mine(net, ["out"])
    net.limit = -1e9
    with pytest.raises(InputError, match="as many tokens of every picture") as caught:
        network.tokens(pictures())
    assert "\n" not in str(caught.value)


@given(st.lists(st.integers(1, 6), max_size=5), st.integers(0, 4), st.integers(2, 5))
def test_the_axis_of_pictures_is_the_one_that_grows(others, axis, n):
    axis = min(axis, len(others))
    one, several = ((*others[:axis], b, *others[axis:]) for b in (1, n))
    assert picture_axis(one, several, n) == axis
    for wrong in (one, (*several, 1), tuple(2 * side for side in several)):
        if len(wrong) != 1 or wrong == one:
            with pytest.raises(Unclear):
                picture_axis(one, wrong, n)


# ---------------------------------------------------------------- modules as people have them


def convolutional():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 8, 8), nn.BatchNorm2d(8), nn.ReLU(True), nn.Dropout(0.5), nn.Conv2d(8, 16, 2, 2)
    )


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile, lambda m: nn.DataParallel(torch.compile(m))])
@pytest.mark.parametrize("start", ["", "module.", "_orig_mod.", "_orig_mod.module."])
def test_wrapped_and_compiled(wrap, start):
    plain, wrapped = (mine(net, [f"{start}0", f"{start}4"]) for net in (convolutional(), wrap(convolutional())))
    assert plain.layer_names == wrapped.layer_names == ["0", "4"] and plain.fingerprint == wrapped.fingerprint
    for a, b in zip(plain.tokens(pictures())[0], wrapped.tokens(pictures())[0], strict=True):
        assert torch.equal(a, b)


def test_another_order_in_memory_is_the_same_network():
    net = convolutional()
    net[4] = nn.Conv2d(8, 16, 1)  # contiguous in both orders
    ways = [mine(net.to(memory_format=order), ["0", "4"]) for order in (torch.contiguous_format, torch.channels_last)]
    assert ways[0].fingerprint == ways[1].fingerprint


def test_compiled_inside():
    net, plain = Transformer(), mine(Transformer(), ["blocks.0", "blocks.0.norm1", "blocks.1"])
    net.blocks[0] = torch.compile(net.blocks[0])
    net.compile()
    network = mine(net, ["blocks.0", "blocks.0._orig_mod.norm1", net.blocks[1]])
    assert network.layer_names == plain.layer_names
    for a, b in zip(plain.tokens(pictures())[0], network.tokens(pictures())[0], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("build, layer", [(convolutional, "4"), (lambda: Transformer(5), "blocks.1")])
def test_other_precisions(dtype, build, layer):
    """open_clip 79: tokens are float32, near those of the module in float32."""
    network, exact = mine(build().to(dtype), [layer]), mine(build(), [layer])
    local, global_ = network.tokens(pictures())
    assert local[0].dtype == global_[0].dtype == torch.float32
    torch.testing.assert_close(local[0], exact.tokens(pictures())[0][0], atol=0.1, rtol=0.1)
    assert ft.extract(network, list(pictures()), cache=False).local[0].shape[0] == 3


def test_training_mode_is_put_aside_for_every_reading():
    net = convolutional().train()
    network = mine(net, ["4"])
    expected = network.tokens(pictures())[0][0]
    net.train().requires_grad_(True)
    net[0].eval()
    assert torch.equal(network.tokens(pictures())[0][0], expected)
    assert [m.training for m in net] == [False, True, True, True, True] and all(
        p.requires_grad for p in net.parameters()
    )
    assert net[1].num_batches_tracked == 0


def test_it_can_be_trained():
    """What fine-tuning does: the mode is its own, gradients reach the weights."""
    net = convolutional()
    network = mine(net, ["4"])
    mode(trainable(network), True)
    pixels = torch.rand(2, 3, 64, 64)
    first, second = (network.pixel_tokens(pixels)[1][0] for _ in range(2))
    assert net[3].training and not torch.equal(first, second)  # drop-out
    first.sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in net[0].parameters())
    assert torch.equal(network.tokens(pictures())[0][0], network.tokens(pictures())[0][0])


def on_meta():
    with torch.device("meta"):
        return convolutional()


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch, self.act, self.unused = nn.Conv2d(3, 8, 8, 8), nn.ReLU(True), nn.Linear(3, 3)
        self.blocks = nn.ModuleList([nn.Conv2d(8, 8, 1)] * 3)

    def forward(self, x):
        x = self.act(self.patch(x))
        for block in self.blocks:
            x = self.act(block(x))
        return x


@pytest.mark.parametrize(
    "build, layers, options, words",
    [
        (on_meta, ["0"], {}, "meta device"), (lambda: nn.Sequential(nn.LazyConv2d(8, 8, 8)), ["0"], {}, "without a size yet"),
        (lambda: torch.jit.trace(convolutional().eval(), torch.rand(1, 3, 64, 64)), ["0"], {}, "TorchScript"),
        (lambda: convolutional().state_dict(), ["0"], {}, "a state dictionary"), (lambda: len, ["0"], {}, "a torch module"),
        (lambda: nn.Sequential(nn.Conv2d(1, 8, 8, 8)), ["0"], {}, "to have 1 channels"),
        (lambda: nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.Flatten(), nn.Linear(512, 1)), ["0"], {"size": 72}, "change input_size"),
        (convolutional, ["0"], {"size": 0}, "input_size"), (convolutional, ["0"], {"size": (3, 64, 64)}, "(height, width)"),
        (convolutional, ["0"], {"size": True}, "input_size"), (convolutional, ["0"], {"mean": (0.5,)}, "three numbers"),
        (convolutional, ["0"], {"mean": (123.7, 116.3, 103.5)}, "colours in 0 … 1"), (convolutional, None, {}, "found NoneType"),
        (convolutional, ["0"], {"std": (255, 255, 255)}, "divide mean and std by 255"),
        (convolutional, ["0"], {"std": (0, 1, 1)}, "three positive numbers"), (convolutional, ["0"], {"prefix": -1}, "prefix"),
        (convolutional, ["0"], {"form": "NCHW"}, "tokens, nchw, nhwc"), (convolutional, ["0", "module.0"], {}, "each layer once"),
        (convolutional, [""], {}, "named_modules()"), (convolutional, [None], {}, "NoneType"), 
        (convolutional, [], {}, "at least one layer"),
        (Shared, ["blocks.0", "blocks.1"], {}, "the same module as blocks.0"), (Shared, ["unused"], {}, "unused was not"),
    ],
)  # fmt: skip
def test_modules_that_cannot_be_read(build, layers, options, words):
    assert words in refused(build(), layers, **options)


def test_a_module_used_twice_gives_its_last_output():
    net = Shared()
    network = mine(net, ["act"])
    with torch.no_grad():
        assert torch.equal(network.tokens(pictures())[0][0], net(network.prepare(pictures())).permute(0, 2, 3, 1))
    assert mine(net, "act").layer_names == mine(net, net.act).layer_names == ["act"]


def test_memory_that_runs_out_is_for_the_reader():
    def hungry(x):
        if len(x) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x

    features = ft.extract(mine(Then(hungry), ["out"]), list(pictures(9)), cache=False)
    assert features.local[0].shape == (9, 8, 8, 8)


def test_features_of_other_settings_are_never_taken_for_these():
    """The name is the user's: weights, layers, colours, form of the network and its code are in the fingerprint."""

    class Squared(Then):
        def forward(self, x):
            return self.out(self.patch(x)) ** 2

    class Table(Then):
        def __init__(self, run, value):
            super().__init__(run)
            self.register_buffer("table", torch.full((3,), float(value)), persistent=False)

    def double(x):
        return 2 * x

    images = list(pictures())
    networks = [
        mine(Then(double), ["out"]), mine(Then(double), ["patch"]), mine(Then(double), ["out"], mean=(0, 0, 0)),
        mine(Then(double), ["out"], std=(1, 1, 1)), mine(Then(double), ["out"], 32), mine(Then(double), ["out"], (32, 64)),
        mine(nn.Sequential(*Then(double).children()), ["1"]), mine(Squared(double), ["out"]), mine(Then(double).half(), ["out"]),
        mine(Table(double, 1), ["out"]), mine(Table(double, 2), ["out"]), mine(Then(double), ["out"], weights_of="these"),
    ]  # fmt: skip
    assert len({network.fingerprint for network in networks}) == len(networks)
    assert mine(Then(double), ["out"]).fingerprint == networks[0].fingerprint
    out, patch = (ft.extract(network, images).local[0] for network in networks[:2])
    np.testing.assert_allclose(out, 2 * patch.astype(np.float32), rtol=2e-3)


def test_random_numbers_of_the_caller_are_left_alone():
    torch.manual_seed(3)
    net, expected = Transformer(), torch.rand(2)
    torch.manual_seed(3)
    net = Transformer()
    mine(net, ["blocks.0"])
    assert torch.equal(torch.rand(2), expected)
