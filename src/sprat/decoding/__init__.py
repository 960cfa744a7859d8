"""Decoders made of decoders: each is a pure function of its parts' scores, or another way of writing from them."""

from ..whitebox.weighted import Weighted, weighted
from .aligner import Aligner, Predicted, aligner
from .choice import Choice, choose
from .cogenesis import CoGenesis, Sketch, cogenesis
from .comblm import Mix, mix
from .contrast import Contrast, contrast
from .dexperts import DExperts, dexperts
from .drafts import Copied, Lookup, lookup
from .emulate import Emulate, emulate
from .induce_contrast import InduceContrast, induce_contrast
from .ladder import Ladder, TextLadder, ladder
from .log_ratio import LogRatio, log_ratio
from .policy_adapter import Product, Steered, product, steered
from .proxy_tune import ProxyTune, proxy_tune
from .remote import Remote, remote
from .search import Search, search
from .search_remote import RemoteSearch
from .speculate import Speculate, speculate
from .told import Told, told

__all__ = [
    "Aligner",
    "Choice",
    "CoGenesis",
    "Contrast",
    "Copied",
    "DExperts",
    "Emulate",
    "InduceContrast",
    "Ladder",
    "LogRatio",
    "Lookup",
    "Mix",
    "Predicted",
    "Product",
    "ProxyTune",
    "Remote",
    "RemoteSearch",
    "Search",
    "Sketch",
    "Speculate",
    "Steered",
    "TextLadder",
    "Told",
    "Weighted",
    "aligner",
    "choose",
    "cogenesis",
    "contrast",
    "dexperts",
    "emulate",
    "induce_contrast",
    "ladder",
    "log_ratio",
    "lookup",
    "mix",
    "product",
    "proxy_tune",
    "remote",
    "search",
    "speculate",
    "steered",
    "told",
    "weighted",
]
