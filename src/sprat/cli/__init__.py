"""The command line: one file per command, each imported when it is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from ..errors import SpratError

# What the list of commands says of each; a command's own help is its docstring.
COMMANDS = {
    "study": "What can a small model take over? The main job.",
    "calibrate": "Mend a confidence, and certify from where on to answer.",
    "marks": "A mean from few human marks and many cheap scores.",
    "predict": "Foretell a large model's score from small ones.",
    "replay": "Measure a way of working on other recorded rows.",
    "certify": "Check a certificate that a study wrote.",
    "collect": "Ask models for the calls that a study needs; priced, resumable.",
    "curate": "Keep the documents worth training on, and every reason.",
    "audit": "Is a safety scorer right, calibrated, and fair to every group?",
    "evaluate": "Score recorded replies, with intervals: BERTScore and others.",
    "energy": "What recorded calls drew, by model, with a low and a high.",
    "check": "Find claims that their documents do not bear out.",
    "serve": "Put a way of working in the path of the requests.",
    "ask": "Ask one prompt and show what it took.",
    "decode": "Write with several models at once, token by token.",
    "logs": "Show the gateway's requests and costs; export them for a study.",
    "budget": "Show how the gateway's budgets stand.",
    "keys": "Make, list and disable the gateway's keys.",
    "promise": "How the certified promise stands; mark pairs, renew.",
    "dashboard": "Set the password of the gateway's dashboard.",
    "uncertainty": "Which measure of doubt finds a model's wrong answers?",
    "cache": "Show what the gateway's cache gave, and its false hits.",
    "doctor": "Find out what an endpoint can do.",
    "methods": "List the techniques, signals, endpoints and encoders.",
}


def make_app(asked: str = "") -> App:
    """The application; only the command that is asked for needs to be imported to list them all."""
    said = "Put small language models to work beside large ones, and say how sure that is."
    app = App(name="sprat", help=said, suppress_keyboard_interrupt=False)
    for name, said in COMMANDS.items():
        app.command(f"sprat.cli.{name}:{name}", **({} if name == asked else {"help": said}))
    return app


app = make_app()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command: 0 is success, 1 an incomplete job, 2 a mistake, 4 what can't be told, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # A study forks a worker per core; on top of that, threads for small matrices only stand in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        result = make_app(given[0] if given else "")(given, exit_on_error=False, result_action="return_value")
    except SpratError as error:
        print(f"sprat: {error}", file=sys.stderr)
        return 2
    except CycloptsError:  # said already
        return 2
    except KeyboardInterrupt:
        print("sprat: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has seen enough
        sys.stderr.close()
        return 0
    return result if isinstance(result, int) else 0
