"""Models to TOML and back: load(dump(m)) answers the same; mistakes are said; nothing is half written."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.combine import best_of, cascade, fallback, route, vote
from sprat.config import dump, load, load_models, read
from sprat.core import Reply, Request, Signal, Technique, ask
from sprat.encoders import StaticEncoder, TfidfEncoder
from sprat.endpoints import openai, recorded, tiny, toy
from sprat.errors import BadInput
from sprat.prices import Price
from sprat.signals import Random

KEY = "sk-planted-0123456789"


@dataclass(frozen=True, repr=False, eq=False)
class Measured(Signal):
    """A signal with everything that a fitted one may hold."""

    weights: Any = None
    encoder: Any = None
    word: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    use = "measured_in_tests"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        return (
            float(len(request.text) % 10) / 10 if self.weights is None else float(self.weights[len(request.text) % 3])
        )


@dataclass(frozen=True, repr=False)
class Chooser(Technique):
    """A technique with models in a mapping and one in a tuple of pairs."""

    by_name: dict[str, Any]
    pairs: tuple[tuple[str, Any], ...] = ()
    use = "chooser_in_tests"

    async def answer(self, request: Request) -> Any:
        return ask(self.by_name.get(request.text, self.pairs[0][1]), request)


def first_word(reply: Reply) -> str:
    return (reply.text or "").split(" ")[0]


def back(model: Any, folder: Path) -> Any:
    dump(model, folder / "serve.toml")
    return load(folder / "serve.toml")


@pytest.fixture
def pair() -> tuple[Any, Any]:
    return tiny("fry"), tiny("sprat")


def test_a_cascade_of_tiny_models_answers_the_same(pair: Any, tmp_path: Path) -> None:
    model = cascade(*pair, trust=Measured(np.array([0.1, 0.9, 0.5])), at_least=0.4)
    loaded = back(model, tmp_path)
    for asked in ("12+7=", "sort 31 4 15:", "reverse shark:"):
        a, b = model(asked), loaded(asked)
        assert (a.text, a.cost, a.model, a.because) == (b.text, b.cost, b.model, b.because)


@st.composite
def ways(draw: st.DrawFn, depth: int = 2) -> Any:
    names = st.sampled_from([tiny("fry"), toy("echo"), openai("far", "http://localhost:1/v1", temperature=0.5)])
    if depth == 0:
        return draw(names)
    parts = [draw(ways(depth - 1)) for _ in range(draw(st.integers(1, 3)))]
    levels = [draw(st.floats(0, 2)) for _ in parts[1:]]
    make = draw(st.sampled_from(["cascade", "route", "vote", "fallback", "best_of", "leaf"]))
    signal = Measured(np.arange(3.0), word=draw(st.text(max_size=5)))
    if make in ("cascade", "route"):
        return {"cascade": cascade, "route": route}[make](*parts, trust=signal, at_least=levels)
    if make == "best_of":
        return best_of(*parts, trust=signal, n=draw(st.integers(1, 3)))
    if make == "vote":
        return vote(
            *parts, n=draw(st.integers(1, 3)), same=draw(st.sampled_from([first_word, vote.__kwdefaults__["same"]]))
        )
    return fallback(*parts) if make == "fallback" else parts[0]


@given(ways())
def test_what_is_written_twice_is_the_same(tmp_path_factory: pytest.TempPathFactory, model: Any) -> None:
    folder = tmp_path_factory.mktemp("way")
    loaded = back(model, folder)
    first = (folder / "serve.toml").read_text()
    dump(loaded, folder / "serve.toml")
    assert (folder / "serve.toml").read_text() == first
    assert repr(loaded) == repr(model)


def test_every_kind_of_value_survives(tmp_path: Path) -> None:
    options = {"a": [1, 2.5, "x", None], "use": "odd", "deep": {"model": "y"}, 3: True, "small": "small"}
    signal = Measured(np.float32([[1, 2], [3, 4]]), TfidfEncoder(dim=8, buckets=16), "small", options)
    loaded = back(cascade(toy("small"), toy("big"), trust=signal), tmp_path).trust[0]
    assert loaded.weights.dtype == np.float32
    assert loaded.weights.tolist() == [[1, 2], [3, 4]]
    assert loaded.options == {**options, "a": (1, 2.5, "x", None)}
    assert (loaded.word, loaded.encoder.name) == ("small", signal.encoder.name)


def test_an_encoder_is_stored_by_its_name(tmp_path: Path) -> None:
    loaded = back(cascade(toy("a"), toy("b"), trust=Measured(encoder=StaticEncoder())), tmp_path)
    assert loaded.trust[0].encoder == StaticEncoder()


def test_models_inside_mappings_survive(tmp_path: Path) -> None:
    a, b = toy("a", {"x": "from a"}), toy("b", {"y": "from b"})
    loaded = back(Chooser({"x": a}, (("else", b),)), tmp_path)
    assert (loaded("x").text, loaded("y").text) == ("from a", "from b")


def test_what_is_shared_stays_shared(tmp_path: Path) -> None:
    signal, small = Measured(np.arange(3.0)), toy("small")
    loaded = back(cascade(small, vote(small), toy("big"), trust=signal), tmp_path)
    assert loaded.trust[0] is loaded.trust[1]
    assert loaded.models[0] is loaded.models[1].models[0]
    assert len(np.load(tmp_path / "serve.npz").files) == 1


def test_one_model_alone_is_a_way(tmp_path: Path) -> None:
    assert back(tiny("fry"), tmp_path) == tiny("fry")


def test_an_endpoint_keeps_its_price_and_defaults(tmp_path: Path) -> None:
    price = Price(1.0, 2.0, cached=0.5, date="2026-11-01")
    model = openai("a", "http://localhost:1/v1", "m", price=price, logprobs=True, temperature=0.0, stop=["x"])
    loaded = back(model, tmp_path)
    assert (loaded.price, loaded.logprobs, loaded.defaults) == (price, True, {"temperature": 0.0, "stop": ("x",)})


def test_a_recorded_model_leaves_its_url_to_be_filled_in(tmp_path: Path) -> None:
    loaded = back(cascade(recorded("small"), recorded("big"), trust=Measured()), tmp_path)
    lines = (tmp_path / "serve.toml").read_text().splitlines()
    with pytest.raises(BadInput, match=r"'small' has no url.*serve\.toml, line (\d+)") as caught:
        loaded("abc")
    assert lines[int(str(caught.value).rstrip(".").split()[-1]) - 1] == 'url = ""'


def test_no_key_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    dump(openai("a", "http://localhost:1/v1", key_env="MY_KEY", key=lambda: KEY), tmp_path / "serve.toml")
    text = (tmp_path / "serve.toml").read_text()
    assert KEY not in text
    assert "MY_KEY" in text


def test_other_tables_are_kept(tmp_path: Path) -> None:
    extra = {
        "certificate": {"n": 3, "bound": np.float64(0.25), "none": None, "counts": (1, None, 2)},
        "study": {"of": "x"},
    }
    dump(tiny("fry"), tmp_path / "serve.toml", extra)
    kept = read(tmp_path / "serve.toml").extra
    assert kept == {"certificate": {"n": 3, "bound": 0.25, "counts": [1, 2]}, "study": {"of": "x"}}


def test_a_function_is_stored_by_its_dotted_path(tmp_path: Path) -> None:
    assert back(vote(toy("a"), same=first_word), tmp_path).same is first_word


def test_what_has_no_name_in_a_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be stored"):
        dump(vote(toy("a"), same=lambda reply: ""), tmp_path / "serve.toml")
    with pytest.raises(BadInput, match="holds a generator"):
        dump(Measured(weights=(i for i in ())), tmp_path / "serve.toml")
    assert not list(tmp_path.iterdir())


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Two different models are called 'a'"):
        dump(fallback(toy("a"), toy("a", "x")), tmp_path / "serve.toml")


GOOD = '[models.small]\nurl = "http://localhost:1/v1"\n[models.big]\nurl = "http://localhost:2/v1"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD, r"has no \[way\]"),
        (GOOD + '[way]\nuse = "cascad"\n', "Did you mean 'cascade'"),
        (GOOD + '[way]\nuse = "cascade"\nmodls = []\n', "Did you mean 'models'"),
        (GOOD + '[way]\nuse = "cascade"\nmodels = ["smal"]\n', "no model 'smal'. Did you mean 'small'"),
        (GOOD + '[way]\nuse = "vote"\nmodels = ["small"]\nn = "3"\n', "n is '3'"),
        (
            GOOD + '[way]\nuse = "self_check"\nhow = "nope"\nmodels = ["small"]\n',
            "how is 'nope', .*Needed: 'unigram', 'bigram', 'bertscore', 'nli', 'qa', 'prompt'",
        ),
        (GOOD + '[way]\nuse = "nowhere.at:all"\n', "is not there"),
        (GOOD + '[way]\nuse = "os:sep"\n', "neither a class nor a function"),
        (GOOD + '[way]\nuse = "vote"\nmodels = ["small"]\nsame = {function = "os:system"}\n', "neither|not a function"),
        (GOOD + "[way]\nmodels = []\n", "has no 'use'"),
        ("[ways]\n", "Did you mean 'way'"),
        ("odd = 3\n", "'odd' is not known"),
        (GOOD.replace("url", "ulr") + '[way]\nuse = "vote"\n', "Did you mean 'url'"),
        (GOOD + 'price = 3\n[way]\nuse = "vote"\n', "price"),
        (GOOD + 'price = {input = 1}\n[way]\nuse = "vote"\n', "lacks 'output'"),
        ('[models.a]\nuse = "vote"\n[way]\n', "lacks 'models'|no endpoint|not known"),
        ("models = 3\nway = 'small'", "no model 'small'"),
        ('[way]\nuse = "vote"\nmodels = [{array = "x"}]\n', "no array 'x'"),
        ('[way]\nuse = "vote"\nmodels = [{part = "x"}]\n', "no part 'x'"),
        ('[arrays]\nfile = "none.npz"\n[way]\nuse = "vote"\n', "needs none.npz"),
        (
            '[parts.p]\nuse = "vote"\nmodels = [{part = "p"}]\n[way]\nuse = "vote"\nmodels = [{part = "p"}]',
            "part of itself",
        ),
        ("[way", "not TOML"),
    ],
)
def test_mistakes_are_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=said):
        load(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read"):
        load(tmp_path / "none.toml")


def test_arrays_of_another_file_are_refused(tmp_path: Path) -> None:
    dump(Measured(np.arange(3.0)), tmp_path / "a.toml")
    np.savez(tmp_path / "a.npz", **{"way.weights": np.arange(4.0)})
    with pytest.raises(BadInput, match="not the file that"):
        load(tmp_path / "a.toml")


def test_a_failed_write_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "serve.toml"
    dump(tiny("fry"), path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(BadInput, match="No space left"):
        dump(tiny("sprat"), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["serve.toml"]


def test_models_alone_are_read(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(
        GOOD + "logprobs = true\nprice.input = 1\nprice.output = 2\n[models.t]\nuse = 'tiny'\nweights = ''\n"
    )
    models = load_models(path)
    assert list(models) == ["small", "big", "t"]
    assert models["big"] == replace(openai("big", "http://localhost:2/v1", logprobs=True), price=Price(1, 2))


def test_a_file_without_models_is_said(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text("[model.a]\n")
    with pytest.raises(BadInput, match="names no models"):
        load_models(path)


def test_a_dotted_path_to_what_is_no_model_is_not_called(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(f'[way]\nuse = "subprocess:run"\nargs = ["touch", "{tmp_path}/owned"]\n')
    with pytest.raises(BadInput, match="no model"):
        load(path)
    assert not (tmp_path / "owned").exists()


def test_what_only_other_tables_share_is_written_too(tmp_path: Path) -> None:
    a, b = toy("a", "x"), toy("b", "y")
    first = route(a, b, trust=Random(seed=3), at_least=0.2)
    held = {"promise": {"settings": [first, replace(first, at_least=(0.7,))]}}
    dump(b, tmp_path / "m.toml", extra=held)
    saved = read(tmp_path / "m.toml")
    low, high = (saved.made(way, "settings") for way in saved.extra["promise"]["settings"])
    assert low.trust[0] is high.trust[0]
    assert (low.at_least, high.at_least) == ((0.2,), (0.7,))


def test_arrays_in_other_tables_go_beside_and_come_back(tmp_path: Path) -> None:
    held = {"card": {"rows": np.arange(6, dtype=np.float16).reshape(2, 3), "levels": [{"edges": np.ones(2), "n": 3}]}}
    dump(toy("a", "x"), tmp_path / "m.toml", extra=held)
    found = read(tmp_path / "m.toml").extra["card"]
    assert found["rows"].dtype == np.float16
    assert found["rows"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["levels"][0]["edges"].tolist() == [1, 1]
