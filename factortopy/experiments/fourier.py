"""Pictures that an optimiser can write: Fourier parameters in decorrelated colours, and random transforms of the result."""

import math

import torch
import torch.nn.functional as F

# Lucid's colour matrix (Apache-2.0): independent parameters to red, green and blue as they go together in photographs.
COLOUR = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]]) / 0.46195
START = 0.01  # standard deviation of the first parameters
SOFT = 4.0  # Lucid divides by it
GREY = 0.5

# How far a transform goes. Shifts as a share of the width: Lucid's 12 pixels of its 224.
SHIFT, ZOOM, TURN = 12 / 224, 0.1, 10.0  # width, ±, ± degrees


def frequencies(size):
    """(size, size // 2 + 1) spatial frequency of each parameter in cycles a pixel."""
    return torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None])


def first_parameters(size, generators):
    """Random Fourier parameters, one set a generator: (S, 3, size, size // 2 + 1, 2)."""
    shape = (3, size, size // 2 + 1, 2)
    return torch.stack([torch.randn(shape, generator=g) * START for g in generators])


def picture(parameters):
    """Fourier parameters (S, 3, size, size // 2 + 1, 2) -> (S, 3, size, size) pixels in 0 … 1 (Lucid's image model).

    Each frequency is scaled by 1/f, so that equal steps of all parameters give the spectrum of a photograph; the colour
    matrix acts on the channels of each pixel.
    """
    size = parameters.shape[2]
    scale = size / frequencies(size).clamp_min(1 / size) / SOFT
    plane = torch.fft.irfft2(torch.view_as_complex(parameters) * scale, s=(size, size))
    return torch.sigmoid(coloured(plane))


def coloured(plane):
    """(S, 3, H, W) decorrelated values -> (S, 3, H, W) of red, green and blue: the matrix at each pixel by itself."""
    return torch.einsum("rc,schw->srhw", COLOUR, plane)


def transformed(pixels, generators):
    """Each picture shifted, scaled and turned at random over mid grey; the size stays.

    What a padding, a crop and a resize would do is one resampling here, which blurs less. Half of the pictures are
    shifted by whole pixels alone, so that fine detail counts as it does in the end.

    Parameters
    ----------
    pixels : (S, 3, H, W) tensor in 0 … 1
    generators : S torch generators, one a picture, so that a seed's picture does not depend on its neighbours

    Returns
    -------
    (S, 3, H, W) tensor
    """
    draws, width = torch.stack([torch.rand(5, generator=g) for g in generators]) * 2 - 1, pixels.shape[3]
    blurred = draws[:, 4] > 0
    turn = blurred * draws[:, 0] * math.radians(TURN)
    zoom = 1 + blurred * ZOOM * draws[:, 1]
    shift = (SHIFT * width * draws[:, 2:4]).round() * 2 / width  # the grid runs from −1 to 1
    cos, sin = torch.cos(turn) / zoom, torch.sin(turn) / zoom
    rows = torch.stack([torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1)
    grid = F.affine_grid(rows, pixels.shape, align_corners=False)
    return F.grid_sample(pixels - GREY, grid, align_corners=False) + GREY  # outside is grey


def roughness(pixels):
    """Mean squared difference of neighbouring pixels, (S,): the power spectrum weighted by f², as Parseval says."""
    return sum(pixels.diff(dim=d).square().mean((1, 2, 3)) for d in (2, 3))


def same_spectrum(pixels, generator):
    """Noise with the spectrum and colours of pictures (S, 3, H, W): phases shifted at random, alike in all channels."""
    size = pixels.shape[2:]
    mean = pixels.mean((2, 3), keepdim=True)
    white = torch.fft.rfft2(torch.randn((len(pixels), 1, *size), generator=generator))
    turned = torch.fft.irfft2(torch.fft.rfft2(pixels - mean) * (white / white.abs().clamp_min(1e-12)), s=size)
    return (mean + turned).clamp(0, 1)


def as_bytes(pixels):
    """(S, 3, H, W) tensor in 0 … 1 -> (S, H, W, 3) uint8 array."""
    return (pixels.detach().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
