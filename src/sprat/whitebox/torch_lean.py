"""The forward pass of Llama-shaped models in a third of the calls: for small models those cost more than the sums.

Query, key and value weights are one matrix, gate and up another, the residual is added by the product, and rotary
angles are looked up. The model's own weights become views of these matrices, so memory stays the same and training in
place is seen. Only models whose parts are exactly Llama's are taken; TorchModel tries it against the model's own
forward and falls back to that where they differ. Checked as the session is (tests/whitebox/test_torch_session.py).
"""

from __future__ import annotations

from typing import Any

from .library import library

BY_HAND = 32  # rows times heads
TYPES = {"llama", "mistral", "qwen2"}
LAYER = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}
FEED = {"gate_proj", "up_proj", "down_proj", "act_fn"}
FIXED_ROPES = {"default", "linear", "llama3", "yarn"}  # their angles don't depend on the text's length


def lean_of(model: Any) -> Lean | None:
    """The model's lean forward, or None where it isn't exactly Llama-shaped: adapters, quantised layers, hooks."""
    torch = library("torch", "A transformers model")
    config, inner = model.config, getattr(model, "model", None)
    rope: Any = getattr(config, "rope_parameters", None) or {}
    if (
        config.model_type not in TYPES
        or not type(model).__module__.startswith("transformers.models.")
        or rope.get("rope_type") not in FIXED_ROPES
        or getattr(config, "hidden_act", None) != "silu"
        or getattr(config, "_attn_implementation", None) != "sdpa"
        or inner is None
        or set(dict(inner.named_children())) != {"embed_tokens", "layers", "norm", "rotary_emb"}
    ):
        return None
    linear = [model.lm_head]
    for layer in inner.layers:
        attention, feed = layer.self_attn, layer.mlp
        for part, named in ((layer, LAYER), (attention, ATTENTION), (feed, FEED)):
            if set(dict(part.named_children())) != named:
                return None
        linear += [getattr(attention, name) for name in sorted(ATTENTION)]
        linear += [feed.gate_proj, feed.up_proj, feed.down_proj]
    if any(type(one) is not torch.nn.Linear for one in linear):
        return None
    # transformers leaves hooks of its own that hand out hidden states, once these were asked for; they change nothing.
    hooks = [h for m in model.modules() for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]
    if any(getattr(h, "__module__", "") != "transformers.utils.output_capturing" for h in hooks):
        return None
    if any("forward" in m.__dict__ for m in model.modules()):
        return None
    if len({p.device for p in model.parameters()}) != 1 or len({p.dtype for p in model.parameters()}) != 1:
        return None
    if any(one.bias is not None for layer in inner.layers for one in (layer.mlp.gate_proj, layer.mlp.down_proj)):
        return None
    return Lean(torch, model)


class Lean:
    """Logits of a Llama-shaped model; takes what its own forward takes, the masks as numbers to add."""

    def __init__(self, torch: Any, model: Any) -> None:
        self.torch, self.model = torch, model
        config, layers = model.config, model.model.layers
        attention = layers[0].self_attn
        self.heads, self.shared = int(config.num_attention_heads), int(config.num_key_value_heads)
        self.dim, self.eps = int(attention.head_dim), float(config.rms_norm_eps)
        self.scale = float(attention.scaling)
        self.kinds: list[str] = list(getattr(config, "layer_types", None) or [""] * len(layers))
        self.layers: list[tuple[Any, ...]] = []
        self.held: list[tuple[Any, int]] = []  # parameters with where their values lay when they were joined
        for layer in layers:
            own, feed = layer.self_attn, layer.mlp
            first, bias = _joined(torch, [own.q_proj, own.k_proj, own.v_proj])
            gates, _ = _joined(torch, [feed.gate_proj, feed.up_proj])
            out, down = own.o_proj, feed.down_proj
            self.layers.append(
                (
                    layer.input_layernorm.weight.detach(),
                    first,
                    bias,
                    out.weight.detach().t(),
                    None if out.bias is None else out.bias.detach(),
                    layer.post_attention_layernorm.weight.detach(),
                    gates,
                    down.weight.detach().t(),
                )
            )
        self.embedding = model.model.embed_tokens.weight.detach()
        self.norm = model.model.norm.weight.detach()
        self.head = model.lm_head.weight.detach()
        self.head_bias = None if model.lm_head.bias is None else model.lm_head.bias.detach()
        self.held = [(p, p.data_ptr()) for p in model.parameters()]
        self._angles: tuple[Any, Any] | None = None

    @property
    def current(self) -> bool:
        """Whether the weights still lie where they did; a model moved or cast since is read by its own forward."""
        return all(p.data_ptr() == at for p, at in self.held)

    def angles(self, end: int) -> tuple[Any, Any]:
        """Cosines and signed sines of positions 0..end-1 at least, (positions, dim); kept and grown."""
        known = self._angles
        if known is None or known[0].shape[0] < end:
            torch = self.torch
            positions = torch.arange(max(512, 2 * end), device=self.embedding.device)[None]
            cosines, sines = self.model.model.rotary_emb(self.embedding[:1], positions)
            sines = sines[0].clone()
            sines[:, : self.dim // 2] *= -1  # so that halves are swapped without negating one
            self._angles = known = (cosines[0], sines)
        return known

    def __call__(self, ids: Any, positions: Any, mask: Any, cache: Any, keep: int, end: int) -> Any:
        """Logits of the last `keep` columns, (batch, keep, vocabulary); `end` bounds the positions.

        `mask` is None, a mask, or one per kind of layer; None says: causal over the new tokens alone, or one new token.
        """
        torch = self.torch
        functional = torch.nn.functional
        batch, n = ids.shape
        heads, dim = self.heads, self.dim
        roped, half, group = heads + self.shared, dim // 2, heads // self.shared
        cosines, sines = self.angles(end)
        if positions.shape[0] == 1 and end >= n:
            start = end - n
            cosine, sine = cosines[None, start:end, None], sines[None, start:end, None]
        else:
            cosine, sine = cosines[positions][:, :, None], sines[positions][:, :, None]
        x = functional.embedding(ids, self.embedding).reshape(batch * n, -1)
        size = (x.shape[1],)
        norm, linear, attend = functional.rms_norm, functional.linear, functional.scaled_dot_product_attention
        # For one query per row a CPU's fused attention costs more than the two products that it is made of.
        by_hand = n == 1 and batch * heads >= BY_HAND and x.device.type == "cpu" and x.dtype == torch.float32
        for at, (before, first, bias, out, out_bias, between, gates, down) in enumerate(self.layers):
            qkv = linear(norm(x, size, before, self.eps), first, bias).view(batch, n, roped + self.shared, dim)
            qk = qkv[:, :, :roped]
            swapped = torch.cat((qk[..., half:], qk[..., :half]), -1)
            turned = torch.addcmul(qk * cosine, swapped, sine).transpose(1, 2)
            keys, values = cache.update(turned[:, heads:], qkv[:, :, roped:].transpose(1, 2), at)
            query = turned[:, :heads]
            own = mask[self.kinds[at]] if isinstance(mask, dict) else mask
            if n == 1:
                # One query per row: heads that share keys stand in a row, so keys need not be repeated.
                query = query.reshape(batch, self.shared, group, dim)
                if by_hand:
                    weights = torch.matmul(query * self.scale, keys.transpose(2, 3))
                    weights = (weights if own is None else weights.add_(own)).softmax(-1)
                    seen = torch.matmul(weights, values).view(batch, -1)
                else:
                    seen = attend(query, keys, values, attn_mask=own, scale=self.scale).reshape(batch, -1)
            else:
                shared = own is None and group > 1
                if group > 1 and not shared:
                    keys, values = keys.repeat_interleave(group, 1), values.repeat_interleave(group, 1)
                seen = attend(
                    query, keys, values, attn_mask=own, is_causal=own is None, scale=self.scale, enable_gqa=shared
                )
                seen = seen.transpose(1, 2).reshape(batch * n, -1)
            x = torch.addmm(x, seen, out)
            if out_bias is not None:
                x = x + out_bias
            gate, up = linear(norm(x, size, between, self.eps), gates).chunk(2, -1)
            x = torch.addmm(x, functional.silu(gate).mul_(up), down)
        x = x.view(batch, n, -1)[:, n - keep :]
        return linear(norm(x, size, self.norm, self.eps), self.head, self.head_bias)


def _joined(torch: Any, parts: list[Any]) -> tuple[Any, Any]:
    """The weights of linear layers as one matrix, and their biases; theirs become views of it."""
    made: list[Any] = []
    for name in ("weight", "bias"):
        own = [getattr(part, name) for part in parts]
        if own[0] is None:
            made.append(None)
            continue
        whole = torch.cat([p.detach() for p in own])
        at = 0
        for p in own:
            p.data = whole[at : at + p.shape[0]]
            at += p.shape[0]
        made.append(whole)
    return made[0], made[1]
