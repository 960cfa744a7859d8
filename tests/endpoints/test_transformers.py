"""The transformers endpoint: its text is that of generate, and what can't be loaded is said in a sentence."""

import json
import os
import threading
from functools import cache
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
hub = pytest.importorskip("transformers")

from sprat.endpoints.transformers import Transformers  # noqa: E402
from sprat.errors import BadInput  # noqa: E402

GREETING = "Once upon a time"


def folder(name):
    if not os.environ.get("SPRAT_DATA"):
        pytest.skip("needs SPRAT_DATA")
    return str(Path(os.environ["SPRAT_DATA"]) / "models" / name)


def stories(**options):
    return Transformers("stories", folder("stories260K"), **options)


@cache
def reference(name):
    path = folder(name)
    model = hub.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    return model.eval(), hub.AutoTokenizer.from_pretrained(path)


def generated(name, prompt, n):
    model, tokenizer = reference(name)
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=n)
    return tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True, clean_up_tokenization_spaces=False)


@pytest.mark.data
def test_the_greedy_text_is_that_of_generate():
    reply = stories()(GREETING, max_tokens=60)
    assert reply.text == generated("stories260K", GREETING, 60)
    assert len(reply.logprobs) == 60


@pytest.mark.data
def test_a_ragged_batch_is_each_prompt_alone():
    prompts = [GREETING, "Tom", "The dog saw a big red ball and"]
    batch = stories().batch(prompts, max_tokens=40)
    assert [r.text for r in batch] == [generated("stories260K", p, 40) for p in prompts]


@pytest.mark.data
def test_mackerel_answers_as_in_numpy():
    from sprat.aquarium import problems
    from sprat.endpoints import tiny

    prompts = [one.prompt for one in problems(12, 5)]
    written = Transformers("mackerel", folder("aquarium/mackerel")).batch(prompts, max_tokens=32)
    assert [r.text for r in written] == [g.text for g in tiny("mackerel").batch(prompts)]


@pytest.mark.data
def test_sampling_is_reproducible_and_streams_the_same_text():
    one = stories()(GREETING, max_tokens=20, temperature=1.0, seed=3)
    assert stories()(GREETING, max_tokens=20, temperature=1.0, seed=3).text == one.text
    assert stories()(GREETING, max_tokens=20, temperature=1.0, seed=4).text != one.text


@pytest.mark.data
def test_equal_endpoints_share_weights_and_unload_lets_go():
    assert stories().loaded is stories(max_tokens=3).loaded
    before = stories().loaded
    stories().unload()
    assert stories().loaded is not before


@pytest.mark.data
def test_threads_load_once():
    stories().unload()
    found = [None] * 4

    def read(i):
        found[i] = stories().loaded

    threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one is found[0] for one in found)


@pytest.mark.data
def test_the_context_is_that_of_the_config():
    assert stories().positions == 512
    with pytest.raises(BadInput, match="stories reads at most 512"):
        stories()("the dog " * 600)


@pytest.mark.data
def test_on_a_cpu_auto_is_float32_and_bfloat16_works_when_asked_for():
    assert stories().loaded.model.dtype == torch.float32
    assert stories(dtype="bfloat16")(GREETING, max_tokens=5).text


@pytest.mark.data
def test_loading_says_nothing_off_a_terminal(capfd):
    stories().unload()
    _ = stories().loaded
    assert capfd.readouterr().err == ""


def test_an_unknown_dtype_names_the_known_ones():
    with pytest.raises(BadInput, match=r"no dtype 'int3'.*bfloat16"):
        Transformers("x", dtype="int3")


def test_an_unknown_device_is_said():
    with pytest.raises(BadInput, match="no device 'toaster'"):
        _ = Transformers("x", device="toaster").loaded


def test_a_missing_cuda_device_is_said():
    with pytest.raises(BadInput, match="'cuda:99' is not here"):
        _ = Transformers("x", device="cuda:99").loaded


def test_a_path_that_is_nothing_says_what_to_give():
    with pytest.raises(BadInput, match="neither a folder here nor a model"):
        _ = Transformers("x", "no/such-model", download=False).loaded


def test_a_folder_without_a_config_says_so(tmp_path):
    with pytest.raises(BadInput, match=r"without a config\.json"):
        _ = Transformers("x", str(tmp_path)).loaded


def test_a_model_that_is_not_causal_says_so(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertForMaskedLM"]}))
    with pytest.raises(BadInput, match="no causal language model but BertForMaskedLM"):
        _ = Transformers("x", str(tmp_path)).loaded


def test_a_folder_without_weights_says_so(tmp_path):
    hub.LlamaConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1).save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="can't be loaded"):
        _ = Transformers("x", str(tmp_path)).loaded


def test_missing_weights_are_not_made_up(tmp_path):
    from safetensors.torch import load_file, save_file

    config = hub.LlamaConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    hub.LlamaForCausalLM(config).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match=r"lacks weights of its own model: model\.norm\.weight"):
        _ = Transformers("x", str(tmp_path)).loaded


def test_a_bfloat16_checkpoint_is_read_in_float32_on_a_cpu(tmp_path):
    hub = pytest.importorskip("transformers")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = hub.LlamaConfig(vocab_size=32, **size)
    hub.LlamaForCausalLM(config).bfloat16().save_pretrained(tmp_path)
    from tokenizers import Tokenizer, models

    words = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>"))
    hub.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>").save_pretrained(tmp_path)
    assert Transformers("x", str(tmp_path), device="cpu").loaded.model.dtype == torch.float32
    assert Transformers("x", str(tmp_path), device="cpu", dtype="bfloat16").loaded.model.dtype == torch.bfloat16
