"""Bad input for the gateway: hostile requests over every route, slow clients, then schemathesis over its own document.

    python benchmarks/gateway_fuzz.py [--cases 50000] [--seed 0] [--postgresql] [--schemathesis schemathesis] [--only N]

The gateway is `sprat serve` in a process of its own, with secrets planted wherever it reads one, prompts stored and
its log at its most talkative. Each case must be answered or closed within 5 seconds; no status 500; every body fits the
official client's type or is an error in its dialect; no planted secret is in any answer, log, metric or database; the
server still answers at the end, in as much memory. `--only N` sends one case and shows it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "tests" / "gateway")]

from gateway_latency import Process  # noqa: E402
from hostile_requests import Case, Cases  # noqa: E402
from measured import header, table, write  # noqa: E402
from verdicts import answers, warm, wrong  # noqa: E402

ENV, FILE, STORE = "sk-planted-in-the-environment-31415", "planted-in-a-file-27182", "planted-in-the-address-16180"
AT_ONCE, LIMIT = 16, 5.0
_RUN = """import logging, sys
logging.basicConfig(level=logging.DEBUG)
from sprat.cli import main
sys.exit(main(sys.argv[1:]))"""
TOML = """
[way]
use = "cascade"
models = ["sprat", "far"]
trust = [{{use = "random"}}]
at_least = [0.5]
[models.sprat]
use = "tiny"
[models.far]
url = "{url}/v1"
key_env = "PLANTED_KEY"
retries = 0
price = {{input = 1.0, output = 2.0}}
[models.text]
url = "{url}/v1"
key_file = "key"
continues = "completions"
retries = 0
[models.claude]
use = "anthropic"
url = "{mock}"
key_file = "key"
model = "mock"
retries = 0
[models.gone]
url = "http://127.0.0.1:9/v1"
key_env = "PLANTED_KEY"
retries = 0
[encoders.static]
use = "static"
[gateway]
store_prompts = true
"""


class Served:
    """`sprat serve` with planted secrets, its upstreams, and what it says."""

    def __init__(self, folder: Path, store: str, mock: str) -> None:
        self.folder = folder
        self.upstream = Process([sys.executable, str(HERE / "gateway_upstream.py")], r"port (\d+)")
        (folder / "key").write_text(FILE)
        (folder / "key").chmod(0o600)
        url = f"http://127.0.0.1:{self.upstream.port}"
        (folder / "serve.toml").write_text(TOML.format(url=url, mock=mock))
        self.log = (folder / "log").open("w")
        command = [sys.executable, "-X", "dev", "-c", _RUN, "serve", str(folder / "serve.toml"), "--port", "0"]
        command += ["--key-required", *(["--store", store] if store else [])]
        env = {**os.environ, "PLANTED_KEY": ENV}
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, env=env)
        while not (found := re.search(r"base URL\s+http://127.0.0.1:(\d+)/v1", self.said())):
            if self.process.poll() is not None:
                raise SystemExit(self.said())
            time.sleep(0.05)
        self.port = int(found[1])
        while not (secret := re.search(r"key\s+(sk-sprat-\S+)", self.said())):
            time.sleep(0.05)
        self.key = secret[1]

    def said(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def memory(self) -> float:
        said = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", said)[1]) / 1024  # type: ignore[index]

    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(60)
        self.upstream.stop()
        return code


async def sent(port: int, case: Case) -> bytes | None:
    """What is answered to a case until the connection is closed; None where that does not happen in time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = b""
    try:
        async with asyncio.timeout(LIMIT):
            writer.write(case.data)
            if case.half:
                return b""
            if case.whole:
                while not complete(said, case.data[:5] == b"HEAD ") and (part := await reader.read(1 << 16)):
                    said += part
                return said
            with suppress(TimeoutError):  # what is broken may be waited for; then the client says that it sends no more
                while part := await asyncio.wait_for(reader.read(1 << 16), 0.3):
                    said += part
                return said
            writer.write_eof()
            while part := await reader.read(1 << 16):
                said += part
    except TimeoutError:
        return None
    except OSError:
        pass  # closed while the client was still writing
    finally:
        writer.transport.abort()
    return said


def complete(said: bytes, head_only: bool = False) -> bool:
    """Whether a whole response is there."""
    head, between, rest = said.partition(b"\r\n\r\n")
    if not between or head_only:
        return bool(between)
    if b"transfer-encoding: chunked" in head:
        return rest.endswith(b"0\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return length is None or len(rest) >= int(length[1])


def judged(case: Case, said: bytes | None, secrets: tuple[bytes, ...]) -> tuple[list[int], str]:
    """The statuses that a case was answered with, and what is wrong with the answers."""
    if said is None:
        return [], "not answered in time"
    method = case.data.split(b" ", 1)[0]
    try:
        found = answers(said, head_only=method == b"HEAD" and case.kind == "route")
    except (ValueError, KeyError) as error:
        return [], f"what came back is no HTTP ({error})"
    if case.whole and not found:
        return [], "closed without an answer"
    # Who says that they send no more before they have read is taken to have left.
    for answer in (a for a in found if case.whole or not a.cut):
        if why := wrong(case.path if case.whole else "", answer, secrets, theirs=True, unread=("text",)):
            return [a.status for a in found], why
    return [a.status for a in found], ""


async def slow(port: int, key: str) -> str:
    """A client that sends a byte a second, and never the end."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\nx: ".encode()
    try:
        writer.write(data)
        ended = asyncio.ensure_future(reader.read())
        while not ended.done() and time.monotonic() - began < 40:
            writer.write(b"x")
            await asyncio.wait([ended], timeout=1.0)
        return "" if ended.done() else "a slow client is still waited for after 40 s"
    except OSError:
        return ""
    finally:
        writer.transport.abort()


async def fuzz(given: argparse.Namespace, served: Served, secrets: tuple[bytes, ...]) -> dict[str, Any]:
    """Send the cases; counts by status and kind, and the failures."""
    cases = Cases(given.seed, served.key)
    statuses: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    failures: list[dict[str, Any]] = []
    slowest, memory, opened = 0.0, [served.memory()], 0
    numbers = iter(range(given.cases))

    async def work() -> None:
        nonlocal slowest, opened
        for number in numbers:
            case = cases.case(number)
            began = time.perf_counter()
            said = await sent(served.port, case)
            slowest = max(slowest, time.perf_counter() - began)
            found, why = judged(case, said, secrets)
            kinds[case.kind] += 1
            statuses.update(map(str, found or ["left" if case.half else "closed"]))
            if why:
                failures.append({"case": number, "kind": case.kind, "path": case.path, "why": why})
            if number % max(1, given.cases // 20) == 0:
                memory.append(served.memory())
                opened = opened or (served.files() if number else 0)  # once the pools of connections are there

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    late = [] if given.quick else await asyncio.gather(*(slow(served.port, served.key) for _ in range(20)))
    failures += [{"case": None, "kind": "slow", "path": "", "why": why} for why in late if why]
    return {
        "files": [opened, served.files()],
        "statuses": statuses,
        "kinds": kinds,
        "failures": failures,
        "slowest_s": slowest,
        "memory_mb": memory,
    }


def schemathesis(program: str, served: Served, examples: int, seed: int) -> dict[str, Any]:
    """Run schemathesis over the gateway's own document; its summary."""
    command = [program, "run", f"http://127.0.0.1:{served.port}/openapi.json", "--no-color"]
    command += ["-H", f"Authorization: Bearer {served.key}", "--max-examples", str(examples), "--seed", str(seed)]
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    # Its coverage phase runs into a fault of CPython 3.11 (AST constructor recursion depth).
    command += ["--phases", "examples,fuzzing,stateful"]
    command += ["--checks", checks, "--request-timeout", "10", "--workers", "2", "--continue-on-failure"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=served.folder)
    return {"code": done.returncode, "said": done.stdout[-6000:] + done.stderr[-2000:]}


def leaks(served: Served, store: Any, secrets: tuple[bytes, ...]) -> list[str]:
    """Where a planted secret was written."""
    written = {"the log": (served.folder / "log").read_bytes().replace(served.key.encode(), b"", 1)}
    for file in served.folder.glob("sprat.db*"):
        written[file.name] = file.read_bytes()
    if store is not None:
        url = store.url
        dumped = subprocess.run(["pg_dump", "--inserts", url], capture_output=True, check=False)
        written["the database"] = dumped.stdout + dumped.stderr
    return [f"{name} holds {s.decode()[:12]}..." for name, text in written.items() for s in secrets if s in text]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--schemathesis", default="", help="the program; without it that part is left out")
    parser.add_argument("--examples", type=int, default=300, help="schemathesis' examples per operation")
    parser.add_argument("--only", type=int, default=None)
    parser.add_argument("--quick", action="store_true", help="no slow clients, nothing written into results/")
    given = parser.parse_args()
    from stored import postgresql

    from mock_server import MockServer

    warm()
    began = time.time()
    database = postgresql() if given.postgresql else nullcontext()
    with tempfile.TemporaryDirectory() as name, MockServer() as mock, database as store:
        url = store.url if store is not None else ""
        served = Served(Path(name), url, mock.url)
        secrets = tuple(s.encode() for s in (ENV, FILE, served.key, *([STORE] if store else [])))
        if given.only is not None:
            case = Cases(given.seed, served.key).case(given.only)
            said = asyncio.run(sent(served.port, case))
            print(case.data[:3000], said, judged(case, said, secrets), served.said()[-3000:], sep="\n\n")
            served.stop()
            return 0
        found = asyncio.run(fuzz(given, served, secrets))
        if given.schemathesis:
            found["schemathesis"] = schemathesis(given.schemathesis, served, given.examples, given.seed)
        time.sleep(1.0)
        found["memory_mb"].append(served.memory())
        alive = asyncio.run(sent(served.port, Case(0, "body", "/healthz", b"GET /healthz HTTP/1.0\r\n\r\n")))
        found["alive"] = b" 200 " in (alive or b"")
        found["code"] = served.stop()
        text = served.said()
        found["tracebacks"] = len(re.findall(r"^Traceback", text, re.M))
        found["traceback"] = text[text.find("Traceback") :][:3000] if found["tracebacks"] else ""
        found["leaks"] = leaks(served, store, secrets)
    return report(given, found, time.time() - began)


def report(given: argparse.Namespace, found: dict[str, Any], seconds: float) -> int:
    """Write the record; 1 where something is wrong."""
    grown = found["memory_mb"][-1] - found["memory_mb"][len(found["memory_mb"]) // 4]
    bad = [f"case {f['case']} ({f['kind']}, {f['path']}): {f['why']}" for f in found["failures"]] + found["leaks"]
    bad += [] if found["alive"] else ["the server does not answer any more"]
    bad += [f"{found['tracebacks']} tracebacks in the log: {found['traceback']}"] if found["tracebacks"] else []
    bad += [f"memory grew by {grown:.0f} MB"] if grown > 60 else []
    bad += [f"open files: {found['files']}"] if found["files"][1] > found["files"][0] + 40 else []
    tested = found.get("schemathesis")
    bad += [f"schemathesis: {tested['said']}"] if tested and tested["code"] else []
    rows = [{"answer": k, "cases": f"{v:,}"} for k, v in sorted(found["statuses"].items())]
    kinds = ", ".join(f"{v:,} {k}" for k, v in sorted(found["kinds"].items()))
    lines = [f"# Bad input: {sum(found['kinds'].values()):,} cases, {len(bad)} failures", f"Cases: {kinds}.", ""]
    lines += table(rows)
    lines += [f"Slowest answer {found['slowest_s']:.2f} s; memory {found['memory_mb'][0]:.0f} MB at the start,"]
    lines += [f"{max(found['memory_mb']):.0f} at most, {found['memory_mb'][-1]:.0f} at the end; open files"]
    lines += [f"{found['files'][0]} before, {found['files'][1]} after.", ""]
    if tested:
        summary = re.search(r"=+ SUMMARY =+.*", tested["said"], re.S)
        lines += ["schemathesis:", "", *(f"    {x}" for x in (summary[0] if summary else "").splitlines()), ""]
    lines += [f"- {b}" for b in bad[:100]]
    print("\n".join(lines))
    if not given.quick:
        command = f"python benchmarks/gateway_fuzz.py --cases {given.cases}" + " --postgresql" * given.postgresql
        about = header(command, given.seed, seconds)
        write("gateway_fuzz", {"about": about, **found}, lines)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
