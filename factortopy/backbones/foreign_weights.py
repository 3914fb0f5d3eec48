"""Files that somebody gives as weights and that are none which PyTorch reads: what each is, and how to make weights of it."""

import re
import zipfile

from factortopy.formats.problems import foreign_content

SHARD = re.compile(r"-(\d{5})-of-(\d{5})")
SAVE = "torch.save(m.state_dict(), 'weights.pth')"
TENSORFLOW = "a TensorFlow checkpoint; convert it to PyTorch (transformers: from_pretrained(FOLDER, from_tf=True)) and save its state_dict"
KERAS = "weights of Keras (HDF5); convert the network to PyTorch and save its state_dict"
FLAX = (
    "weights of JAX or Flax (msgpack); convert them to PyTorch (transformers: from_pretrained(FOLDER, from_flax=True)) and save "
    "its state_dict"
)
ONNX = "a network in ONNX; save the PyTorch network that it was exported from: torch.save(network.state_dict(), 'weights.pth')"
NUMPY = (
    "NumPy arrays (JAX's weights are published so); timm reads those of its vision transformers: import timm, torch; "
    f"m = timm.create_model(NAME); m.load_pretrained(FILE); {SAVE}"
)
DISTRIBUTED = (
    "a distributed checkpoint of PyTorch (.distcp); make one file of it: "
    "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER weights.pth"
)
ZERO = "parts of a DeepSpeed checkpoint (ZeRO); make one file of them: python zero_to_fp32.py . weights"
# By how they begin.
MAGIC = (
    (b"\x89HDF\r\n\x1a\n", KERAS),
    (b"GGUF", "a GGUF file, quantised for llama.cpp; give the network's .safetensors"),
    (b"\x93NUMPY", NUMPY),
    (b"\x1f\x8b", "a gzip-compressed file; unpack it (gunzip, or tar xzf) and give what is in it"),
    (b"\xfd7zXZ", "an xz-compressed file; unpack it (unxz, or tar xJf) and give what is in it"),
    (b"BZh", "a bzip2-compressed file; unpack it (bunzip2) and give what is in it"),
    (b"\x28\xb5\x2f\xfd", "a zstd-compressed file; unpack it (unzstd) and give what is in it"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it and give what is in it"),
)
# By their names, where they begin in no fixed way.
SUFFIXES = {
    ".onnx": ONNX, ".npz": NUMPY, ".npy": NUMPY, ".msgpack": FLAX, ".flax": FLAX, ".keras": KERAS, ".h5": KERAS, ".distcp": DISTRIBUTED,
    ".meta": TENSORFLOW, ".pb": "a graph of TensorFlow; convert the network to PyTorch and save its state_dict",
    ".tflite": "a network in TensorFlow Lite; save the PyTorch network's state_dict",
    ".mlmodel": "a network in Core ML; save the PyTorch network's state_dict",
}  # fmt: skip


def another_kind(path, head):
    """Words for a file that holds no weights which PyTorch reads, with what to do; "" where it may hold some.

    head : its first kilobyte
    """
    words = foreign_content(head)
    if not head or "pointer" in words:
        return words.replace("the picture", "the file") + ("" if head else " (cannot be read)")
    if words.startswith("a web page"):
        return f"a file that cannot be read ({words.split(';')[0]}); download it again"
    for magic, kind in MAGIC:
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar" and not head.startswith(b"sys_info"):  # PyTorch's own first format was one
        return "a tar archive; unpack it (tar xf) and give what is in it"
    if path.name.endswith(".ckpt.index") or ".data-0000" in path.name:
        return TENSORFLOW
    if head.startswith(b"PK"):
        return _archive(path)
    if head[4:8] == b"TFL3":
        return SUFFIXES[".tflite"]
    if head.startswith(b"model_checkpoint_path:"):
        return TENSORFLOW
    if path.suffix.lower() == ".json" and not path.name.endswith(".index.json"):
        return "settings (JSON), no tensors; give the weights file beside it"
    if path.suffix.lower() in (".yaml", ".yml", ".toml", ".txt", ".py", ".md"):
        return "a file that cannot be read (text, no tensors); give the weights file beside it"
    return SUFFIXES.get(path.suffix.lower(), "")


def _archive(path):
    """What a zip archive is, "" for what torch.save wrote."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.split("/", 1)[-1] for name in archive.namelist()]
            endings = {name.rsplit(".", 1)[-1] for name in names}
    except Exception:  # zipfile raises many classes for a damaged archive
        return ""
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return (
            "a TorchScript archive (a whole program, as OpenAI's CLIP is published; it is not run here); save its tensors alone: "
            f"import torch; m = torch.jit.load({path.name!r}, map_location='cpu'); {SAVE}"
        )
    if "data.pkl" in names:
        return ""
    if "archive_format" in names or any(name.startswith("models/") and name.endswith(".json") for name in names):
        return (
            "a program of torch.export (.pt2); save its tensors alone: "
            f"import torch; m = torch.export.load({path.name!r}); torch.save(dict(m.state_dict), 'weights.pth')"
        )
    if endings == {"npy"}:
        return NUMPY
    if "model.weights.h5" in names:
        return KERAS
    return f"a zip archive ({', '.join(names[:3]) or 'empty'}); unpack it and give the weights file in it"


def folder_of_another_kind(path):
    """Words for a folder that another program wrote; "" where nothing is known of it."""
    names = {file.name for file in path.iterdir()}
    if any(name.endswith(".distcp") for name in names):
        return DISTRIBUTED
    if any(re.search(r"zero_pp_rank|model_states\.pt$", name) for name in names) or "zero_to_fp32.py" in names:
        return ZERO
    if "saved_model.pb" in names or any(name.endswith(".ckpt.index") or name == "checkpoint" for name in names):
        return TENSORFLOW
    if any(name.endswith(".msgpack") for name in names):
        return FLAX
    if any(name.endswith((".h5", ".keras")) for name in names):
        return KERAS
    if any(name.endswith(".onnx") for name in names):
        return ONNX
    return ""
