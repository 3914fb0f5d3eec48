"""Names that no network has: what was meant is proposed, as it must be written."""

import re

import open_clip
import pytest
import timm
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy.backbones.loading import load_backbone
from factortopy.backbones.lookup import look_up
from factortopy.backbones.names import nearest, unknown
from factortopy.errors import InputError


def meant(name, call=load_backbone):
    with pytest.raises(InputError) as caught:
        call(name)
    words = str(caught.value)
    assert "\n" not in words and len(words) < 420 and "; " in words
    return words


@pytest.mark.parametrize("call", [load_backbone, look_up])
@pytest.mark.parametrize(("name", "said"), [
    ("hf-hub:timm/resnet18.a1_in1k", "did you mean timm/resnet18.a1_in1k?"),
    ("hf_hub:timm/resnet18.a1_in1k", "did you mean timm/resnet18.a1_in1k?"),
    ("timm/hf-hub:timm/resnet18.a1_in1k", "did you mean timm/resnet18.a1_in1k?"),
    ("open_clip/hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "did you mean open_clip/ViT-B-32:laion2b_s34b_b79k?"),
    ("open_clip/ViT-B/32:openai", "did you mean open_clip/ViT-B-32:openai?"),
    ("open_clip/vit-b-32:OPENAI", "did you mean open_clip/ViT-B-32:openai?"),
    ("open_clip/ViT-B-32/openai", "did you mean open_clip/ViT-B-32:openai?"),
    ("google/vit-base-patch16-224", "did you mean timm/vit_base_patch16_224?"),
    ("timm/ViT_Base_Patch16_224", "did you mean timm/vit_base_patch16_224?"),
    ("timm/vit_base_patch16_224_dino", "write timm/vit_base_patch16_224.dino"),
    ("timm/vit_base_patch16_224.augreg_in21", "choose timm/vit_base_patch16_224.augreg_in21k"),
    ("timm/local-dir:/tmp", "with the downloaded file as weights"),
    ("timm/hf-hub:someone/thing", "with the downloaded file as weights"),
    ("torchvision/resnet50", "factortopy.from_module"),
    ("dinov2_vitb14", "dinov2-b"),
    ("clip-L", "did you mean clip-l?"),
    ("", "docs/networks.md"), ("/", "docs/networks.md"), ("\0", "docs/networks.md"), ("timm/\n", "docs/networks.md"),
])  # fmt: skip
def test_what_was_meant_is_said(call, name, said):
    assert said in meant(name, call)


def test_a_name_that_a_library_has_is_said_where_its_library_is_missing():
    assert "did you mean timm/resnet18?" in meant("resnet18")
    assert "did you mean timm/resnet18.a1_in1k?" in meant("resnet18.a1_in1k")
    assert "did you mean open_clip/ViT-B-32:openai?" in meant("ViT-B-32:openai")


TIMM = sorted(set(timm.list_models()))
OPEN_CLIP = [f"{model}:{tag}" for model, tag in open_clip.list_pretrained()]


@given(
    st.sampled_from(TIMM),
    st.sampled_from(("", "timm/", "hf-hub:timm/", "hf_hub:", "TIMM/", "https://huggingface.co/timm/")),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_any_timm_name_written_otherwise_is_found(name, before, data):
    written = "".join(data.draw(st.sampled_from((c.lower(), c.upper())) if c.isalpha() else st.sampled_from("_-") if c == "_"
                                else st.just(c)) for c in name)  # fmt: skip
    (proposed,) = nearest(before + written)
    assert proposed.startswith("timm/")
    assert re.sub("[^a-z0-9]", "", proposed.removeprefix("timm/")) == re.sub("[^a-z0-9]", "", name)


@given(st.sampled_from(OPEN_CLIP), st.sampled_from(("open_clip/", "OPEN_CLIP/", "open_clip/ ")), st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_open_clip_name_written_otherwise_is_found(name, before, small):
    model, tag = name.split(":")
    written = f"{model.replace('-', '/', 2)}:{tag}".lower() if small else f"{model.replace('-', '_')}:{tag.upper()}"
    (proposed,) = nearest(before + written)
    assert proposed.lower() == f"open_clip/{name}".lower()


@given(st.text(max_size=200))
@settings(max_examples=40, deadline=None)
def test_anything_else_is_one_line(name):
    words = str(unknown(name, ("clip-l", "demo-vit")))
    assert "\n" not in words and len(words) < 420
