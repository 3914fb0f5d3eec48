"""Held-out pictures of a run with their measured and predicted responses, kept small enough to travel with it."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from factortopy.encoder.films import as_fitted, rows_of
from factortopy.errors import unexpected
from factortopy.storage.files import read_tensors, write_atomic, write_tensors

TILE = 112  # pixels
COLUMNS = 12
ROWS = 3  # at least: a thinner sheet would be padded when it is read
MOST = 120  # pictures


@dataclass(frozen=True)
class Gallery:
    """Pictures that the encoder was not fitted to.

    pictures : (n, TILE, TILE, 3) uint8; measured, predicted : (n, N) float16; image : (n,) row of the subject's images
    """

    pictures: np.ndarray
    measured: np.ndarray
    predicted: np.ndarray
    image: np.ndarray

    @property
    def number(self):
        """(n,) what people call the pictures: the subject's counted from 1, as ``Subject.picture_name`` does."""
        return self.image + 1

    def top(self, vertex, k=6):
        """Rows of the ``k`` pictures with the largest predicted response.

        ``vertex`` is a row of the subject, or several, (m,) int or (N,) bool, of which the mean response counts.
        """
        response = self.predicted[:, vertex].astype(np.float32)
        response = response if response.ndim == 1 else response.mean(1)
        return np.argsort(-response, kind="stable")[:k]


def make_gallery(encoder, subject, features, folder):
    """Write gallery.jpg and gallery.safetensors into a run folder: up to 120 test pictures.

    Nothing is written for a subject without pictures.
    """
    if subject.images is None:
        return
    from PIL import Image

    from factortopy.features.reader import as_pixels

    trials, features = np.asarray(subject.split.test), as_fitted(encoder, subject, features)
    image, row = _shown(encoder, subject, trials), rows_of(subject, trials)
    shown = np.unique(image)
    shown = shown[np.linspace(0, len(shown) - 1, min(MOST, len(shown))).round().astype(int)]
    measured = np.stack([np.asarray(subject.responses[trials[image == i]], dtype=np.float32).mean(0) for i in shown])
    sheet = Image.new("RGB", (COLUMNS * TILE, max(ROWS, -(-len(shown) // COLUMNS)) * TILE))
    for k, i in enumerate(shown):
        tile = Image.fromarray(as_pixels(subject.images[int(i)])).resize((TILE, TILE), Image.Resampling.LANCZOS)
        sheet.paste(tile, (k % COLUMNS * TILE, k // COLUMNS * TILE))
    buffer = BytesIO()
    sheet.save(buffer, "JPEG", quality=88)
    folder = Path(folder)
    write_atomic(folder / "gallery.jpg", buffer.getvalue())
    predicted = encoder.predict_features(features[np.array([row[image == i][0] for i in shown])])
    tensors = {"measured": measured.astype(np.float16), "predicted": predicted.astype(np.float16)}
    tensors["image"] = shown.astype(np.int32)
    write_tensors(folder / "gallery.safetensors", tensors, {"simulated": str(bool(subject.simulated))})


def _shown(encoder, subject, trials):
    """(n,) picture to show for each trial; of a film the frame that the response is mostly to."""
    if subject.image_index is None:
        return trials
    film, image = getattr(subject, "film", None), np.asarray(subject.image_index)
    if film is None:
        return image[trials]
    fir = encoder.info["fir"]
    return image[film.before(round(float(np.dot(fir["delays"], fir["weights"]))))[trials]]


def read_gallery(folder):
    """The ``Gallery`` of a run folder, or None where it has none."""
    folder = Path(folder)
    if not (folder / "gallery.safetensors").exists():
        return None
    from factortopy.pictures.reading import read_image

    tensors = read_tensors(folder / "gallery.safetensors")
    sheet = read_image(folder / "gallery.jpg")
    n, rows = len(tensors.get("image", ())), sheet.shape[0] // TILE
    shapes = [tensors[name].shape if name in tensors else () for name in ("measured", "predicted")]
    if not n or shapes[0] != shapes[1] or len(shapes[0]) != 2 or shapes[0][0] != n:
        expected = f"measured and predicted responses to {n} pictures"
        actual = f"shapes {shapes[0]} and {shapes[1]}"
        raise unexpected(f"{folder}/gallery.safetensors", expected, actual, "score it again")
    if sheet.shape[:2] != (rows * TILE, COLUMNS * TILE) or rows * COLUMNS < n:
        actual = f"{sheet.shape[1]} × {sheet.shape[0]} pixels"
        raise unexpected(f"{folder}/gallery.jpg", f"{n} pictures in rows of {COLUMNS}", actual, "score it again")
    tiles = sheet.reshape(rows, TILE, COLUMNS, TILE, 3).swapaxes(1, 2).reshape(-1, TILE, TILE, 3)[:n]
    return Gallery(tiles, tensors["measured"], tensors["predicted"], tensors["image"])
