"""The vocabulary of a transformers tokenizer against the tokenizer itself."""

import os
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

from sprat.errors import BadInput  # noqa: E402
from sprat.whitebox.hub_vocabulary import HubVocabulary, ends_of  # noqa: E402

CHAT = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
USER = {"role": "user", "content": "hi you"}


def made(template=None, bos=False):
    """A tokenizer of the lower-case letters, with a hole at id 40 and an added token past it."""
    letters = {c: i for i, c in enumerate("abcdefghijklmnopqrstuvwxyz []\n", 3)}
    words = {"<unk>": 0, "<s>": 1, "</s>": 2, **letters, "Z": 41}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(words, [], unk_token="<unk>"))
    if bos:
        backend.post_processor = tokenizers.processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    backend.decoder = tokenizers.decoders.Fuse()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>", chat_template=template
    )
    tokenizer.add_tokens(["<tool>"], special_tokens=True)
    return HubVocabulary(tokenizer, name="made")


def shown(vocabulary, ids):
    return "".join(vocabulary.tokens[i] for i in ids)


def test_tokens_are_by_id_added_ones_too_and_holes_have_a_name():
    tokens = made().tokens
    assert (tokens[2], tokens[3], tokens[40], tokens[41]) == ("</s>", "a", "<no token 40>", "Z")
    assert "<tool>" in tokens


def test_tokens_are_made_once():
    vocabulary = made()
    assert vocabulary.tokens is vocabulary.tokens


def test_a_prompt_is_the_chat_template_ready_for_the_reply():
    vocabulary = made(CHAT)
    assert shown(vocabulary, vocabulary.prompt([USER])) == "<s>[user]hi you</s>[assistant]"


def test_a_last_message_of_the_assistant_is_continued():
    vocabulary = made(CHAT)
    ids = vocabulary.prompt([USER, {"role": "assistant", "content": "so"}])
    assert shown(vocabulary, ids) == "<s>[user]hi you</s>[assistant]so"


def test_a_refused_system_message_goes_before_the_first_user_text():
    vocabulary = made(NO_SYSTEM + CHAT)
    ids = vocabulary.prompt([{"role": "system", "content": "be kind"}, USER])
    assert shown(vocabulary, ids) == "<s>[user]be kind\n\nhi you</s>[assistant]"


def test_what_the_template_refuses_for_good_is_said():
    with pytest.raises(BadInput, match=r"'made' refuses these messages: no luck"):
        made("{{ raise_exception('no luck') }}").prompt([USER])


def test_without_a_template_texts_are_joined_by_blank_lines():
    vocabulary = made()
    ids = vocabulary.prompt([{"role": "system", "content": "be kind"}, USER])
    assert shown(vocabulary, ids) == "be kind\n\nhi you"


def test_without_a_template_the_first_token_is_kept_and_the_end_is_not():
    vocabulary = made(bos=True)
    assert shown(vocabulary, vocabulary.prompt([USER])) == "<s>hi you"


def test_text_parts_are_read_and_images_refused():
    vocabulary = made()
    text = {"type": "text", "text": "hi"}
    assert shown(vocabulary, vocabulary.prompt([{"role": "user", "content": [text]}])) == "hi"
    with pytest.raises(BadInput, match="image_url"):
        vocabulary.prompt([{"role": "user", "content": [text, {"type": "image_url", "image_url": {}}]}])


@pytest.mark.parametrize("template", [None, CHAT])
def test_characters_without_a_token_are_named(template):
    with pytest.raises(BadInput, match="no token for '9'"):
        made(template).prompt([{"role": "user", "content": "i am 9"}])


def test_encode_adds_nothing_and_decode_leaves_special_tokens_out():
    vocabulary = made(bos=True)
    assert shown(vocabulary, vocabulary.encode("a b")) == "a b"
    assert vocabulary.decode([1, *vocabulary.encode("a  b"), 2]) == "a  b"


def test_ends_are_those_of_every_config():
    model = SimpleNamespace(
        config=SimpleNamespace(eos_token_id=2), generation_config=SimpleNamespace(eos_token_id=[5, 7])
    )
    assert HubVocabulary(made().tokenizer, ends_of(model)).ends == {2, 5, 7}


@cache
def real(name):
    if not os.environ.get("SPRAT_DATA"):
        pytest.skip("needs SPRAT_DATA")
    folder = Path(os.environ["SPRAT_DATA"]) / "models" / name
    return HubVocabulary(transformers.AutoTokenizer.from_pretrained(folder))


@pytest.mark.data
def test_mackerel_reads_as_in_numpy():
    from sprat.aquarium import load

    assert real("aquarium/mackerel").prompt([{"role": "user", "content": "2+3="}]) == load(
        "mackerel"
    ).vocabulary.encode("2+3=")
    with pytest.raises(BadInput, match="no token for 'Ж'"):
        real("aquarium/mackerel").prompt([{"role": "user", "content": "Ж"}])


@pytest.mark.data
@pytest.mark.parametrize("name", ["stories260K", "tokenizers/gpt2"])
def test_bytes_write_anything(name):
    vocabulary = real(name)
    assert vocabulary.decode(vocabulary.encode("héЖ  a 😀 .")) == "héЖ  a 😀 ."
