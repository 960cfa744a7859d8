"""The server that gateway_chaos.py kills and starts again: `sprat serve` on a port that stays, and what it is like."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

_RUN = "import sys; from sprat.cli import main; sys.exit(main(sys.argv[1:]))"
TOML = """
[way]
use = "route"
models = ["small", "large"]
trust = [{{use = "random"}}]
at_least = [0.5]
[models.small]
url = "{url}/v1"
timeout = 8.0
read_timeout = 3.0
retries = 2
price = {{input = 1.0, output = 2.0}}
[models.large]
url = "{url}/v1"
timeout = 8.0
read_timeout = 3.0
retries = 0
price = {{input = 10.0, output = 20.0}}
[models.claude]
use = "anthropic"
url = "{url}/v1"
timeout = 8.0
read_timeout = 3.0
retries = 1
price = {{input = 3.0, output = 6.0}}
[models.chain]
url = "{url}/v1"
timeout = 8.0
read_timeout = 3.0
retries = 1
[gateway]
drain = 20.0
breaker_failures = 20
durable = {durable}
"""


class Serving:
    """`sprat serve` on a port that stays, killed and started again."""

    def __init__(self, folder: Path, disk: Path, url: str, store: str, faketime: str) -> None:
        self.folder, self.url, self.faketime = folder, url, faketime
        self.store = store or str(disk / "sprat.db")
        self.clock = folder / "clock"
        self.clock.write_text("+0")
        self.key, self.port, self.starts = "", 0, 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, durable: bool) -> None:
        """Start, and wait until it can be reached."""
        self.durable = durable
        file = self.folder / "serve.toml"
        file.write_text(TOML.format(url=self.url, durable=str(durable).lower()))
        env = {**os.environ}
        if self.faketime:
            env |= {"LD_PRELOAD": self.faketime, "FAKETIME_TIMESTAMP_FILE": str(self.clock)}
            env |= {"FAKETIME_CACHE_DURATION": "1", "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        command = [sys.executable, "-c", _RUN, "serve", str(file), "--port", str(self.port), "--store", self.store]
        self.starts += 1
        log = self.folder / f"log{self.starts}"
        with log.open("w") as out:
            self.process = subprocess.Popen([*command, "--key-required"], stdout=out, stderr=out, env=env)
        end = time.monotonic() + 60
        while not (found := re.search(r"health\s+http://127.0.0.1:(\d+)/", log.read_text())):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"sprat serve did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        self.port = int(found[1])
        if secret := re.search(r"key\s+(sk-sprat-\S+)", log.read_text()):
            self.key = secret[1]
        while self.get("/healthz")[0] != 200:
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"sprat serve did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)

    def get(self, path: str) -> tuple[int, str]:
        """Status and text; 0 where it can't be reached."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def ready(self, patience: float) -> str:
        """ "" once it says that it is ready, else what it says after so many seconds."""
        end = time.monotonic() + patience
        said = ""
        while time.monotonic() < end:
            status, said = self.get("/readyz")
            if status == 200:
                return ""
            time.sleep(0.1)
        return said or "it can't be reached"

    def signal(self, which: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(which)

    def takes(self, which: signal.Signals) -> bool:
        """Whether the process handles a signal, rather than dying of it."""
        assert self.process is not None
        caught = re.search(r"SigCgt:\s+([0-9a-f]+)", Path(f"/proc/{self.process.pid}/status").read_text())
        return bool(caught and int(caught[1], 16) >> (which - 1) & 1)

    def memory(self) -> float:
        assert self.process is not None
        said = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", said)[1]) / 1024  # type: ignore[index]

    def files(self) -> int:
        assert self.process is not None
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def logs(self) -> str:
        return "".join((self.folder / f"log{i + 1}").read_text(errors="replace") for i in range(self.starts))
