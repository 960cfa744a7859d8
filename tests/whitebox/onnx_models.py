"""Small random Llamas with a tokenizer, to be exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SHAPE = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
}


def random_llama(folder: Path, **shape: Any) -> Path:
    """A Llama of random weights (seed 0) and a tokenizer of as many characters as it has tokens, saved to `folder`."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    config = LlamaConfig(**{**SHAPE, **shape}, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(str(folder))
    names = ["<pad>", "<s>", "</s>", *(chr(33 + i) for i in range(config.vocab_size - 3))]
    characters = Tokenizer(models.WordLevel({c: i for i, c in enumerate(names)}, unk_token="<pad>"))
    characters.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    characters.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(
        tokenizer_object=characters, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    ).save_pretrained(str(folder))
    return folder
