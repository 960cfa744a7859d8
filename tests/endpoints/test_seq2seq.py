"""Encoder-decoders: small random T5 and BART models against their own forward passes and BARTScore's arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import sprat  # noqa: E402
from sprat.config import model_of  # noqa: E402
from sprat.endpoints import Seq2Seq, seq2seq  # noqa: E402
from sprat.errors import BadInput, CannotDo  # noqa: E402
from sprat.measure.likelihood import likelihood  # noqa: E402

V = 100
SHAPES = {
    "t5": ("T5", {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}),
    "bart": (
        "Bart",
        {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
         "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 40,
         "decoder_start_token_id": 2, "forced_eos_token_id": None},
    ),
}  # fmt: skip


def saved(kind: str, folder: Path) -> Path:
    """A model of random weights with a tokenizer of one token per character, specials as that family puts them."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

    family, shape = SHAPES[kind]
    config = getattr(transformers, f"{family}Config")(
        vocab_size=V, pad_token_id=0, bos_token_id=1, eos_token_id=2, **shape
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = getattr(transformers, f"{family}ForConditionalGeneration")(config)
    for p in model.parameters():
        if p.ndim > 1:
            p.data.mul_(6)
    model.save_pretrained(str(folder))
    names = ["<pad>", "<s>", "</s>", *(chr(32 + i) for i in range(V - 3))]
    characters = Tokenizer(models.WordLevel({c: i for i, c in enumerate(names)}, unk_token="<pad>"))
    characters.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    characters.decoder = decoders.Fuse()
    around = "<s> $A </s>" if kind == "bart" else "$A </s>"
    characters.post_processor = processors.TemplateProcessing(single=around, special_tokens=[("<s>", 1), ("</s>", 2)])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=characters, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    tokenizer.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module", params=SHAPES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seq2Seq:
    return seq2seq(saved(request.param, tmp_path_factory.mktemp("seq2seq") / request.param), device="cpu")


def bartscore(model: Seq2Seq, source: str, target: str) -> float:
    """Its own code's arithmetic: the summed loss of the labels, specials too, by their number; negated."""
    loaded = model.loaded
    read = loaded.tokenizer(source, return_tensors="pt")
    labels = loaded.tokenizer(text_target=target, return_tensors="pt").input_ids
    with torch.no_grad():
        out = loaded.model(input_ids=read.input_ids, attention_mask=read.attention_mask, labels=labels)
    loss = torch.nn.functional.cross_entropy(out.logits[0], labels[0], reduction="none")
    return float(-loss.sum() / labels.shape[1])


def test_with_its_end_the_likelihood_is_bartscores(model: Seq2Seq) -> None:
    pairs = [("the cat sat", "a cat"), ("dogs", "some dogs run on")]
    found = likelihood(model, [t for _, t in pairs], sources=[s for s, _ in pairs], ended=True).faithfulness
    assert found == pytest.approx([bartscore(model, s, t) for s, t in pairs], abs=1e-4)


def test_without_it_special_tokens_do_not_count(model: Seq2Seq) -> None:
    (alone,), (ended,) = (model.likelihoods([("the cat", "a cat")], ended=e) for e in (False, True))
    assert len(alone) == 5
    assert len(ended) in (6, 7)
    assert set(np.round(alone, 6)) <= set(np.round(ended, 6))


def test_the_four_directions_over_several_references(model: Seq2Seq) -> None:
    found = likelihood(model, ["a cat"], [["the cat", "cats"]], ["it is a cat"], ended=True)
    forth = [bartscore(model, r, "a cat") for r in ("the cat", "cats")]
    back = [bartscore(model, "a cat", r) for r in ("the cat", "cats")]
    assert found.faithfulness == pytest.approx([bartscore(model, "it is a cat", "a cat")], abs=1e-4)
    assert found.precision == pytest.approx([np.mean(forth)], abs=1e-4)
    assert found.recall == pytest.approx([np.mean(back)], abs=1e-4)
    assert found.f == pytest.approx([np.mean(forth + back)], abs=1e-4)


def test_a_pair_among_longer_ones_is_as_alone(model: Seq2Seq) -> None:
    pairs = [("a", "b"), ("a long source of words", "and a long target"), ("abc", "de")]
    for one, among in zip(pairs, model.likelihoods(pairs), strict=True):
        assert among == pytest.approx(model.likelihoods([one])[0], abs=1e-4)


def test_its_greedy_reply_is_that_of_generate(model: Seq2Seq) -> None:
    loaded, questions = model.loaded, ["the cat", "dogs run far"]
    for reply, asked in zip(model.batch(questions, max_tokens=6), questions, strict=True):
        read = loaded.tokenizer(asked, return_tensors="pt")
        with torch.no_grad():
            ids = loaded.model.generate(**read, max_new_tokens=6, do_sample=False, num_beams=1)
        assert reply.text == loaded.tokenizer.decode(ids[0], skip_special_tokens=True).strip()
        assert reply.finish in ("stop", "length")
        assert len(reply.tokens or ()) == len(reply.logprobs or ())
        assert reply.usage is not None
        assert reply.usage.input_tokens == read.input_ids.shape[1]


def test_a_draw_follows_from_its_seed(model: Seq2Seq) -> None:
    one, same, other = (model("the cat", temperature=3.0, seed=s, max_tokens=12).text for s in (1, 1, 2))
    assert one == same != other


def test_a_signal_over_it_ranks_replies(model: Seq2Seq) -> None:
    signal = sprat.signals.likelihood(model)
    wanted = np.exp(model.likelihoods([("the cat", "a cat")])[0].mean())
    assert signal("the cat", "a cat") == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("options", [{"tools": [{}]}, {"n": 2}, {"stop": ["a"]}])
def test_what_it_can_not_write_is_refused(model: Seq2Seq, options: dict[str, Any]) -> None:
    with pytest.raises(CannotDo):
        model("the cat", **options)


def test_a_text_past_its_positions_is_refused(tmp_path: Path) -> None:
    bart = seq2seq(saved("bart", tmp_path / "bart"), device="cpu")
    with pytest.raises(BadInput, match="reads at most 40"):
        bart("a" * 60)
    with pytest.raises(BadInput, match="reads at most 40"):
        likelihood(bart, ["a"], sources=["a" * 60])


def test_a_folder_is_known_for_what_it_is(tmp_path: Path) -> None:
    folder = saved("t5", tmp_path / "t5")
    assert isinstance(model_of(str(folder)), Seq2Seq)
    with pytest.raises(CannotDo, match="encoder-decoder"):
        sprat.local(str(folder))
    with pytest.raises(BadInput, match="neither a folder"):
        seq2seq(str(tmp_path / "nothing"), download=False)
