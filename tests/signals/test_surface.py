from math import log

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sprat.signals.surface import NAMES, surface, surfaces


def test_the_features_of_a_prompt_counted_by_hand():
    found = dict(zip(NAMES, surface("Is 2+3=5?\nYes é"), strict=True))
    # 16 bytes: two of them are é's; 2 capitals, 3 digits, signs + = ?, of which + = are mathematics.
    want = {"log bytes": log(16), "log words": log(4), "word length": 16 / 4, "digits": 3 / 16, "capitals": 2 / 16,
            "signs": 3 / 16, "mathematics": 2 / 16, "not ascii": 2 / 16, "questions": 1, "lines": log(2),
            "squared log words": log(4) ** 2}  # fmt: skip
    assert found.keys() == want.keys()
    assert all(np.isclose(found[k], want[k]) for k in want)


@given(st.text(max_size=60))
def test_any_text_has_finite_features(text):
    assert np.isfinite(surface(text)).all()
    assert np.array_equal(surfaces([text])[0], surface(text))
