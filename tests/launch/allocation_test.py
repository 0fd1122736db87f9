import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from launch.allocation import keep_freed_memory

known = keep_freed_memory() if sys.argv[1] == 'keep' else True
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
  np.ones(2**24)
before = faults()
for _ in range(8):
  np.ones(2**24)
print(int(known), faults() - before)
"""


def run(what):
  done = subprocess.run(
    [sys.executable, '-c', PROGRAM, what], capture_output=True, check=True
  )
  return [int(x) for x in done.stdout.split()]


@pytest.mark.skipif(sys.platform != 'linux', reason='a call of glibc')
def test_pages_of_freed_arrays_are_not_asked_for_again():
  known, kept = run('keep')
  if not known:
    pytest.skip('another C library')
  _, returned = run('default')
  assert kept < 100 < 1000 < returned
