"""Decoders made of decoders: each is a pure function of its parts' scores, or another way of writing from them."""

from ..whitebox.weighted import Weighted, weighted

__all__ = ["Weighted", "weighted"]
