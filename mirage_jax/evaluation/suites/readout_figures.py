"""Pictures of the readout suite: what was held out beside what is read."""

import math

import numpy as np

from mirage_jax.arrays import UInt8
from mirage_jax.evaluation.suites.readout_scores import (
  Views,
  claims,
  squared_errors,
)

UNKNOWN = 0.2  # grey of unclaimed pixels
GAP = 2


def panels(views: Views) -> UInt8[np.ndarray, 'n h wide 3']:
  """Every held-out frame: target | each readout | error of the last one.

  Unclaimed pixels are dark grey; the error is the root of the mean square
  over channels, doubled.
  """
  columns = [np.asarray(views.target.rgb) / 255.0]
  for readout in views.readouts.values():
    rgb = np.clip(np.asarray(readout.rgb) * 0.5 + 0.5, 0, 1)
    columns.append(np.where(claims(readout)[..., None], rgb, UNKNOWN))
  error = 2 * np.sqrt(squared_errors(views, list(views.readouts)[-1]))
  columns.append(np.repeat(np.minimum(error, 1)[..., None], 3, axis=-1))
  gap = np.ones((*columns[0].shape[:2], GAP, 3))
  parts = [x for column in columns for x in (column, gap)][:-1]
  return np.round(255 * np.concatenate(parts, axis=2)).astype(np.uint8)


def headings(views: Views) -> list[str]:
  """What the columns of `panels` show."""
  return ['target', *views.readouts, 'error of the last']


def contact_sheet(
  rows: UInt8[np.ndarray, 'n h wide 3'], most: int = 12, scale: int = 2
) -> UInt8[np.ndarray, 'tall wide2 3']:
  """At most `most` evenly spaced panels below each other, enlarged."""
  step = max(1, math.ceil(len(rows) / most))
  gap = np.full((GAP, *rows.shape[2:]), 255, np.uint8)
  parts = [x for row in rows[::step] for x in (row, gap)][:-1]
  sheet = np.concatenate(parts, axis=0)
  return sheet.repeat(scale, axis=0).repeat(scale, axis=1)
