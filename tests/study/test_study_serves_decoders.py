"""A study of calls that decoders gave leaves a file that asks these decoders again."""

import pytest

import sprat
from sprat import config
from sprat.aquarium import problems
from sprat.core import Request
from sprat.data import Call, Dataset, Example
from sprat.whitebox.decoder import Decoder


@pytest.mark.slow
def test_what_is_served_is_the_decoder_that_was_studied(tmp_path):
    fry, large = sprat.tiny("fry"), sprat.tiny("mackerel")
    mixed = sprat.mix(large, sprat.tiny("sprat"), 0.9).named("mixed")
    rows = []
    for i, one in enumerate(problems(240, 8)):
        request = Request.of(one.prompt)
        replies = [(m.name, m(request)) for m in (fry, mixed)]
        calls = [
            Call(name, sprat.Reply(r.text, name, cost=r.cost, score=float(r.text == one.answer))) for name, r in replies
        ]
        rows.append(Example(str(i), request, one.answer, tuple(calls)))
    config.dump(sprat.fallback(fry, mixed), tmp_path / "models.toml")
    done = sprat.study(
        Dataset(tuple(rows), name="mine"), small="fry", large="mixed", keep=0.9, models=tmp_path / "models.toml"
    )
    done.save(tmp_path / "out")
    found = config.read(tmp_path / "out" / "serve.toml")
    assert isinstance(found.models["mixed"], Decoder)
    assert found.models["mixed"]("12+7=").text == mixed("12+7=").text
