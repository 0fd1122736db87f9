"""`LastFrame`, the worked example of docs/extending.md."""

import pathlib
import re

PAGE = pathlib.Path(__file__).parents[2] / 'docs' / 'extending.md'
MOST_LINES = 25  # of the whole memory, without imports and empty lines


def load() -> tuple[type, list[str]]:
  """Runs the page's first block; the class, and the lines of the memory."""
  found = re.search(r'```python\n(.*?)```', PAGE.read_text('utf-8'), re.DOTALL)
  assert found is not None
  block = found[1].partition('\n\n\nkinds.KINDS')[0]  # not registered here
  names = {'__name__': __name__}
  exec(compile(block, str(PAGE), 'exec'), names)
  memory = block.partition('\n\n\n')[2]
  return names['LastFrame'], [x for x in memory.splitlines() if x.strip()]


LastFrame, LINES = load()
