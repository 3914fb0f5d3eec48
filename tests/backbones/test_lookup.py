"""Networks looked up by name: what the registry says by hand is what the look-up finds; readable errors; no torch for the table."""

import subprocess
import sys

import pytest

from factortopy.backbones.loading import list_backbones
from factortopy.backbones.lookup import NOWHERE, look_up, source_of
from factortopy.errors import InputError

KNOWN = {entry.name: entry for entry in list_backbones()}


@pytest.mark.parametrize(("name", "row"), [
    ("timm/vit_base_patch16_224.mae", "mae-b"), ("vit_small_patch16_dinov3.lvd1689m", "dinov3-s"),
    ("open_clip/ViT-B-32:datacomp_m_s128m_b4k", "clip-m"), ("ViT-B-16:datacomp_l_s1b_b8k", "clip-l"),
])  # fmt: skip
def test_what_is_found_is_what_the_table_says(name, row):
    found, known = look_up(name), KNOWN[row]
    for fact in ("layers", "width", "input_size", "patch", "parameters", "available", "library", "model", "source"):
        assert getattr(found, fact) == getattr(known, fact), fact
    assert found.name == f"{known.library}/{known.model}"


def test_names_of_the_table_and_untrained_ones():
    assert look_up("clip-l") == KNOWN["clip-l"] and look_up(" demo-vit untrained ") == KNOWN["demo-vit"]


def test_a_network_without_published_weights():
    found = look_up("vit_giant_patch14_224")
    assert found.source == NOWHERE and not found.available and source_of(found) is None and found.layers == 40


@pytest.mark.parametrize(("name", "said"), [
    ("vit_bas_patch16_224", "vit_base_patch16_224"), ("clip-xxl", "clip-xl"), ("ViT-B-32", "choose open_clip/ViT-B-32:TAG"),
    ("open_clip/ViT-B-32:nope", "no tag"), ("vit_base_patch16_224.nope", "choose timm/vit_base_patch16_224."),
    ("timm/", "docs/networks.md"), ("open_clip/", "docs/networks.md"), ("", "docs/networks.md"), ("x" * 5000, "docs/networks.md"),
])  # fmt: skip
def test_what_is_not_there_is_said_in_one_line(name, said):
    with pytest.raises(InputError) as error:
        look_up(name)
    assert said in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 400


def test_the_table_does_not_wait_for_torch():
    code = "import sys; from factortopy.backbones import list_backbones; list_backbones(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
