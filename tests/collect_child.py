"""Collects in a child process that may be killed: each line on stdin (JSON arguments) forks one, and prints its pid."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import sprat.endpoints.upstream  # noqa: F401  (imported once, before the forks)
from sprat.collect import Collection, plan
from sprat.config import load_models
from sprat.reading import read


def collect(prompts: str, models: str, out: str, retry: bool) -> None:
    collection = Collection(plan(read(Path(prompts), prompts_only=True), load_models(Path(models))), Path(out))
    collection.run(retry_in_doubt=retry)


if __name__ == "__main__":
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            collect(**json.loads(line))
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
