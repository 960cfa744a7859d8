"""Training: small models that are taught beside large ones. Needs the extra 'torch'."""

from .policy_adapter import policy_adapter

__all__ = ["policy_adapter"]
