"""Decoders made of decoders: each is a pure function of its parts' scores, or another way of writing from them."""

from ..whitebox.weighted import Weighted, weighted
from .comblm import Mix, mix
from .contrast import Contrast, contrast
from .dexperts import DExperts, dexperts
from .emulate import Emulate, emulate
from .induce_contrast import InduceContrast, induce_contrast
from .ladder import Ladder, TextLadder, ladder
from .proxy_tune import ProxyTune, proxy_tune
from .remote import Remote, remote
from .told import Told, told

__all__ = [
    "Contrast",
    "DExperts",
    "Emulate",
    "InduceContrast",
    "Ladder",
    "Mix",
    "ProxyTune",
    "Remote",
    "TextLadder",
    "Told",
    "Weighted",
    "contrast",
    "dexperts",
    "emulate",
    "induce_contrast",
    "ladder",
    "mix",
    "proxy_tune",
    "remote",
    "told",
    "weighted",
]
