"""generate with a decoder's scores is generate where the decoder is the model, and the own loop elsewhere."""

import os
from functools import cache
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
hub = pytest.importorskip("transformers")

from sprat.endpoints.transformers import Transformers  # noqa: E402
from sprat.errors import CannotDo  # noqa: E402
from sprat.whitebox.custom_generate import generate_with  # noqa: E402

pytestmark = pytest.mark.data
PROMPTS = ["Once upon a time", "Tom"]


@cache
def parts():
    if not os.environ.get("SPRAT_DATA"):
        pytest.skip("needs SPRAT_DATA")
    path = str(Path(os.environ["SPRAT_DATA"]) / "models" / "stories260K")
    leaf, half = Transformers("stories", path), Transformers("half", path, dtype="bfloat16")
    tokenizer = leaf.vocabulary.tokenizer
    ids = [leaf.vocabulary.prompt([{"role": "user", "content": p}]) for p in PROMPTS]
    longest = max(map(len, ids))
    inputs = {
        "input_ids": torch.tensor([[0] * (longest - len(row)) + row for row in ids]),
        "attention_mask": torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids]),
        "pad_token_id": 0,
        "max_new_tokens": 30,
    }
    return leaf, half, tokenizer, inputs


def test_greedy_is_that_of_generate():
    leaf, _, _, inputs = parts()
    model = leaf.loaded.model.model
    got = model.generate(**inputs, do_sample=False, custom_generate=generate_with(leaf))
    assert torch.equal(got, model.generate(**inputs, do_sample=False))


def test_sampling_draws_as_generate_does():
    leaf, _, _, inputs = parts()
    model, drawn = leaf.loaded.model.model, []
    for more in ({"custom_generate": generate_with(leaf)}, {}):
        torch.manual_seed(5)
        drawn.append(model.generate(**inputs, do_sample=True, temperature=0.8, top_k=20, **more))
    assert torch.equal(*drawn)


def test_a_composition_writes_as_in_the_own_loop():
    leaf, half, _, inputs = parts()
    sum_of_both = leaf + 0.5 * half
    got = leaf.loaded.model.model.generate(**inputs, do_sample=False, custom_generate=generate_with(sum_of_both))
    longest = inputs["input_ids"].shape[1]
    said = [leaf.vocabulary.decode(row[longest:].tolist()) for row in got]
    assert said == [r.text for r in sum_of_both.batch(PROMPTS, max_tokens=30)]


def test_beams_are_refused():
    leaf, _, _, inputs = parts()
    with pytest.raises(CannotDo, match="greedily or sampled"):
        leaf.loaded.model.model.generate(**inputs, num_beams=2, do_sample=False, custom_generate=generate_with(leaf))
