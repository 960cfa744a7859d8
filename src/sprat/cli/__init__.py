"""The command line: one file per command, each imported when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from ..errors import SpratError

app = App(
    name="sprat",
    help="Put small language models to work beside large ones, and say how sure that is.",
    version_flags=["--version"],
)
app.command("sprat.cli.study:study", help="What can a small model take over? The main job.")
app.command("sprat.cli.replay:replay", help="Measure a way of working on other recorded rows.")
app.command("sprat.cli.certify:certify", help="Check a certificate that a study wrote.")
app.command("sprat.cli.collect:collect", help="Ask models for the calls that a study needs; priced, resumable.")
app.command("sprat.cli.ask:ask", help="Ask one prompt and show what it took.")
app.command("sprat.cli.doctor:doctor", help="Find out what an endpoint can do.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command: 0 is success, 2 a mistake (said in a sentence on the error stream), 130 an interruption."""
    try:
        result = app(arguments, exit_on_error=False, result_action="return_value")
    except SpratError as error:
        print(f"sprat: {error}", file=sys.stderr)
        return 2
    except CycloptsError:
        return 2
    except KeyboardInterrupt:
        print("sprat: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of the output has seen enough
        sys.stderr.close()
        return 0
    return result if isinstance(result, int) else 0
