"""For those who stay in transformers: `model.generate(..., custom_generate=generate_with(decoder))`.

The decoder's scores take the place of the model's; processors, stopping criteria and the random generator stay those of
transformers. Checked against generate and the own loop (tests/whitebox/test_custom_generate.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core import Request
from ..errors import CannotDo
from .arrays import is_torch
from .library import library
from .pool import Pool

if TYPE_CHECKING:
    from .decoder import Decoder


def generate_with(decoder: Decoder) -> Callable[..., Any]:
    """What `generate` takes as custom_generate: every part reads the ids that generate was given, left padding cut off.

    Greedy and sampled, one sequence per prompt; ids (batch, length) come back. CannotDo for beams and output dicts.
    transformers hands no streamer to such a function, so none is fed.
    """

    def generate(
        model: Any,
        input_ids: Any,
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: Any,
        **others: Any,
    ) -> Any:
        torch = library("torch", "custom_generate")
        if generation_config.num_beams != 1 or generation_config.return_dict_in_generate:
            raise CannotDo("generate_with writes ids, greedily or sampled.", hint="Leave out beams and output dicts.")
        # By name, transformers would pass the mask twice.
        attention_mask = others.get("attention_mask")
        seen = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        prompts = [row[kept.bool()].tolist() for row, kept in zip(input_ids, seen, strict=True)]
        pool = Pool([decoder], [Request.of(" ") for _ in prompts])
        pool.prompts = [prompts for _ in pool.leaves]
        for track in pool.tracks:
            track.prompts = prompts
        pad, ids = getattr(generation_config, "_pad_token_tensor", None), input_ids
        going = torch.ones_like(ids[:, 0], dtype=torch.bool)
        try:
            while True:
                scores = pool.scores(decoder)[:, 0]
                if not is_torch(scores):
                    raise CannotDo(f"'{decoder.formula}' has no torch weights.", hint="Use sprat's own loop: m(...).")
                scores = logits_processor(ids, scores.to(ids.device).float())
                if generation_config.do_sample:
                    chosen = torch.multinomial(scores.softmax(-1), 1)[:, 0]
                else:
                    chosen = scores.argmax(-1)
                chosen = chosen if pad is None else torch.where(going, chosen, pad)
                ids = torch.cat([ids, chosen[:, None]], -1)
                going &= ~stopping_criteria(ids, scores)
                if not going.any():
                    return ids
                pool.write(chosen[:, None].cpu().numpy())
                pool.settle()
        finally:
            pool.close()

    return generate
