"""The mesh, what lies where on it, and how arrays get there.

Three mesh axes, in the order of how much they say to each other: `data` copies
of the model see different examples, `fsdp` devices share one copy's parameters
and see different examples too, `model` devices share the work on one example.
Arrays name their axes logically ('batch', 'width', ...); `RULES` is the one
place which turns those names into mesh axes, and axes that do not divide
evenly stay whole, so the same program runs on one device and on a pod.

Parameters have their names in `PARAMETERS`; activations say theirs where they
are made (`constrain`), which does nothing where no mesh is set.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import (
  AbstractMesh,
  AxisType,
  Mesh,
  NamedSharding,
  PartitionSpec,
)

from mirage_jax import trees
from mirage_jax.arrays import Array

Tree = Any
MeshAxes = tuple[str, ...]

AXES = ('data', 'fsdp', 'model')
RULES: Mapping[str, MeshAxes] = {
  'batch': ('data', 'fsdp'),
  'heads': ('model',),
  'hidden': ('model',),
  'entries': ('model',),
  'width': ('fsdp',),
}
# By the end of a parameter's name; axes in front of these (layers) stay whole.
PARAMETERS: Mapping[str, tuple[str | None, ...]] = {
  'attention/qkv/kernel': ('width', None, 'heads', None),
  'attention/out/kernel': ('heads', 'width'),
  'mlp/up/kernel': ('width', 'hidden'),
  'mlp/up/bias': ('hidden',),
  'mlp/down/kernel': ('hidden', 'width'),
}
# Smaller leaves cost more to gather than they save.
MIN_SHARDED_SIZE = 2**14


def make_mesh(
  data: int = -1,
  fsdp: int = 1,
  model: int = 1,
  devices: Sequence[jax.Device] | None = None,
) -> Mesh:
  """A mesh over the axes data, fsdp and model.

  Args:
    data: devices along the axis; -1 = all that the others leave.
    fsdp: the same.
    model: the same.
    devices: which devices; None = all.

  Raises:
    ValueError: if the sizes do not multiply to the number of devices, or
      devices along `model` belong to several processes: each process reads
      examples of its own, and these devices share one.
  """
  devices = jax.devices() if devices is None else list(devices)
  sizes = [data, fsdp, model]
  if sizes.count(-1) == 1 and min(s for s in sizes if s != -1) > 0:
    known = math.prod(s for s in sizes if s != -1)
    sizes[sizes.index(-1)] = len(devices) // known
  if min(sizes) < 1 or math.prod(sizes) != len(devices):
    raise ValueError(
      f'mesh data={data}, fsdp={fsdp}, model={model} does not fit '
      f'{len(devices)} devices; the sizes must multiply to that (one may be -1)'
    )
  # As jax.make_mesh, but any sizes fit the torus of a pod; and Linen with
  # sharded parameters needs Auto axes.
  placed = mesh_utils.create_device_mesh(
    sizes, devices, allow_split_physical_axes=True
  )
  if not _owned(placed):  # the torus may have even four of them on two hosts
    ordered = sorted(devices, key=lambda x: (x.process_index, x.id))
    placed = np.array(ordered).reshape(sizes)
  if not _owned(placed):
    raise ValueError(
      f'mesh data={sizes[0]}, fsdp={sizes[1]}, model={sizes[2]} has devices of '
      'several processes along model, which cannot share an example; halve '
      'model until they do not (1 always fits) and give data or fsdp the rest'
    )
  return Mesh(placed, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def _owned(placed: np.ndarray) -> bool:
  """Tests whether the devices along the last axis are always of one process."""
  groups = placed.reshape(-1, placed.shape[-1])
  return all(len({x.process_index for x in group}) == 1 for group in groups)


def partition(
  mesh: Mesh, shape: Sequence[int], names: Sequence[str | None]
) -> NamedSharding:
  """The sharding of an array whose axes are named logically.

  Args:
    mesh: the mesh.
    shape: the array's shape.
    names: a key of `RULES` or None for each axis. An axis that its devices do
      not divide stays whole, and no mesh axis is used twice.

  Raises:
    ValueError: for a name that has no rule, or not one name an axis.
  """
  return NamedSharding(mesh, _spec(mesh, shape, names))


def _spec(
  mesh: Mesh | AbstractMesh, shape: Sequence[int], names: Sequence[str | None]
) -> PartitionSpec:
  if len(shape) != len(names):
    raise ValueError(
      f'shape {tuple(shape)} has {len(shape)} axes, got {len(names)} names '
      f'{tuple(names)}; give one name or None for each'
    )
  used: set[str] = set()
  spec: list[MeshAxes | None] = []
  for size, name in zip(shape, names, strict=True):
    axes = () if name is None else _rule(name)
    axes = tuple(axis for axis in axes if axis not in used)
    if size % math.prod(mesh.shape[axis] for axis in axes):
      axes = ()
    used.update(axes)
    spec.append(axes or None)
  return PartitionSpec(*spec)


def constrain(x: Array, *names: str | None) -> Array:
  """Lays an activation out on the mesh that is set; without one, `x` itself.

  Args:
    x: the activation.
    *names: a key of `RULES` or None for each axis, as in `partition`.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty:
    return x
  return jax.lax.with_sharding_constraint(x, _spec(mesh, x.shape, names))


def _rule(name: str) -> MeshAxes:
  if name not in RULES:
    raise ValueError(f'unknown axis {name!r}; have {", ".join(RULES)}')
  return RULES[name]


def replicated(mesh: Mesh) -> NamedSharding:
  """The sharding that keeps a whole copy on every device."""
  return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """The sharding of anything whose first axis is the batch."""
  return NamedSharding(mesh, PartitionSpec(RULES['batch']))


def parameter_shardings(mesh: Mesh, parameters: Tree) -> Tree:
  """Lays out parameters and whatever has their shapes: moments, averages.

  What `PARAMETERS` names lies as it says. Of other leaves, if they are large,
  the largest axis that fits goes over `fsdp`.

  Args:
    mesh: the mesh.
    parameters: arrays or their `ShapeDtypeStruct`s, so that they can be born
      sharded: `jit(init, out_shardings=parameter_shardings(mesh, shapes))`.

  Returns:
    A `NamedSharding` for every leaf; small leaves are replicated.
  """

  def sharding(name: str, leaf) -> NamedSharding:
    return partition(mesh, leaf.shape, _names(mesh, name, leaf.shape))

  return trees.map_named(sharding, parameters)


def _names(mesh: Mesh, name: str, shape: Sequence[int]) -> list[str | None]:
  names: list[str | None] = [None] * len(shape)
  for end, last in PARAMETERS.items():
    if name.endswith(end):
      return [*names[len(last) :], *last]
  fitting = [
    (size, axis)
    for axis, size in enumerate(shape)
    if size % mesh.shape['fsdp'] == 0
  ]
  if fitting and math.prod(shape) >= MIN_SHARDED_SIZE:
    names[max(fitting)[1]] = 'width'
  return names


def place_batch(mesh: Mesh, batch: Tree) -> Tree:
  """Puts each process's part of a batch on the devices, as one global batch.

  Args:
    mesh: the mesh.
    batch: arrays `[b, ...]`, this process's examples. The global batch is all
      processes' parts in a row.

  Raises:
    ValueError: if the devices of the batch's axes do not divide the batch.
  """
  ways = math.prod(mesh.shape[axis] for axis in RULES['batch'])
  sharding = batch_sharding(mesh)

  def place(leaf):
    size = leaf.shape[0] * jax.process_count()
    if size % ways:
      raise ValueError(
        f'a batch of {size} examples does not split over {ways} devices; '
        'choose a multiple, or a mesh with more on the model axis'
      )
    return jax.make_array_from_process_local_data(sharding, np.asarray(leaf))

  return jax.tree.map(place, batch)


def on(mesh: Mesh, function: Callable[..., Any]) -> Callable[..., Any]:
  """`function` with the mesh set, for what it constrains."""

  @functools.wraps(function)
  def placed(*arguments):
    with jax.set_mesh(mesh):
      return function(*arguments)

  return placed


def replicate(mesh: Mesh, tree: Tree) -> Tree:
  """Puts a whole copy of every leaf on every device."""
  return jax.device_put(tree, replicated(mesh))


def gather(mesh: Mesh, tree: Tree) -> Tree:
  """Whole NumPy copies of leaves that lie on the devices of all processes.

  All processes must call it.
  """
  if jax.process_count() > 1:
    tree = _whole(mesh)(tree)
  return jax.device_get(tree)


@functools.cache
def _whole(mesh: Mesh) -> Callable[[Tree], Tree]:
  return jax.jit(lambda tree: tree, out_shardings=replicated(mesh))
