"""``PaperSettings.released()`` against the paper's released code's formulas, written again from its description, plainly.

The released code (github.com/huzeyann/BrainDecodesDeepNets): brainnet/model.py FactorTopy.forward, brainnet/plmodel.py
PLModel.downsample_local_tokens, training_step, get_decay and configure_optimizers, brainnet/coords.py load_coords,
brainnet/position_encoding.py point_position_encoding. docs/paper_recipe.md says what each does otherwise than the default.
"""

from dataclasses import asdict, fields, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_network import SmallNetwork, pictures

import factortopy as ft
from factortopy.encoder import fitting
from factortopy.encoder.fitting import SOLVERS
from factortopy.encoder.model import Factorized, encode_position
from factortopy.encoder.paper import PaperFit, PaperSettings, Readout
from factortopy.encoder.problem import as_resized, encoder_position, pose
from factortopy.features.extraction import compute, extract
from factortopy.features.reader import sampled
from factortopy.runs.costs import RELEASED, extraction_key
from factortopy.runs.settings import check_settings
from factortopy.surfaces.coordinates import Vertices
from factortopy.surfaces.meshes import load_mesh

GRID, DIM = 4, 6
SMALL = {"dim": DIM, "steps": 7, "every": 3}
OTHERWISE = [f.name for f in fields(PaperSettings) if getattr(PaperSettings.released(), f.name) != f.default]


# ---------------------------------------------------------------- the formulas, plainly


def four_nearest(tokens, grid):
    """Bilinear resizing of (h, w) without antialiasing, align_corners=False: the four nearest, edges repeated."""

    def line(side):
        at = np.clip((np.arange(grid) + 0.5) * side / grid - 0.5, 0, None)
        low = np.minimum(np.floor(at).astype(int), side - 1)
        return low, np.minimum(low + 1, side - 1), at - low

    (y0, y1, v), (x0, x1, u) = line(tokens.shape[0]), line(tokens.shape[1])
    v = v[:, None]
    top, bottom = (tokens[y][:, x0] * (1 - u) + tokens[y][:, x1] * u for y in (y0, y1))
    return top * (1 - v) + bottom * v


def spheres(vertices):
    """load_coords: the right sphere is pushed right until half a diameter lies between it and the left one."""
    mesh = load_mesh("10k")
    coords = mesh.coords["sphere"].astype(np.float64)
    left, right = coords[: mesh.n], coords[mesh.n :].copy()
    end = left[:, 0].min() + (left[:, 0].max() - left[:, 0].min()) * 1.5
    if right[:, 0].min() < end:
        right[:, 0] += end - right[:, 0].min()
    return np.concatenate([left, right])[vertices.rows]


def spanned(points):
    """point_position_encoding: from the points' own minimum, the longest axis in 100 steps."""
    low, high = points.min(0), points.max(0)
    steps = (high - low) * (100 / (high - low).max())
    return (points - low) * (steps / (high - low))


def codes(positions):
    """sinusoidal: frequencies logspace(0, 1/32 − 1, 32, base 1000); sines, then cosines of an axis, as ours stand."""
    angle = positions[:, :, None] * np.logspace(0, 1 / 32 - 1, 32, base=1000)
    return np.concatenate([np.sin(angle), np.cos(angle)], 2).reshape(len(positions), -1)


def by_hand(subject, features, s, seed):
    """Losses and the last prediction of all pictures: one grid_sample a layer, all vertices, every parameter by AdamW.

    Only the start comes from the library: the same numbers drawn, so that the two can be compared.
    """
    images, train = np.arange(len(features)), np.asarray(subject.split.train)
    local, global_ = [], []
    for tokens, token in zip(features.local, features.global_, strict=True):
        how = {"mode": "bilinear", "align_corners": False, "antialias": s.antialias}
        local.append(F.interpolate(torch.from_numpy(tokens).permute(0, 3, 1, 2), (GRID, GRID), **how))
        global_.append(torch.from_numpy(token))
        if s.standardise:
            a, b = local[-1], global_[-1]
            mean, sd = a[train].mean((0, 2, 3), keepdim=True), a[train].std((0, 2, 3), unbiased=False, keepdim=True)
            local[-1] = (a - mean) / sd
            global_[-1] = (b - b[train].mean(0)) / b[train].std(0, unbiased=False)
    points = spheres(subject.vertices) if s.surface == "sphere" else subject.vertices.coords()
    if s.surface == "sphere" and s.span == "mesh":  # the whole mesh's span: 500 of the two spheres and what is between
        whole = spheres(Vertices.of_mesh())
        points = (points - whole.min(0)) * 100 / (whole.max(0) - whole.min(0)).max()
    code = torch.from_numpy(codes(spanned(points) if s.span == "vertices" else points)).float()
    unit = float(np.median(subject.responses[train].std(0))) if s.own_unit else 1.0
    answers = torch.from_numpy(subject.responses) / unit

    problem = pose(subject, as_resized(features, GRID, s.antialias), GRID, "cpu", **s.laid_out)
    start = Factorized(problem, s.dim, seed, unit_variance=False)
    readout = Readout(len(answers[0]), s.dim, seed, "cpu")
    mlps = start.selectors.factors
    near, far, weight, bias = list(start.local.weight), list(start.global_.weight), readout.weight, readout.bias

    def forward(rows):
        space, layer, scale = mlps["space"](code).tanh(), mlps["layer"](code).softmax(-1), mlps["scale"](code).sigmoid()
        v = 0
        for l, (a, b) in enumerate(zip(near, far, strict=True)):
            aligned = torch.einsum("bchw,cd->bdhw", local[l][rows], a)
            where = space[None, :, None].expand(len(rows), -1, 1, 2)
            seen = F.grid_sample(aligned, where, mode="bilinear", padding_mode="zeros", align_corners=False)[..., 0]
            whole = (global_[l][rows] @ b)[:, :, None]
            v = v + layer[:, l] * ((1 - scale[:, 0]) * seen + scale[:, 0] * whole)
        logarithm = (layer + s.added).log() if s.added else layer.clamp_min(1e-9).log()
        entropy = (logarithm * layer).sum(-1).mean() / np.log(len(near))
        return (v.transpose(1, 2) * weight).mean(-1) + bias, entropy + (scale - 0.5).pow(2).mean()

    parameters = [*start.parameters(), *readout.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=1e-3)
    losses, passes = [], -(-len(train) // s.batch)
    for step in range(s.steps):
        if s.passes:
            order = np.random.default_rng([seed, step // passes]).permutation(train)
            rows = order[step % passes * s.batch :][: s.batch]
        else:
            rows = np.random.default_rng([seed, step + 1]).choice(train, s.batch, replace=False)
        predicted, regulariser = forward(rows)
        decay = max(0.0, 1 - (step + s.first) / s.decay)
        loss = F.smooth_l1_loss(predicted, answers[rows], beta=0.1) + 0.1 * decay * regulariser
        optimiser.zero_grad()
        loss.backward()
        if s.clip:
            torch.nn.utils.clip_grad_norm_(parameters, s.clip)
        optimiser.step()
        losses.append(loss.item())
    with torch.no_grad():
        return losses, (forward(images)[0] * unit).numpy()


# ---------------------------------------------------------------- a small problem


@pytest.fixture(scope="module")
def problem():
    """Random tokens on grids that must be resized, responses on fsaverage5 that follow them."""
    rng = np.random.default_rng(0)
    local = [
        3 + 2 * rng.standard_normal((60, side, side, c)).astype(np.float32) for side, c in ((7, 5), (6, 8), (9, 4))
    ]
    global_ = [t.mean((1, 2)) * 2 for t in local]
    hemi, vertex = np.repeat([0, 1], 25), np.tile(np.sort(rng.permutation(10242)[:25]), 2)
    drive = np.concatenate([g[:, :3] for g in global_], 1) @ rng.standard_normal((9, 50))
    responses = (4 * drive / drive.std() + 4 * rng.standard_normal((60, 50))).astype(np.float32)
    return ft.Subject(responses, None, hemi, vertex, name="random"), ft.Features.from_arrays(local, global_)


def fitted(problem, s, seed=3, **more):
    subject, features = problem
    losses = []
    encoder = ft.fit(
        subject, features, recipe="paper", settings=s, seed=seed, grid=GRID, on_progress=lambda p: losses.append(p.loss), **more
    )  # fmt: skip
    return losses, encoder


# ---------------------------------------------------------------- each setting, and all


@pytest.mark.parametrize("name", [*OTHERWISE, "none", "all"])
def test_each_released_setting_is_the_released_formula(problem, name):
    released = {f: getattr(PaperSettings.released(), f) for f in OTHERWISE}
    changes = {"none": {}, "all": released}.get(name) or ({name: released[name]} if name in released else {})
    # The last state in both: by hand nothing is averaged. λ decays within the few steps.
    s = replace(PaperSettings(**SMALL), **{**changes, "ingredients": 0, "steps": 7, "dim": DIM, "decay": 5.0})
    s = replace(s, clip=0.05) if s.clip else s  # so that it is met
    losses, encoder = fitted(problem, s)
    expected, prediction = by_hand(*problem, s, 3)
    np.testing.assert_allclose(losses, expected, rtol=2e-5)
    np.testing.assert_allclose(
        encoder.predict_features(problem[1]), prediction, rtol=1e-4, atol=1e-4 * prediction.std()
    )


@pytest.mark.parametrize("name", sorted(set(OTHERWISE) - {"steps", "every", "patience", "decay", "added"}))
def test_each_released_setting_changes_the_fit(problem, name):
    """What makes no difference is not followed."""
    base = replace(PaperSettings(**SMALL), decay=5.0, steps=9)
    if name == "ingredients":  # where validation gets worse, the soup is not the last state
        base = replace(base, rate=1.0)
    own = 0.05 if name == "clip" else getattr(PaperSettings.released(), name)
    _, a = fitted(problem, base)
    _, b = fitted(problem, replace(base, **{name: own}))
    assert np.abs(a.predict_features(problem[1]) - b.predict_features(problem[1])).max() > 1e-6


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 12), st.integers(0, 1000))
def test_resizing_looks_at_the_four_nearest(h, w, grid, seed):
    tokens = np.random.default_rng(seed).standard_normal((1, h, w, 2)).astype(np.float32)
    found = sampled(torch.from_numpy(tokens), grid)[0].numpy()
    for c in range(2):
        np.testing.assert_allclose(found[..., c], four_nearest(tokens[0, ..., c], grid), rtol=1e-5, atol=1e-5)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60), st.booleans())
def test_positions_are_those_of_the_released_code(seed, n, both):
    rng = np.random.default_rng(seed)
    sides = (0, 1) if both else (seed % 2,)
    vertex = [np.sort(rng.permutation(10242)[:n]) for _ in sides]
    vertices = Vertices(np.repeat(sides, n), np.concatenate(vertex))
    subject = ft.Subject(np.zeros((30, len(vertices)), np.float32), None, vertices.hemi, vertices.vertex, name="any")
    found = encoder_position(subject, "sphere", "vertices")
    expected = spanned(spheres(vertices))
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert found.min() == 0 and found.max() == pytest.approx(100, abs=1e-4)
    np.testing.assert_allclose(encode_position(torch.from_numpy(found).double()), codes(expected), atol=3e-4)


def test_spheres_of_finer_meshes_go_through_the_same_points():
    """A vertex of fsaverage5 is one of fsaverage7 too, and lies where it lay."""
    few = Vertices(np.repeat([0, 1], 50), np.tile(np.arange(50) * 200, 2))
    for density in ("41k", "164k"):
        finer = Vertices(few.hemi, few.vertex, density).coords(surface="sphere")
        np.testing.assert_allclose(finer, few.coords(surface="sphere"), atol=2e-3)


def test_ones_own_coordinates_stay(problem):
    subject, _ = problem
    own = ft.Subject(
        subject.responses, None, subject.hemi, subject.vertex, coords=spheres(subject.vertices) * 3 + 7, name="own"
    )
    np.testing.assert_allclose(
        encoder_position(own, "sphere", "vertices"), spanned(spheres(subject.vertices)), atol=1e-3
    )


def test_batches_are_parts_of_shuffled_passes(problem):
    subject, features = problem
    s = replace(PaperSettings.released(), dim=DIM).settled(45)
    laid = pose(subject, as_resized(features, GRID, False), GRID, "cpu", **s.laid_out)
    fit, train = PaperFit(laid, s, Factorized(laid, DIM, 0, unit_variance=False), 0), np.sort(subject.split.train)
    per_pass = -(-len(train) // 8)
    seen = [fit.parts(step)[1] for step in range(1, 2 * per_pass + 1)]
    assert {len(b) for b in seen[: per_pass - 1]} == {8} and len(seen[per_pass - 1]) == len(train) - 8 * (per_pass - 1)
    for k in (0, per_pass):
        np.testing.assert_array_equal(np.sort(np.concatenate(seen[k : k + per_pass])), train)
    assert not np.array_equal(np.concatenate(seen[:per_pass]), np.concatenate(seen[per_pass:]))
    assert PaperSettings.released().settled(9000).every == 1125  # its own data: 9,000 pictures


def test_the_last_state_is_kept_whatever_came_before(problem, monkeypatch):
    s = replace(PaperSettings.released(), dim=DIM, steps=6, every=2)
    scores = iter([0.9, 0.8, 0.1])
    monkeypatch.setattr(PaperFit, "measure", lambda self: next(scores))
    _, encoder = fitted(problem, s)
    assert encoder.info["val_score"] == 0.1 and encoder.info["best_step"] == 6


def test_released_fits_resume_to_the_undisturbed_result(problem, tmp_path):
    s = replace(PaperSettings.released(), dim=DIM, steps=20, every=5)
    _, whole = fitted(problem, s)
    subject, features = problem
    how = {"recipe": "paper", "seed": 3, "grid": GRID, "out": tmp_path}
    assert ft.fit(subject, features, settings=s, on_progress=lambda p: p.step < 13, **how).info["stopped"]
    with pytest.raises(ft.InputError, match="recipe_settings"):
        ft.fit(subject, features, settings=replace(s, clip=0.4), resume=True, **how)
    again = ft.fit(subject, features, settings=s, resume=True, **how)
    np.testing.assert_array_equal(again.predict_features(features), whole.predict_features(features))


# ---------------------------------------------------------------- features, runs, prediction


def test_extraction_without_antialiasing_is_the_released_codes(tmp_path):
    network, images = SmallNetwork(sides=(16, 4)), pictures(5, 16)
    local, _ = network.tokens(images)
    smooth = extract(network, images)
    few = extract(network, images, antialias=False)
    for found in (few, extract(network, images, antialias=False), compute(network, images, antialias=False)):
        assert found.antialias is False
        for l in range(2):
            expected = F.interpolate(local[l].permute(0, 3, 1, 2), (8, 8), mode="bilinear", align_corners=False)
            np.testing.assert_array_equal(found.local[l], expected.permute(0, 2, 3, 1).half().numpy())
    assert smooth.antialias is True and np.abs(np.asarray(smooth.local[0], float) - few.local[0]).max() > 1e-2
    assert compute(network, images, grid=None, antialias=False).antialias is None


def test_antialiased_features_are_refused(problem):
    subject, features = problem
    with pytest.raises(ft.InputError, match="antialias=False"):
        ft.fit(subject, replace(features, antialias=True), recipe="paper-released", steps=2, grid=GRID)


def test_an_encoder_resizes_as_it_was_fitted(problem, tmp_path):
    subject, features = problem
    few = replace(features, local=[sampled(torch.from_numpy(t), GRID).numpy() for t in features.local], antialias=False)
    _, encoder = fitted(problem, replace(PaperSettings.released(), **SMALL))
    assert encoder.antialias is False
    encoder.save(tmp_path / "run")
    again = ft.Encoder.load(tmp_path / "run")
    assert again.antialias is False and again.info["recipe_settings"] == encoder.info["recipe_settings"]
    for one in (encoder, again):
        np.testing.assert_array_equal(one.predict_features(features), one.predict_features(few))
        with pytest.raises(ft.InputError, match="antialias=False"):
            one.predict_features(replace(few, antialias=True))
    fast = ft.fit(subject, few, steps=2, grid=GRID)  # whatever the recipe: the features say it
    assert fast.antialias is False
    assert ft.fit(subject, features, steps=2, grid=GRID).antialias is True


def test_the_recipe_by_name_is_the_settings(problem):
    subject, features = problem
    named = ft.fit(subject, features, recipe="paper-released", steps=3, grid=GRID)
    given_ = ft.fit(subject, features, recipe="paper", settings=PaperSettings.released(), steps=3, grid=GRID)
    np.testing.assert_array_equal(named.predict_features(features), given_.predict_features(features))
    assert named.info["recipe_settings"] == given_.info["recipe_settings"]
    written = asdict(PaperSettings.released().settled(len(subject.split.train)))
    assert named.info["recipe_settings"] == {k: v for k, v in written.items() if k in named.info["recipe_settings"]}
    assert SOLVERS["paper-released"][1]() == PaperSettings.released() and RELEASED == PaperSettings.released().steps


def test_a_run_of_the_released_recipe_is_asked_for_by_its_name():
    asked = {"subject": "demo-1", "backbone": "demo-vit", "recipe": "paper-released"}
    full = check_settings(asked)
    assert extraction_key(full) != extraction_key(check_settings(asked | {"recipe": "paper"}))
    with pytest.raises(ft.InputError, match="pca"):
        check_settings(asked | {"pca": 5})


def test_checkpoints_of_before_go_on(problem, tmp_path, monkeypatch):
    """Checkpoints did not note the recipe's settings."""
    subject, features = problem
    how = {"recipe": "paper", "grid": GRID, "out": tmp_path, "settings": replace(PaperSettings(**SMALL))}
    ft.fit(subject, features, on_progress=lambda p: p.step < 4, **how)
    state = fitting.read_json(tmp_path / "checkpoint" / "state.json")
    del state["fit"]["recipe_settings"]
    fitting.write_json(tmp_path / "checkpoint" / "state.json", state)
    assert ft.fit(subject, features, resume=True, **how).info["steps_done"] == 7
