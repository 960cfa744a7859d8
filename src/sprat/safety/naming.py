"""Safety scorers by the names that command lines and TOML files use."""

from __future__ import annotations

from ..errors import BadInput, nearest
from .hub_classifiers import hub
from .linear import linear
from .private import pii
from .scorer import Scorer

NAMES = ("toxicity", "pii", "injection")


def is_scorer(name: str) -> bool:
    """Whether a name is one of a scorer's: its word, with more after @, : or =."""
    return name.partition("@")[0] in NAMES or name.startswith(("hub:", "pii:"))


def named(name: str) -> Scorer:
    """The scorer of a name; BadInput for none.

    toxicity or injection, at another rate of unsafe texts as toxicity@0.02; pii, of some kinds as pii:US_SSN+PERSON;
    hub:MODEL, with the labels that count as hub:MODEL=toxic+insult.
    """
    word, _, rate = name.partition("@")
    if word in ("toxicity", "injection"):
        try:
            return linear(word, float(rate) if rate else None)
        except ValueError as error:
            raise BadInput(f"'{rate}' is no rate of unsafe texts.", hint=f"Write {word}@0.02.") from error
    kind, _, rest = name.partition(":")
    if name == "pii":
        return pii()
    if kind == "pii" and rest:
        return pii([k.strip() for k in rest.split("+")])
    if kind == "hub" and rest:
        model, _, labels = rest.partition("=")
        return hub(model, [x.strip() for x in labels.split("+") if x.strip()])
    raise BadInput(f"There is no safety scorer '{name}'.", hint=nearest(name, (*NAMES, "hub:MODEL")))
