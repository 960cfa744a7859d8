"""The torch session against plain forward passes over the whole text, on small random models of many architectures."""

import threading
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from sprat.errors import BadInput, CannotDo  # noqa: E402
from sprat.whitebox import torch_session  # noqa: E402
from sprat.whitebox.torch_session import TorchModel  # noqa: E402

V = 64
COMMON = {"vocab_size": V, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
GROUPED = {**COMMON, "num_key_value_heads": 2, "max_position_embeddings": 96}
GEMMA = {**GROUPED, "num_hidden_layers": 3, "head_dim": 8, "sliding_window": 5}
MADE = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", GROUPED),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {"vocab_size": V, "n_embd": 32, "n_layer": 2, "n_head": 4}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", GROUPED),
    "mistral": ("MistralForCausalLM", "MistralConfig", {**GROUPED, "sliding_window": 5}),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", GEMMA),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", GEMMA),
    "opt": ("OPTForCausalLM", "OPTConfig", {**COMMON, "ffn_dim": 48, "word_embed_proj_dim": 32}),
    "neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", {**COMMON, "max_position_embeddings": 96}),
    "phi": ("PhiForCausalLM", "PhiConfig", {**COMMON, "max_position_embeddings": 96}),
}


@cache
def model(name, dtype="float32", attention=None, **more):
    maker, config, options = MADE[name]
    torch.manual_seed(1)
    built = getattr(transformers, config)(**options, **more)
    made = getattr(transformers, maker)._from_config(built, attn_implementation=attention)
    for p in made.parameters():  # random weights are small at first, and then attention hardly matters
        if p.ndim > 1:
            p.data.mul_(4)
    return made.to(getattr(torch, dtype)).eval()


@cache
def opened(name, dtype="float32", attention=None):
    return TorchModel(model(name.removeprefix("lean "), dtype, attention), lean=name.startswith("lean "))


def whole(name, text, dtype="float32", attention=None):
    with torch.inference_mode():
        return model(name.removeprefix("lean "), dtype, attention)(
            input_ids=torch.tensor([text]), use_cache=False
        ).logits[0]


def fed(session, rows, keep=None):
    counts = np.array([len(row) for row in rows])
    ids = np.full((len(rows), counts.max()), 9)
    for padded, row in zip(ids, rows, strict=True):
        padded[len(padded) - len(row) :] = row
    return session.feed(ids, counts, keep)


def texts(*lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(1, V, n).tolist() for n in lengths]


every = pytest.mark.parametrize("name", [*MADE, "lean llama", "lean qwen2", "lean mistral"])


@every
def test_a_ragged_batch_is_each_row_alone(name):
    rows = texts(3, 11, 7)
    got = fed(opened(name).session(3), rows)
    for logits, row in zip(got, rows, strict=True):
        torch.testing.assert_close(logits[-len(row) :], whole(name, row), atol=1e-4, rtol=1e-4)


@every
def test_a_prompt_and_single_tokens_are_the_whole_text(name):
    (row,) = texts(14)
    session = opened(name).session(1)
    got = [session.feed(np.array([row[:6]]))] + [session.feed(np.array([[t]])) for t in row[6:]]
    torch.testing.assert_close(torch.cat(got, 1)[0], whole(name, row), atol=1e-4, rtol=1e-4)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.lists(st.integers(0, 7), min_size=4, max_size=4)),
        st.tuples(st.just("even"), st.integers(1, 5)),
        st.tuples(st.just("rollback"), st.lists(st.integers(0, 9), min_size=4, max_size=4)),
        st.tuples(st.just("select"), st.lists(st.integers(0, 3), min_size=1, max_size=4)),
    ),
    min_size=2,
    max_size=7,
)


@every
@settings(max_examples=12)
@given(operations=OPERATIONS, seed=st.integers(0, 99))
def test_any_run_of_operations_leaves_what_plain_passes_see(name, operations, seed):
    rng = np.random.default_rng(seed)
    session, held = opened(name).session(3), [[], [], []]
    for what, how in operations:
        if what == "select":
            rows = [r % len(held) for r in how]
            session.select(rows)
            held = [list(held[r]) for r in rows]
        elif what == "rollback":
            back = [min(n, len(row)) for n, row in zip(how, held, strict=False)]
            session.rollback(np.array(back))
            held = [row[: len(row) - n] for row, n in zip(held, back, strict=True)]
        else:
            new = [rng.integers(1, V, how if what == "even" else how[r]).tolist() for r in range(len(held))]
            if not any(new):
                continue
            got = fed(session, new)
            held = [row + more for row, more in zip(held, new, strict=True)]
            for logits, row, more in zip(got, held, new, strict=True):
                if more:
                    wanted = whole(name, row)[-len(more) :]
                    torch.testing.assert_close(logits[-len(more) :], wanted, atol=1e-4, rtol=1e-4)
    assert session.lengths.tolist() == [len(row) for row in held]


def test_keep_gives_the_last_columns():
    rows = texts(9, 4)
    every_column = fed(opened("llama").session(2), rows)
    torch.testing.assert_close(fed(opened("llama").session(2), rows, keep=2), every_column[:, -2:])


@pytest.mark.parametrize("name", ["llama", "mistral", "gemma2", "lean llama", "lean mistral"])
def test_long_prompts_are_read_in_blocks(name, monkeypatch):
    monkeypatch.setattr(torch_session, "BLOCK", 8)
    rows = texts(21, 30)
    session = opened(name).session(2)
    got = fed(session, rows, keep=12)
    for logits, row in zip(got, rows, strict=True):
        torch.testing.assert_close(logits, whole(name, row)[-12:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["llama", "mistral", "gpt2"])
def test_eager_attention_works_as_well(name):
    rows = texts(3, 8)
    session = opened(name, attention="eager").session(2)
    fed(session, rows)
    got = session.feed(np.array([[5, 6], [7, 8]]))
    torch.testing.assert_close(got[1], whole(name, [*rows[1], 7, 8])[-2:], atol=1e-4, rtol=1e-4)


@every
def test_bfloat16_stays_near_the_plain_pass(name):
    rows = texts(4, 9)
    got = fed(opened(name, "bfloat16").session(2), rows, keep=1)
    for logits, row in zip(got, rows, strict=True):
        wanted = whole(name, row, "bfloat16")[-1:]
        assert float((logits - wanted).abs().max()) < 0.1 * float(wanted.abs().max())


@pytest.mark.parametrize("name", ["lean llama", "lean mistral", "lean qwen2"])
def test_many_rows_at_once_are_each_row_alone(name):
    rows = texts(*range(3, 15))
    session = opened(name).session(12)
    fed(session, rows)
    for new in (5, 6, 7):
        got = session.feed(np.full((12, 1), new))
        rows = [[*row, new] for row in rows]
        for logits, row in zip(got, rows, strict=True):
            torch.testing.assert_close(logits[-1], whole(name, row)[-1], atol=1e-4, rtol=1e-4)


@every
def test_steps_after_ragged_prompts_are_each_row_alone_also_once_the_longest_has_left(name):
    rows = texts(3, 12, 7)
    session = opened(name).session(3)
    fed(session, rows)
    for new in range(1, 14):
        if new == 4:
            session.select([0, 2])
            rows = [rows[0], rows[2]]
        got = session.feed(np.full((len(rows), 1), new))
        rows = [[*row, new] for row in rows]
        for logits, row in zip(got, rows, strict=True):
            torch.testing.assert_close(logits[-1], whole(name, row)[-1], atol=1e-4, rtol=1e-4)


@every
def test_a_row_alone_may_be_padded_and_then_doubled(name):
    (row,) = texts(5)
    session = opened(name).session(1)
    session.feed(np.array([[9, 9, 9, *row]]), np.array([5]))
    session.select([0, 0])
    got = session.feed(np.array([[7], [8]]))
    torch.testing.assert_close(got[1, -1], whole(name, [*row, 8])[-1], atol=1e-4, rtol=1e-4)


def test_the_buffers_grow_past_their_first_size():
    (row,) = texts(90)
    session = opened("llama").session(1)
    got = [session.feed(np.array([[t]])) for t in row]
    torch.testing.assert_close(torch.cat(got, 1)[0], whole("llama", row), atol=1e-4, rtol=1e-4)


def test_a_row_that_would_outgrow_the_model_is_refused():
    session = opened("llama").session(2)
    fed(session, texts(90, 3))
    with pytest.raises(BadInput, match="97 tokens; LlamaForCausalLM reads at most 96"):
        fed(session, texts(7, 1))


def test_more_than_was_read_cannot_be_taken_back():
    session = opened("llama").session(2)
    fed(session, texts(4, 3))
    with pytest.raises(BadInput, match="take back"):
        session.rollback(4)


def test_closing_frees_the_cache():
    session = opened("llama").session(1)
    fed(session, texts(4))
    session.close()
    with pytest.raises(BadInput, match="closed"):
        fed(session, texts(1))


def test_threads_may_share_a_model():
    (row,) = texts(12)
    wanted, got = whole("qwen2", row), [None] * 4

    def read(i):
        session = opened("qwen2").session(1)
        got[i] = torch.cat([session.feed(np.array([[t]])) for t in row], 1)[0]

    threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in got:
        torch.testing.assert_close(one, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["llama", "qwen2", "mistral"])
def test_llama_shaped_models_get_the_lean_forward(name):
    assert opened("lean " + name).lean is not None


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "gemma3", "opt", "neox", "phi"])
def test_others_keep_their_own(name):
    assert TorchModel(model(name)).lean is None


def fresh_llama():
    torch.manual_seed(2)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**GROUPED)).eval()


def test_training_in_place_is_seen_by_the_lean_forward():
    own = fresh_llama()
    reader = TorchModel(own)
    with torch.no_grad():
        for p in own.parameters():
            p.mul_(1.5)
    (row,) = texts(7)
    with torch.inference_mode():
        wanted = own(input_ids=torch.tensor([row]), use_cache=False).logits[0]
    assert reader.lean is not None
    torch.testing.assert_close(fed(reader.session(1), [row])[0], wanted, atol=1e-4, rtol=1e-4)


def test_a_model_cast_after_opening_is_read_by_its_own_forward():
    own = fresh_llama()
    reader = TorchModel(own)
    own.double()
    (row,) = texts(5)
    assert fed(reader.session(1), [row]).dtype == torch.float64
    assert reader.lean is None


def test_hooks_keep_the_models_own_forward():
    own = fresh_llama()
    own.model.layers[1].register_forward_hook(lambda *_: None)
    assert TorchModel(own).lean is None


def test_joined_weights_can_be_saved(tmp_path):
    own = fresh_llama()
    TorchModel(own)
    own.save_pretrained(tmp_path)
    back = transformers.LlamaForCausalLM.from_pretrained(tmp_path)
    for a, b in zip(own.parameters(), back.parameters(), strict=True):
        assert torch.equal(a, b)


def test_an_encoder_decoder_is_refused():
    config = transformers.T5Config(vocab_size=V, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    with pytest.raises(CannotDo, match="encoder-decoder"):
        TorchModel(transformers.T5ForConditionalGeneration(config))


def test_recurrent_state_is_refused():
    config = transformers.MambaConfig(vocab_size=V, hidden_size=16, state_size=4, num_hidden_layers=1)
    with pytest.raises(CannotDo):
        TorchModel(transformers.MambaForCausalLM(config))


def test_a_model_without_position_ids_is_refused():
    config = transformers.BloomConfig(vocab_size=V, hidden_size=32, n_layer=2, n_head=4)
    torch.manual_seed(0)
    with pytest.raises(CannotDo):
        TorchModel(transformers.BloomForCausalLM(config).eval())
