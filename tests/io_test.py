import pytest

from mirage_jax.io import replaced, staged


def test_a_file_is_replaced_only_when_all_went_well(tmp_path):
  path = tmp_path / 'deep' / 'a.txt'
  with replaced(path) as temporary:
    temporary.write_text('old')
  with pytest.raises(RuntimeError), replaced(path) as temporary:
    temporary.write_text('new')
    raise RuntimeError
  assert path.read_text() == 'old'
  assert [x.name for x in path.parent.iterdir()] == ['a.txt']


def test_a_folder_is_filled_only_when_all_went_well(tmp_path):
  (tmp_path / 'a.txt').write_text('old')
  with pytest.raises(RuntimeError), staged(tmp_path) as folder:
    (folder / 'a.txt').write_text('new')
    raise RuntimeError
  assert [x.name for x in tmp_path.iterdir()] == ['a.txt']
  assert (tmp_path / 'a.txt').read_text() == 'old'
  with staged(tmp_path) as folder:
    (folder / 'sub').mkdir()
    (folder / 'a.txt').write_text('new')
    (folder / 'sub' / 'b.txt').write_text('b')
  assert sorted(x.name for x in tmp_path.iterdir()) == ['a.txt', 'sub']
  assert (tmp_path / 'a.txt').read_text() == 'new'
