"""Laws of a field that is fitted: its rays, its losses, and what it finds."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mirage_jax.capture import nerf_field, nerf_fit
from mirage_jax.geometry import cameras as pinhole
from mirage_jax.geometry.cameras import Cameras
from mirage_jax.memory.hash_grid import lattice

KEY = jax.random.key(0)
SMALL = nerf_field.Layout(
  sides=(16, 32, 64), entries=2**15, features=2, hidden=16,
  proposal_side=32, proposals=24, samples=12,
)  # fmt: skip
FRAMES, HEIGHT, WIDTH = 12, 32, 48
HALF = 2.0  # of the box's edge


def box_photos():
  """Cameras inside a box with a smooth pattern; photos, and true depth."""
  place = np.linspace(0, 1, FRAMES)
  turn = 0.8 * np.sin(2 * np.pi * place)
  pose = np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1))
  pose[:, 0, 0] = pose[:, 2, 2] = np.cos(turn)
  pose[:, 0, 2], pose[:, 2, 0] = np.sin(turn), -np.sin(turn)
  pose[:, :3, 3] = np.stack(
    [2 * place - 1, np.cos(7 * place) / 3, np.sin(9 * place) - 0.8], 1
  )
  lens = np.tile(np.float32([0.7, 1.0, 0.5, 0.5]), (FRAMES, 1))
  cameras = Cameras(lens, pose)
  origins, rays = (np.asarray(x) for x in pinhole.rays(cameras, HEIGHT, WIDTH))
  walls = (np.sign(rays) * HALF - origins) / np.where(rays == 0, 1e-9, rays)
  depth = walls.min(-1)
  points = origins + depth[..., None] * rays
  rgb = 127 + 60 * np.sin(7 * points) + 60 * np.sin(11 * points[..., [1, 2, 0]])
  photos = nerf_fit.Photos(np.round(rgb).clip(0, 255).astype(np.uint8), cameras)
  return photos, depth


def fitted(steps, seed=0):
  photos, depth = box_photos()
  scene = nerf_fit.find_scene(photos.cameras)
  fit = nerf_fit.start(SMALL, jax.random.key(seed))
  fit = nerf_fit.advance(
    fit, SMALL, photos, scene, jax.random.key(seed + 1),
    steps=steps, until=steps, rays=512,
  )  # fmt: skip
  return fit, photos, scene, depth


def test_depth_of_a_box_is_found():
  fit, photos, scene, depth = fitted(300)
  at = FRAMES // 2
  camera = jax.tree.map(lambda x: x[at], photos.cameras)
  view = nerf_fit.view(fit, SMALL, camera, scene, HEIGHT, WIDTH)
  error = np.abs(view.depth - depth[at]) / depth[at]
  assert np.median(error) < 0.08, np.median(error)
  sure = view.sure_depth > 0
  assert sure.any() and (error[sure] < 0.15).mean() > 0.9
  assert np.abs(255 * view.rgb - photos.rgb[at]).mean() < 15


def test_the_same_seed_gives_the_same_fit():
  first, second, other = (fitted(3, seed)[0] for seed in (0, 0, 7))
  chex.assert_trees_all_equal(first, second)
  assert not np.array_equal(first.params['table'], other.params['table'])


def test_gradients_reach_tables_and_networks():
  params = nerf_fit.start(SMALL, KEY).params
  # The first pass learns where it lacks light: it starts as fog everywhere.
  params['proposal'] = params['proposal'] - 0.4
  directions = jax.random.normal(KEY, (64, 3)) + jnp.array([0, 0, 3.0])
  loss = lambda params: nerf_fit.loss_of(
    params, SMALL, jnp.zeros((64, 3)), directions, jnp.ones((64, 3)), KEY
  )
  slope, _ = jax.jit(jax.grad(loss, has_aux=True))(params)
  for leaf in jax.tree.leaves(slope):
    assert jnp.isfinite(leaf).all() and jnp.abs(leaf).max() > 0


def test_a_constant_table_reads_back_constant():
  rows = sum(level.entries for level in SMALL.levels)
  points = jax.random.uniform(KEY, (50, 3), minval=-1.8, maxval=1.8)
  read = nerf_field.lookup(jnp.full((rows, 2), 0.7), SMALL.levels, points)
  assert read.shape == (50, 2 * len(SMALL.levels))
  np.testing.assert_allclose(read, 0.7, rtol=1e-5)


def test_a_dense_level_is_trilinear():
  level = SMALL.proposal
  assert level.side_bits  # dense
  centre = lambda cells: (cells + 0.5) * level.cell_m
  half = SMALL.proposal_side // 2
  axis = np.arange(-half, half)
  cells = np.stack(np.meshgrid(axis, axis, axis, indexing='ij'), -1)
  row, inside = lattice.find_rows(level, jnp.asarray(cells))
  assert inside.all()
  slope = np.array([1.0, -2.0, 0.5])
  values = jnp.asarray(centre(cells) @ slope, jnp.float32)
  table = jnp.zeros((level.entries, 1)).at[row, 0].set(values)
  points = jax.random.uniform(KEY, (50, 3), minval=-1.8, maxval=1.8)
  read = nerf_field.lookup(table, (level,), points)[:, 0]
  np.testing.assert_allclose(read, points @ slope, atol=1e-5)


def test_spacing_is_inverted():
  depth = jnp.array([0.05, 0.5, 0.999, 1.0, 1.001, 3.0, 30.0])
  np.testing.assert_allclose(
    nerf_field.unspaced(nerf_field.spaced(depth)), depth, rtol=1e-5
  )


@pytest.mark.parametrize('key', [None, KEY])
def test_samples_gather_where_the_light_ends(key):
  edges = jnp.linspace(0, 1, 11)[None]
  weights = jnp.zeros((1, 10)).at[0, 3].set(1.0)
  fine = nerf_field.resample(edges, weights, 8, key)
  assert fine.shape == (1, 9) and (jnp.diff(fine) >= 0).all()
  middle = (fine[:, 1:] + fine[:, :-1]) / 2
  assert ((middle > 0.3) & (middle < 0.4)).mean() > 0.7


def rays_of(weights, edges, first_weights, first_edges):
  one = lambda x: jnp.asarray(x, jnp.float32)[None]
  return nerf_field.Rays(
    jnp.zeros((1, 3)), one(weights).sum(1), one(weights), one(edges),
    one(first_weights), one(first_edges),
  )  # fmt: skip


def test_the_first_pass_is_wrong_only_where_it_has_too_little():
  fine = ([0.2, 0.6], [0.2, 0.3, 0.4])
  enough = rays_of(*fine, [0.0, 0.9], [0.0, 0.2, 1.0])
  missing = rays_of(*fine, [0.9, 0.0], [0.0, 0.2, 1.0])
  assert nerf_fit.interlevel(enough) == 0
  assert nerf_fit.interlevel(missing) > 0.5


def test_distortion_is_the_double_sum():
  edges = jnp.sort(jax.random.uniform(KEY, (5, 9)), axis=1)
  weights = jax.random.uniform(KEY, (5, 8))
  middle, width = (edges[:, 1:] + edges[:, :-1]) / 2, jnp.diff(edges, axis=1)
  apart = jnp.abs(middle[:, :, None] - middle[:, None])
  double = jnp.einsum('ri,rj,rij->r', weights, weights, apart)
  expected = (double + (weights**2 * width).sum(1) / 3).mean()
  np.testing.assert_allclose(
    nerf_fit.distortion(edges, weights), expected, rtol=1e-5
  )


def test_depth_is_where_half_of_the_light_ends():
  rays = rays_of([0.0, 1.0, 0.0], [0.2, 0.4, 0.42, 0.9], [1], [0, 1])
  depth, sure = nerf_field.median_depth(rays)
  np.testing.assert_allclose(depth, 0.41, rtol=1e-3)
  np.testing.assert_allclose(sure, 1, rtol=1e-3)
  rays = rays_of([0.2, 0.2, 0.2], [0.2, 0.4, 0.6, 0.8], [1], [0, 1])
  depth, sure = nerf_field.median_depth(rays)
  np.testing.assert_allclose(depth, 0.5, rtol=1e-3)
  assert sure < 0.1


def test_a_scene_is_where_cameras_look():
  angle = np.linspace(0, 2 * np.pi, 9)[:-1]
  pose = np.tile(np.eye(4), (8, 1, 1))
  pose[:, 0, 0] = pose[:, 2, 2] = np.cos(angle)
  pose[:, 0, 2], pose[:, 2, 0] = np.sin(angle), -np.sin(angle)
  middle = np.array([5.0, 1.0, -3.0])
  pose[:, :3, 3] = middle - 4 * pose[:, :3, 2]
  scene = nerf_fit.find_scene(Cameras(np.ones((8, 4)), pose))
  np.testing.assert_allclose(scene.centre, middle, atol=1e-6)
  np.testing.assert_allclose(scene.radius, 4, rtol=1e-6)


def test_cameras_at_one_place_are_refused():
  poses = np.tile(np.eye(4), (5, 1, 1))
  with pytest.raises(ValueError, match='all 5 cameras are at one place'):
    nerf_fit.find_scene(Cameras(np.ones((5, 4)), poses))
