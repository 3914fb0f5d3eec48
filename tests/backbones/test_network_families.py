"""Families of timm and OpenCLIP: each is read in the picture's own places, or refused in one line; the page of them is up to date."""

import numpy as np
import pytest
import timm
import torch

from benchmarks.network_families import PAGE, families, look_at, page, row, square_moves
from factortopy.backbones import timm_adapter
from factortopy.backbones.loading import load_backbone
from factortopy.backbones.weights import seeded
from factortopy.errors import InputError

FAMILIES = families()
ROWS = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ") and " of " in line]
# Class tokens after the last block, several grids, channels last, one's own size alone, tokens in another order.
SMALL = {
    "xcit_nano_12_p16_224": {"depth": 2},
    "cait_xxs24_224": {"depth": 2},
    "mvitv2_tiny": {},
    "levit_128s": {},
    "coatnet_pico_rw_224": {"depths": (1, 1, 1, 1)},
    "pit_ti_224": {},
    "swin_tiny_patch4_window7_224": {"depths": (1, 1, 1, 1), "embed_dim": 48},
    "twins_svt_small": {"depths": (1, 1, 1, 1)},
    "hiera_tiny_224": {"stages": (1, 1, 1, 1), "q_pool": 2},
}


@pytest.mark.parametrize("name", SMALL)
def test_a_bright_square_is_seen_in_its_quarter(name):
    """What one bright square changes at the first layer is most in its quarter of the grid, in all four."""
    model = seeded(
        lambda: timm_adapter.settled(timm.create_model(name, pretrained=False, num_classes=0, **SMALL[name]))
    )
    backbone = timm_adapter.wrap(model, name, trained=False)
    assert backbone.input_size == timm.get_pretrained_cfg(name).input_size[-1]
    local, global_ = backbone.tokens(np.zeros((2, 20, 20, 3), np.uint8))
    assert [tuple(tokens.shape[1:]) for tokens in local] == backbone.token_shapes()
    for tokens, whole in zip(local, global_, strict=True):
        torch.testing.assert_close(whole, tokens.mean((1, 2)))  # none of these hands out a class token with its layers
    assert all(bright == changed for bright, changed in square_moves(backbone))
    sites = backbone.sites()
    assert sites is None or len(sites) == len(local)
    weights = backbone.channel_weights()
    assert weights is None or [len(w) for w in weights] == [shape[2] for shape in backbone.token_shapes()]


def test_the_class_token_that_timm_keeps_to_itself_is_not_taken():
    seen = look_at("timm/mvitv2_base_cls")
    assert (
        not seen.refused and seen.token == "mean" and seen.shapes[0] == (56, 56, 96) and seen.shapes[-1] == (7, 7, 768)
    )


def test_a_transposed_grid_would_be_noticed():
    """The check itself: a network whose rows and columns are exchanged fails it."""
    backbone = load_backbone("timm/test_vit untrained")
    own = backbone.pixel_tokens
    backbone.pixel_tokens = lambda pixels: ([t.transpose(1, 2) for t in own(pixels)[0]], own(pixels)[1])
    assert [bright == changed for bright, changed in square_moves(backbone)] == [True, False, False, True]


def test_a_network_that_looks_at_values_is_known_without_them():
    """Gemma's grid is counted from its positions: timm says the layers' shapes."""
    seen = look_at("timm/" + timm.list_models("gemma*")[0])
    assert not seen.refused and seen.shapes[0][0] == seen.input_size // 16


def test_a_network_that_timm_does_not_hand_out_is_said():
    model = timm.create_model("test_vit", pretrained=False, num_classes=0)
    model.forward_intermediates = None
    with pytest.raises(InputError, match="from_module"):
        timm_adapter.wrap(model, "timm/test_vit")
    model.forward_intermediates = lambda x, **options: [torch.zeros(1, 5, 3)]
    with pytest.raises(InputError, match=r"a layer of \(1, 5, 3\)"):
        timm_adapter.wrap(model, "timm/test_vit")


def test_untrained_networks_of_one_size_are_settled_with_seeded_noise():
    torch.manual_seed(3)
    first = load_backbone("timm/levit_128s untrained")
    torch.manual_seed(4)
    assert first.fingerprint == load_backbone("timm/levit_128s untrained").fingerprint
    norms = [m for m in first.model.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    assert norms and all(norm.running_var.ne(1).any() for norm in norms)


# ---------------------------------------------------------------- the page


def test_the_page_has_every_family_and_every_name():
    counts = [line.split(" | ")[2].split(" of ") for line in ROWS]
    assert [(line.split(" | ")[1], line.split(" | ")[0].strip("| ")) for line in ROWS] == [
        (f"{library}: {part}", letters) for library, part, letters in FAMILIES
    ]
    assert [int(names) for _, names in counts] == [len(names) for names in FAMILIES.values()]
    assert page(ROWS) == PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("key", FAMILIES, ids=lambda key: "-".join(key))
def test_the_row_of_a_family_is_what_comes_out(key):
    """Every name on the meta device, the smallest member really run (half an hour in all on two cores)."""
    assert row(key, FAMILIES[key]) == ROWS[list(FAMILIES).index(key)]
