"""Laws of the costs: loops count as often as they run, all else as XLA says."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mirage_jax import sharding
from mirage_jax.models import video_transformer
from mirage_jax.profiling import costs, hlo, lowering
from tests.launch.meshes_test import make_config


def compiled(function, *arguments):
  return jax.jit(function).lower(*arguments).compile()


def chain(unroll):
  def run(x, weights):
    step = lambda x, w: (jnp.tanh(x @ w), None)
    return jax.lax.scan(step, x, weights, unroll=unroll)[0].sum()

  return run


def test_a_loop_costs_what_its_steps_cost():
  x, weights = jnp.ones((16, 32)), jnp.ones((5, 32, 32))
  looped, flat = (
    costs.count(compiled(jax.grad(chain(unroll), (0, 1)), x, weights).as_text())
    for unroll in (1, 5)
  )
  assert looped.flops == flat.flops == 3 * 5 * 2 * 16 * 32 * 32
  looped, flat = (
    costs.count(compiled(chain(unroll), x, weights).as_text())
    for unroll in (1, 5)
  )
  assert looped.bytes == pytest.approx(flat.bytes, rel=0.5)


@pytest.mark.parametrize('stride', [1, 2, 3])
@pytest.mark.parametrize('pad', [(0, 0), (2, 3), (5, 0)])
@pytest.mark.parametrize('dilate', [(1, 1), (2, 1), (3, 2), (8, 1)])
def test_a_convolution_counts_what_meets_an_input(stride, pad, dilate):
  def convolve(x, w):
    return jax.lax.conv_general_dilated(
      x, w, (stride, 1), (pad, (1, 1)), (dilate[0], 1), (dilate[1], 1)
    )

  program = compiled(convolve, jnp.ones((2, 3, 9, 5)), jnp.ones((4, 3, 3, 2)))
  expected = program.cost_analysis()['flops']
  assert costs.count(program.as_text()).flops == expected > 0


@pytest.mark.parametrize(
  'kind, spec, sent',
  [
    ('all-gather', PartitionSpec(), 7 / 8),
    ('all-to-all', PartitionSpec(None, 'data'), 7 / 64),
  ],
)
def test_what_is_sent_is_what_a_ring_sends(kind, spec, sent):
  mesh = sharding.make_mesh()
  x = jax.ShapeDtypeStruct(
    (64, 64), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec('data'))
  )
  move = jax.jit(lambda x: 2 * x, out_shardings=NamedSharding(mesh, spec))
  found = costs.count(move.lower(x).compile().as_text()).collectives
  assert found == {kind: pytest.approx(64 * 64 * 4 * sent)}


def test_a_sum_in_a_loop_is_sent_in_every_step():
  mesh = sharding.make_mesh()
  rows = NamedSharding(mesh, PartitionSpec(None, 'data'))
  x = jax.ShapeDtypeStruct((8, 64), jnp.float32, sharding=rows)

  def run(x):
    step = lambda total, _: (jnp.sin(total + (x * total[:, None]).sum(1)), None)
    return jax.lax.scan(step, jnp.ones(8), length=6)[0]

  with jax.set_mesh(mesh):
    found = costs.count(compiled(run, x).as_text()).collectives
  assert found == {'all-reduce': pytest.approx(6 * 2 * 8 * 4 * 7 / 8)}


@pytest.mark.parametrize(
  ('name', 'memory'),
  [
    ('train', 'none'),
    ('sample', 'none'),
    pytest.param('train', 'view_grid', marks=pytest.mark.slow),
  ],
)
def test_operations_are_those_counted_by_hand(name, memory):
  config = make_config(memory)
  config.model.transformer.remat = 'full'
  config.objective.own_prediction = 1.0  # one more call, if there is a memory
  made = lowering.make_programs(config.to_dict(), jax.devices()[:1])
  (program,) = (p for p in made if p.name == name)
  found = costs.count(program.lower().compile().as_text()).flops
  assert found == pytest.approx(program.flops, rel=0.05)


def test_tiles_are_padded_and_chips_keep_what_they_keep():
  shapes = hlo.shapes('(bf16[3,100]{1,0:T(8,128)(2,1)}, f32[4]{0:T(256)S(1)})')
  assert [s.bytes for s in shapes] == [600, 16]
  assert [s.moved for s in shapes] == [8 * 128 * 2, 0]


NESTED = """HloModule jit_run, is_scheduled=true

%inner (a: f32[5,4096], b: s32[64], c: f32[64,5]) -> f32[5,4096] {
  %a = f32[5,4096]{0,1:T(8,128)} parameter(0)
  %b = s32[64]{0:T(256)} parameter(1)
  %c = f32[64,5]{1,0:T(8,128)} parameter(2)
  ROOT %s = f32[5,4096]{0,1:T(8,128)} scatter(%a, %b, %c), update_window_dims={1}, inserted_window_dims={1}, scatter_dims_to_operand_dims={1}, index_vector_dim=1, to_apply=%add
}

%outer (d: f32[5,4096], e: s32[64], f: f32[64,5]) -> f32[5,4096] {
  %d = f32[5,4096]{0,1:T(8,128)} parameter(0)
  %e = s32[64]{0:T(256)} parameter(1)
  %f = f32[64,5]{1,0:T(8,128)} parameter(2)
  ROOT %g = f32[5,4096]{0,1:T(8,128)} fusion(%d, %e, %f), kind=kCustom, calls=%inner
}

ENTRY %main (x: f32[5,4096], y: s32[64], z: f32[64,5]) -> f32[5,4096] {
  %x = f32[5,4096]{0,1:T(8,128)} parameter(0)
  %y = s32[64]{0:T(256)} parameter(1)
  %z = f32[64,5]{1,0:T(8,128)} parameter(2)
  ROOT %r = f32[5,4096]{0,1:T(8,128)} fusion(%x, %y, %z), kind=kCustom, calls=%outer
}
"""  # noqa: E501


def test_a_scatter_in_fusions_costs_the_tiles_that_it_touches():
  tile = 8 * 128 * 4
  given = 256 * 4 + 64 * 128 * 4  # indices and new rows
  assert costs.count(NESTED).bytes == given + 2 * 64 * tile


SCATTERED = """HloModule jit_run, is_scheduled=true, num_partitions=8

%all-reduce-scatter.1 (a: f32[64,128]) -> f32[8,128] {
  %a = f32[64,128]{1,0:T(8,128)} parameter(0)
  %b = f32[64,128]{1,0:T(8,128)} all-reduce(%a), replica_groups={{0,1,2,3,4,5,6,7}}, to_apply=%add
  %c = s32[] constant(0)
  ROOT %d = f32[8,128]{1,0:T(8,128)} dynamic-slice(%b, %c, %c), dynamic_slice_sizes={8,128}
}

ENTRY %main (x: f32[64,128]) -> f32[8,128] {
  %x = f32[64,128]{1,0:T(8,128)} parameter(0)
  ROOT %r = f32[8,128]{1,0:T(8,128)} fusion(%x), kind=kCustom, calls=%all-reduce-scatter.1
}
"""  # noqa: E501


def test_a_sum_of_which_a_part_is_kept_is_scattered():
  found = costs.count(SCATTERED).collectives
  assert found == {'reduce-scatter': 64 * 128 * 4 * 7 / 8}


def attention(name, queries, keys):
  """A module of one call of a kernel: 4 heads of 128 numbers, bfloat16."""
  shapes = {
    side: f'bf16[1,4,{n},128]{{3,2,1,0:T(8,128)(2,1)}}'
    for side, n in (('q', queries), ('k', keys))
  }
  shapes['v'] = shapes['k']
  given = [
    f'  %{x} = {shape} parameter({i})'
    for i, (x, shape) in enumerate(shapes.items())
  ]
  call = (
    f'  ROOT %{name}.1 = {shapes["q"]} custom-call(%q, %k, %v), '
    'custom_call_target="tpu_custom_call"'
  )
  lines = ['HloModule jit_run', '', 'ENTRY %main (q: bf16[]) -> bf16[] {']
  return '\n'.join([*lines, *given, call, '}'])


@pytest.mark.parametrize(
  ('name', 'products', 'queries', 'keys'),
  [
    ('flash_attention', 2, 1, 3),  # keys and values for each block of queries
    ('flash_mha_bwd_dq_block_q=512', 3, 1, 3),
    ('flash_mha_bwd_dkv_block_q=512', 4, 2, 1),  # the other way round
  ],
)
def test_a_kernel_fetches_what_its_grid_asks_for(name, products, queries, keys):
  row = 4 * 128 * 2
  found = costs.count(attention(name, 3 * 512, 2 * 512))
  assert found.flops == 2 * products * 4 * 128 * (3 * 512) * (2 * 512)
  q, kv = 3 * 512 * row, 2 * 2 * 512 * row
  assert found.bytes == queries * q + keys * kv + q  # and the result
  # A single block stays on the chip.
  single = costs.count(attention(name, 512, 512)).bytes
  assert single == 4 * 512 * row


def test_layers_in_a_loop_cost_what_they_cost_one_by_one(monkeypatch):
  """The training step's own; a loop moves what it stacks and slices, too."""
  found = {}
  for unroll in (1, 3):
    scan = functools.partial(nn.scan, unroll=unroll)
    monkeypatch.setattr(video_transformer.nn, 'scan', scan)
    config = make_config('none')
    config.model.transformer.layers = 3
    made = lowering.make_programs(config.to_dict(), jax.devices()[:1])
    (program,) = (p for p in made if p.name == 'train')
    found[unroll] = costs.count(program.lower().compile().as_text())
    monkeypatch.undo()
  assert found[1].flops == pytest.approx(found[3].flops, rel=0.01)
  assert found[3].bytes <= found[1].bytes <= 1.5 * found[3].bytes


def test_what_is_no_module_is_refused():
  with pytest.raises(ValueError, match='no HLO module'):
    costs.count('nothing')


TABLE = jax.ShapeDtypeStruct((100, 3), jnp.float32)
AT = jax.ShapeDtypeStruct((7,), jnp.int32)
ROW = 3 * 4  # bytes


def test_rows_taken_count_once_and_rows_changed_twice():
  assert costs.lookup_bytes(lambda t, at: t[at] + 1, TABLE, AT) == 7 * ROW
  changed = costs.lookup_bytes(lambda t, at: t.at[at].add(t[at]), TABLE, AT)
  assert changed == 3 * 7 * ROW


def test_loops_and_branches_are_counted():
  def loop(table, at):
    return jax.lax.map(
      lambda i: jax.jit(lambda: table[at + i])(), jnp.arange(5)
    )

  def branch(table, at):
    return jax.lax.cond(
      at[0] > 3, lambda: table[at], lambda: table[:7] * table[at[:1]]
    )

  assert costs.lookup_bytes(loop, TABLE, AT) == 5 * 7 * ROW
  found = costs.lookup_bytes(branch, TABLE, AT)
  assert 7 * ROW <= found <= 7 * ROW + 16  # and `at[0]`
