"""Laws of `launch.compile`: what it prints is what the compiler said."""

import dataclasses
import json

import jax
import pytest

from launch import compile as compiling
from mirage_jax.profiling import devices, lowering, tables
from tests.launch.meshes_test import make_config


def figures(topology='v5p:2x2x1', devices=4, **seconds):
  return tables.Figures(
    topology=topology,
    program='train',
    devices=devices,
    parameters=1,
    bytes={'arguments': 3 * 10**9, 'between': 10**9},
    memory=8e9,
    flops=2e12,
    counted=1.9e12,
    moved=1e9,
    asked=1e8,
    sent={'all-gather': 5e8},
    compiler={},
    cycles=0.0,
    seconds=seconds,
  )


def test_a_program_here_is_measured(tmp_path):
  (program, *_) = lowering.make_programs(
    make_config('none').to_dict(), jax.devices()[:2]
  )
  found = compiling.measure(program, 'here', jax.devices()[:2], None)
  assert found.program == 'train' and found.devices == 2
  assert found.flops == pytest.approx(found.counted, rel=0.05)
  assert min(found.bytes[x] for x in ('parameters', 'batch', 'between')) > 0
  assert found.bytes['optimizer'] >= 2 * found.bytes['parameters']
  assert found.sent['all-reduce'] > 0
  tables.save(tmp_path, [found])
  saved = json.loads((tmp_path / 'compile.json').read_text())
  assert saved['programs'][0]['flops'] == found.flops
  assert 'here | train' in (tmp_path / 'compile.md').read_text()


def test_the_slowest_part_bounds_the_step():
  one = figures(products=0.2, memory=0.1, links=0.1)
  far = figures('v5p:4x4x4', 64, products=0.2, memory=0.1, links=0.4)
  assert (one.bound, one.apart) == (0.2, pytest.approx(0.3))
  assert one.utilisation == 1 and far.utilisation == 0.5
  scaling = tables.weak_scaling([far, one])
  assert scaling['train@v5p:4x4x4'] == pytest.approx(0.5)
  assert scaling['train@v5p:4x4x4, apart'] == pytest.approx(0.5)
  assert '50.0% | 50.0%' in tables.scaling_table(scaling)[3]
  other = figures('v5e:4x4', 16, products=0.5, memory=0.1, links=0.1)
  assert tables.weak_scaling([far, one, other]) == scaling
  assert '| 4.00 | 50% |' in tables.row(one)


def test_what_fills_a_device_is_told_by_kind():
  lines = tables.kinds_tables([figures()])
  assert '| GB/device | arguments | between |' in lines
  assert '| v5p:2x2x1 train | 3.000 | 1.000 |' in lines
  assert '| v5p:2x2x1 train | 0.500 |' in lines
  full = dataclasses.replace(figures(), memory=4.2e9)
  assert 'too little' in tables.row(full)
  assert 'too little' not in tables.row(figures())


@pytest.mark.parametrize('topology', ['v5q:2x2', 'v5p', 'there'])
def test_unknown_topologies_are_named(topology):
  with pytest.raises(ValueError, match=f"unknown topology '{topology}'"):
    devices.find_devices(topology)
