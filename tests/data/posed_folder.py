"""Writes small nerfstudio folders for the tests of the data floor."""

import json

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 12, 16
HEADER = {
  'camera_model': 'OPENCV',
  'fl_x': 20.0,
  'fl_y': 21.0,
  'cx': 8.0,
  'cy': 6.0,
  'w': WIDTH,
  'h': HEIGHT,
}


def opengl_pose(x: float = 0.0) -> np.ndarray:
  """A camera at (x, 2, 3) with the axes of OpenGL, turned by 30 degrees."""
  c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
  pose = np.eye(4)
  pose[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
  pose[:3, 3] = [x, 2, 3]
  return pose


def write_folder(path, frames: int = 3, depth: bool = True, **header):
  """A folder of random images; depth of frame i is 1000 + i units."""
  rng = np.random.default_rng(0)
  entries = []
  for i in range(frames):
    rgb = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    save(path / f'images/{i:04}.png', rgb)
    entry = {
      'file_path': f'images/{i:04}.png',
      'transform_matrix': opengl_pose(i).tolist(),
    }
    if depth:
      save(
        path / f'depth/{i:04}.png',
        np.full((HEIGHT, WIDTH), 1000 + i, np.uint16),
      )
      entry['depth_file_path'] = f'depth/{i:04}.png'
    entries.append(entry)
  write_json(path, HEADER | header | {'frames': entries})
  return path


def save(file, image: np.ndarray) -> None:
  """Writes an image, with its folder."""
  file.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(image).save(file)


def read_json(path) -> dict:
  return json.loads((path / 'transforms.json').read_text())


def write_json(path, content) -> None:
  (path / 'transforms.json').write_text(json.dumps(content))


def edit(path, **header) -> None:
  """Changes fields of the file; None deletes one."""
  content = read_json(path) | header
  write_json(path, {k: v for k, v in content.items() if v is not None})


def edit_frame(path, index: int, **fields) -> None:
  """Changes fields of one entry of `frames`; None deletes one."""
  content = read_json(path)
  frame = content['frames'][index] | fields
  frame = {k: v for k, v in frame.items() if v is not None}
  content['frames'][index] = frame
  write_json(path, content)
