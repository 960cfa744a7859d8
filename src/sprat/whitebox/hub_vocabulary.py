"""The vocabulary of a transformers tokenizer: tokens by id, chat template, and text without surprises.

Checked against the tokenizer's own encode, decode and apply_chat_template (tests/whitebox/test_hub_vocabulary.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from ..core import content_text
from ..errors import BadInput


class HubVocabulary:
    """A transformers tokenizer as a Vocabulary; `ends` are the ids that end a reply.

    Without a chat template the messages' texts are joined by blank lines, after the tokenizer's own first token where
    it adds one: what a model that was never tuned for chat is used to. A system message that the template refuses goes
    before the first user text, after which comes a blank line.
    """

    def __init__(self, tokenizer: Any, ends: Iterable[int] = (), name: str = "") -> None:
        self.tokenizer = tokenizer
        self.name = name or str(getattr(tokenizer, "name_or_path", "")) or type(tokenizer).__name__
        own = tokenizer.eos_token_id
        self.ends = frozenset(int(i) for i in ends) | ({int(own)} if isinstance(own, int) else frozenset[int]())

    @property
    def tokens(self) -> tuple[str, ...]:
        """The token of each id, added and special ones too; an id without a token is named <no token ID>."""
        return self._tokens

    @cached_property
    def _tokens(self) -> tuple[str, ...]:
        known: dict[str, int] = self.tokenizer.get_vocab()
        by_id = {i: token for token, i in known.items()}
        return tuple(by_id.get(i, f"<no token {i}>") for i in range(max(by_id, default=-1) + 1))

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """The ids of a conversation, ready for the reply; a last message of the assistant is continued.

        Raises BadInput for content other than text, for what the template refuses, and for characters without a token.
        """
        plain = [{**m, "content": _text_of(m)} for m in messages]
        if not self.tokenizer.chat_template:
            return self._untemplated("\n\n".join(m["content"] for m in plain if m["content"]))
        try:
            text = self._templated(plain)
        except (ValueError, TypeError) as error:
            raise self._refused(error) from error
        except Exception as error:
            if not _of_template(error):
                raise
            text = self._folded(plain, error)
        return self._known(text, self._ids(text, special=False))

    def encode(self, text: str) -> list[int]:
        """The ids of a text alone, without special tokens; BadInput for characters without a token."""
        return self._known(text, self._ids(text, special=False))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids; special tokens say nothing."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def _templated(self, messages: list[dict[str, Any]]) -> str:
        going_on = bool(messages) and messages[-1].get("role") == "assistant"
        return self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=not going_on, continue_final_message=going_on
        )

    def _folded(self, messages: list[dict[str, Any]], refused: Exception) -> str:
        """The templated text with the system messages' texts before the first user's; BadInput where that fails too."""
        said = [m["content"] for m in messages if m.get("role") in ("system", "developer")]
        rest = [dict(m) for m in messages if m.get("role") not in ("system", "developer")]
        first = next((m for m in rest if m.get("role") == "user"), None)
        if not said or first is None:
            raise self._refused(refused) from refused
        first["content"] = "\n\n".join([*said, first["content"]])
        try:
            return self._templated(rest)
        except Exception as error:
            if not _of_template(error):
                raise
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> BadInput:
        return BadInput(
            f"The chat template of '{self.name}' refuses these messages: {str(error).splitlines()[0]}",
            hint="Look at the order of the roles: most want user and assistant in turn.",
        )

    def _untemplated(self, text: str) -> list[int]:
        ids = self._known(text, self._ids(text, special=True))
        while ids and ids[-1] in self.ends:  # some tokenizers end every text, and a reply would never begin
            ids.pop()
        return ids or self._ids("\n", special=False)

    def _ids(self, text: str, special: bool) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=special))

    @cached_property
    def _unknown(self) -> int | None:
        """The id that stands for what has no token, where the tokenizer has one."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        token = getattr(getattr(backend, "model", None), "unk_token", None)
        return None if backend is None or token is None else backend.token_to_id(token)

    def _known(self, text: str, ids: list[int]) -> list[int]:
        if self._unknown is None or self._unknown not in ids:
            return ids
        read = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
        for i, (start, stop) in zip(read.ids, read.offsets, strict=True):
            if i == self._unknown and text[start:stop] != self.tokens[i]:
                raise BadInput(
                    f"'{self.name}' has no token for {text[start:stop]!r}.", hint="Rewrite the prompt without it."
                )
        return ids


def ends_of(model: Any) -> frozenset[int]:
    """The ids that end a reply by the model's generation config and config: each may be a number, a list or nothing."""
    found: set[int] = set()
    for config in (getattr(model, "generation_config", None), model.config):
        named: Any = getattr(config, "eos_token_id", None)
        if isinstance(named, int):
            found.add(named)
        elif isinstance(named, (list, tuple)):
            found.update(int(i) for i in cast("list[Any]", named))
    return frozenset(found)


def _text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, (list, tuple)):
        for part in cast("list[Any]", content):
            kind = cast("Mapping[str, Any]", part).get("type", "text") if isinstance(part, Mapping) else "text"
            if kind not in ("text", "input_text", "output_text"):
                raise BadInput(f"A message has a part of type '{kind}'; local models read text.", hint="Send the text.")
    return content_text(content)


def _of_template(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] == "jinja2"
