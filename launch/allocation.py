"""How a program on a CPU gets and gives back its memory."""

import ctypes

# Parameters of mallopt(3), and what each is set to.
_SETTINGS = {
  'M_MMAP_MAX': (-4, 0),  # large arrays come from the heap, too
  'M_TRIM_THRESHOLD': (-1, -1),  # whose end is never given back
  'M_TOP_PAD': (-2, 64 << 20),  # and which grows by as many bytes at a time
}


def keep_freed_memory() -> bool:
  """Lets this process reuse the memory of arrays that it has freed.

  XLA makes and frees the arrays of a step anew. glibc would return large ones
  to the system each time, which must then clear their pages again. The process
  stays as large as it was at its largest.

  Returns:
    Whether the C library knows how; elsewhere nothing changes.
  """
  try:
    mallopt = ctypes.CDLL(None).mallopt
  except (AttributeError, OSError, TypeError):
    return False
  return all([mallopt(name, value) for name, value in _SETTINGS.values()])
