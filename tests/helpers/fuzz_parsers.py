"""Every parser of outside input in one registry: sound files made here, and the function that reads what a stranger sends."""

import atexit
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from factortopy.errors import InputError
from factortopy.surfaces.coordinates import Vertices


@dataclass(frozen=True)
class Parser:
    """A way in from outside.

    seeds : callable() -> list of sound bytes; parse : callable(bytes, folder), returns or raises InputError
    share : inputs of the whole run, in thousands; dictionary : words of the format that are put in
    """

    name: str
    seeds: Callable
    parse: Callable
    share: float
    dictionary: tuple = ()


PARSERS = {}


def parser(name, share, seeds, dictionary=()):
    """Register a parse function."""

    def register(parse):
        PARSERS[name] = Parser(name, seeds, parse, share, dictionary)
        return parse

    return register


def put(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


def saved(write, *args, **options):
    buffer = io.BytesIO()
    write(buffer, *args, **options)
    return buffer.getvalue()


def noise(*shape, high=256, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, high, shape).astype(dtype)


def picture_seeds():
    from picture_bytes import png, rgb_profile, tiff
    from PIL import Image, features

    rgb = Image.fromarray(noise(24, 20, 3))
    frames = [Image.fromarray(noise(16, 16)) for _ in range(3)]
    made = [saved(rgb.save, kind) for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP")]
    made += [saved(rgb.save, "AVIF")] if features.check("avif") else []
    made.append(saved(rgb.convert("CMYK").save, "JPEG"))
    made.append(saved(Image.fromarray(noise(20, 20, high=65536, dtype=np.uint16)).save, "PNG"))
    made.append(saved(Image.fromarray(noise(20, 20).astype(np.float32)).save, "TIFF"))
    made += [saved(frames[0].save, kind, save_all=True, append_images=frames[1:]) for kind in ("GIF", "PNG", "WEBP")]
    exif = Image.Exif()
    exif[274], exif[306] = 6, "2026:11:21 00:00:00"
    made += [png(noise(9, 9, 3, high=65536, dtype=np.uint16), 2, (b"cICP", b"\x0c\x0d\0\1"), depth=16)]
    made += [
        png(noise(9, 9, 3), 2, (b"gAMA", b"\0\1\x86\xa0")),
        tiff(noise(9, 9, 3, high=65536, dtype=np.uint16), 2, planes=True),
    ]
    made += [saved(rgb.save, "TIFF", icc_profile=rgb_profile("Display P3", 1.8))]
    return [*made, saved(rgb.save, "JPEG", exif=exif), saved(rgb.convert("P").save, "PNG", transparency=3)]


@parser(
    "picture",
    10,
    picture_seeds,
    (b"IHDR", b"acTL", b"cICP", b"iCCP", b"\xff\xd8", b"Exif\0\0", b"II*\0", b"GIF89a", b"nclx", b"mft1"),
)
def _picture(data, folder):
    from factortopy.pictures.reading import read_picture

    pixels = read_picture(data, "a.png").pixels
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3


def zip_of(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@parser(
    "zip of pictures",
    7,
    lambda: [zip_of({f"{k}/a{k}.png": data for k, data in enumerate(picture_seeds()[:3])})],
    (b"PK\x01\x02", b"../x"),
)
def _zip(data, folder):
    from factortopy.pictures.archives import read_zip
    from factortopy.pictures.reading import read_pictures

    for picture in read_pictures(read_zip(data, "a.zip")).good:
        assert picture.pixels.dtype == np.uint8


def tiny_encoder(vertices=24, layers=3, seed=0):
    """An encoder of drawn numbers (simulated), scored; made without torch."""
    from factortopy.encoder import Encoder, Selectors

    rng, n = np.random.default_rng(seed), vertices

    def drawn(*shape):
        return rng.normal(size=shape).astype(np.float32)

    half = np.full(n, 0.5, np.float32)
    selectors = Selectors(np.tanh(drawn(n, 2)), np.full((n, layers), 1 / layers, np.float32), half, drawn(n, 8))
    alignment = {kind: [drawn(4, 8) for _ in range(layers)] for kind in ("local", "global")}
    alignment |= {f"{kind}_offset": [drawn(8) for _ in range(layers)] for kind in ("local", "global")}
    encoder = Encoder(
        selectors, alignment, drawn(n), Vertices(np.repeat([0, 1], n // 2), np.tile(np.arange(n // 2), 2)),
        [f"layer {k}" for k in range(layers)], 8, rois={"V1": np.arange(n) < 8}, noise_ceiling=half, maps={"size": drawn(n)},
        info={"subject": "demo-1", "backbone": "demo-vit", "recipe": "fast", "seed": seed, "simulated": True},
    )  # fmt: skip
    encoder.scores = {"score": drawn(n), "predicted": np.ones(n), "noise_ceiling": half}
    return encoder


@cache
def run_folder():
    """A finished run of 24 vertices with an experiment's result, gallery and scores; made once a process (simulated)."""
    from PIL import Image

    from factortopy.analysis.gallery import COLUMNS, ROWS, TILE
    from factortopy.experiments.result import Result
    from factortopy.runs.run import Run
    from factortopy.storage.files import write_tensors

    encoder, rng = tiny_encoder(), np.random.default_rng(1)
    n, folder = encoder.n_vertices, Path(tempfile.mkdtemp(prefix="factortopy-fuzzing-")) / "run"
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
    run = Run.create(folder, {"subject": "demo-1", "backbone": "demo-vit", "steps": 3}, "running")
    encoder.save(folder)
    Image.fromarray(noise(ROWS * TILE, COLUMNS * TILE, 3)).save(folder / "gallery.jpg", quality=10)
    responses = rng.normal(size=(5, n)).astype(np.float16)
    tensors = {"measured": responses, "predicted": responses, "image": np.arange(5)}
    write_tensors(folder / "gallery.safetensors", tensors)
    run.update(state="finished", scores=[{"roi": "all", "vertices": n, "score": 0.3}], density="10k")
    lines = "".join(f"{k},{k / 7:.2f},0.{k},\n" for k in range(1, 30))
    (folder / "history.csv").write_text(f"step,seconds,loss,val_score\n{lines}")
    maps, seen = {"t": rng.normal(size=n).astype(np.float32)}, {"seen": noise(2, 16, 16, 3)}
    result = Result("localizer", {"n": 4}, maps, {"area": {"V1": 0.5}}, {"x": np.arange(3)}, seen, ["a note"])
    result.save(folder / "experiments" / "localizer-00")
    return folder


@cache
def run_files():
    """{member: bytes} of the packed run, its listing among them."""
    from factortopy.runs.archive import pack_run
    from factortopy.runs.run import Run

    with tempfile.TemporaryDirectory() as place:
        path = pack_run(Run(run_folder()), Path(place), experiments=True)
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


@parser("run archive", 3, lambda: [zip_of(run_files())], (b"PK\x01\x02", b"../x", b"run.json"))
def _run_archive(data, folder):
    _unpack(data, folder)


def _unpack(data, folder):
    from factortopy.runs.archive import unpack_run
    from factortopy.storage.home import runs_dir

    before, kept = os.environ.get("FACTORTOPY_HOME"), folder / "home"
    os.environ["FACTORTOPY_HOME"] = str(kept)
    try:
        run = unpack_run(data, "a.zip")
        assert run.path.parent == runs_dir() and run.status == "finished"
        run.delete()
        assert not list(runs_dir().iterdir())
    except InputError:
        assert not list(runs_dir().iterdir()), "something was left behind"
        raise
    finally:
        os.environ.pop("FACTORTOPY_HOME")
        if before is not None:
            os.environ["FACTORTOPY_HOME"] = before


def member_seeds():
    """Members with their names before them; the archive is built anew around the damaged one, its listing fits."""
    return [name.encode() + b"\0" + data for name, data in run_files().items() if name != "factortopy.json"]


@parser(
    "member of a run archive", 6, member_seeds, (b'"F32"', b'"shape"', b'"data_offsets"', b'"finished"', b'"scores"')
)
def _member(data, folder):
    from sent_runs import relist

    name, _, inside = data.partition(b"\0")
    files = run_files()
    name = name.decode("utf-8", "replace")
    if name in files and name != "factortopy.json":
        files = {**files, name: inside}
    else:
        files = {**files, "history.csv": data}
    _unpack(zip_of(relist(files)), folder)


def tensor_seeds():
    from safetensors.numpy import save

    return [
        save({"a": noise(3, 4).astype(np.float32), "b": np.arange(5), "c": np.ones((2, 2), np.float16)}, {"k": "v"}),
        save({"module.x": np.ones(3, np.float32)}),
    ]


SAFETENSORS = (
    b'"F32"',
    b'"F64"',
    b'"BF16"',
    b'"shape":[',
    b'"data_offsets":[0,',
    b'"__metadata__"',
    b"version https://git-lfs",
)


@parser("safetensors", 6, tensor_seeds, SAFETENSORS)
def _safetensors(data, folder):
    from factortopy.storage.files import read_tensors

    read_tensors(put(folder, "a.safetensors", data))


@parser("weights as safetensors", 4, tensor_seeds, SAFETENSORS)
def _weights(data, folder):
    from factortopy.backbones.weights import read_weights

    read_weights(put(folder, "w.safetensors", data), "a network")


def checkpoint_seeds():
    import torch

    tensors = {"state_dict": {"module.a": torch.ones(3, 2), "module.b": torch.arange(4)}, "epoch": 3}
    return [
        saved(lambda f: torch.save(tensors, f)),
        saved(lambda f: torch.save(tensors, f, _use_new_zipfile_serialization=False)),
    ]


@parser(
    "weights of PyTorch",
    5,
    checkpoint_seeds,
    (b"cposix\nsystem\n", b"c__builtin__\neval\n", b"R.", b"ctorch._utils\n_rebuild_tensor_v2\n"),
)
def _checkpoint(data, folder):
    from factortopy.backbones.weights import read_weights

    read_weights(put(folder, "w.pth", data), "a network")


TINY = {"img_size": 32, "depth": 1, "embed_dim": 12, "num_heads": 3}  # of timm's vit_tiny_patch16_224


@cache
def trained_seeds():
    """Shapes and settings of checkpoints, as JSON: damage reaches what compares them with the network."""
    import timm
    import torch

    with torch.device("meta"):
        network = timm.create_model("vit_tiny_patch16_224", num_classes=0, **TINY)
    shapes = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    teacher = {f"module.backbone.{key}": shape for key, shape in shapes.items()} | {"module.head.mlp.weight": [8, 12]}
    whole = {
        "model": shapes | {"pos_embed": [1, 17, 12]},
        "args": {"img_size": 64, "num_heads": 3, "model": {"patch_size": 16}},
    }
    made = [shapes, {"teacher": teacher, "student": {"module.backbone.cls_token": [1, 1, 12]}, "epoch": 3}, whole]
    made.append(
        {
            "state_dict": {f"model._orig_mod.{key}": shape for key, shape in shapes.items()},
            "hyper_parameters": {"heads": 3},
        }
    )
    return [json.dumps(one).encode() for one in made]


def _filled(content):
    """Tensors where JSON has lists of sizes."""
    import torch

    if isinstance(content, dict):
        return {key: _filled(value) for key, value in content.items()}
    sizes = isinstance(content, list) and all(type(n) is int and 0 <= n < 10**6 for n in content)
    return torch.full(content, 0.5) if sizes and len(content) < 9 and np.prod(content, dtype=float) < 10**6 else content


@parser("checkpoint of a training", 3, trained_seeds, (b"backbone.", b"_orig_mod.", b"[1, 5, 12]", b"ema"))
def _trained(data, folder):
    import torch

    from factortopy.backbones.timm_adapter import load_timm

    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise InputError("no JSON") from None
    torch.save(_filled(content), folder / "c.pth")
    backbone = load_timm("vit_tiny_patch16_224", folder / "c.pth", options=TINY)
    assert all((tensor == 0.5).all() for key, tensor in backbone.model.state_dict().items() if "pos_embed" not in key)


def index_seeds():
    names = {"module.x": "w-00001-of-00002.safetensors", "module.y": "w-00002-of-00002.safetensors"}
    return [json.dumps({"metadata": {"total_size": 24}, "weight_map": names}).encode()]


@parser("index of shards", 1, index_seeds, (b"../", b"w-00003-of-00002.safetensors", b'"weight_map"'))
def _index(data, folder):
    from safetensors.numpy import save

    from factortopy.backbones.weights import read_weights

    for k, key in enumerate(("module.x", "module.y")):
        put(folder, f"w-0000{k + 1}-of-00002.safetensors", save({key: np.ones(3, np.float32)}))
    assert read_weights(put(folder, "w.safetensors.index.json", data), "a network").tensors


@parser(
    "run.json",
    6,
    lambda: [(run_folder() / "run.json").read_bytes()],
    (b'"schema": 1', b'"settings": {', b'"finished": true', b'"holder"'),
)
def _run_json(data, folder):
    from factortopy.runs.folder import STATUSES
    from factortopy.runs.run import Run
    from pages.parts.runs import recipe_of, run_label

    put(folder, "run.json", data)
    run = Run(folder)
    status, reason = run.state()
    assert status in STATUSES
    if status == "unreadable":
        raise InputError(reason)
    run.settings, run.name, run.resumable, run.holder()  # noqa: B018
    run_label(run), recipe_of(run.info)
    whole = next((row for row in run.info.get("scores") or [] if row["roi"] == "all"), {})
    np.isfinite(whole.get("ceiling") or np.nan)


@parser(
    "finished run",
    4,
    lambda: [(run_folder() / "run.json").read_bytes()],
    (b'"layer_names"', b'"grid": 8', b'"roi_names"', b'"model": "ridge"'),
)
def _finished_run(data, folder):
    from factortopy.encoder import Encoder

    for name in ("encoder.safetensors", "selectors.safetensors", "scores.safetensors"):
        if not (folder / name).exists():
            (folder / name).symlink_to(run_folder() / name)
    put(folder, "run.json", data)
    encoder = Encoder.load(folder)
    assert len(encoder.selectors().layer) == len(encoder.vertex)


@parser("history.csv", 4, lambda: [(run_folder() / "history.csv").read_bytes()])
def _history(data, folder):
    from factortopy.runs.history import read_history

    history = read_history(put(folder, "history.csv", data))
    assert len(history.step) == len(history.loss) == len(history.seconds) == len(history.val_score)


def protocol_seeds():
    from factortopy.experiments.protocol import EXPERIMENTS, read_protocol

    return [json.dumps(read_protocol(name), indent=1).encode() for name in EXPERIMENTS]


@parser("protocol", 6, protocol_seeds, (b'"experiment": "lesion"', b'"settings": ', b'"protocol": 1'))
def _protocol(data, folder):
    from factortopy.experiments.protocol import read_protocol

    read_protocol(str(put(folder, "p.json", data)))


def result_seeds():
    place = run_folder() / "experiments" / "localizer-00"
    return [
        name.encode() + b"\0" + (place / name).read_bytes()
        for name in ("result.json", "protocol.json", "result.safetensors")
    ]


@parser(
    "result of an experiment", 4, result_seeds, (b'"maps"', b'"pictures": {"seen": 1000000000}', b'"numbers"', b'"t"')
)
def _result(data, folder):
    from factortopy.experiments.result import Result

    name, _, inside = data.partition(b"\0")
    place = run_folder() / "experiments" / "localizer-00"
    (folder / "pictures").mkdir(exist_ok=True)
    for path in place.rglob("*"):
        if path.is_file():
            (folder / path.relative_to(place)).write_bytes(path.read_bytes())
    name = name.decode("ascii", "replace")
    put(folder, name if name in ("result.json", "protocol.json", "result.safetensors") else "result.json", inside)
    Result.load(folder)


import fuzz_data_parsers  # noqa: E402, F401  (they register themselves)
