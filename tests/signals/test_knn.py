import numpy as np
from by_hand import PLACED, plain, predicted, taught, trusts

from sprat.signals import knn
from sprat.signals.embedded import Nearest

# Opposite corners are alike: no line parts them.
CORNERS = ["1 0", "-1 0", "0 1", "0 -1"]
TEXTS, SCORES = CORNERS * 5, [[1, 0], [1, 0], [0, 1], [0, 1]] * 5


def test_the_neighbours_mean_is_the_prediction():
    texts = ["1 0", "0.8 0.6", "0.6 0.8", "0 1"]
    router = knn(2, PLACED).fit(taught(texts, [[1, 0.2], [0.5, 0.4], [0, 0], [1, 1]]))
    assert np.allclose(predicted(router, "1 0"), [0.75, 0.3])
    assert np.isclose(trusts(router, ["1 0"])[0], (1 + 0.75 - 0.3) / 2)


def test_corners_that_no_line_parts_are_parted():
    assert np.allclose(trusts(knn(5, PLACED).fit(taught(TEXTS, SCORES)), CORNERS), [1, 1, 0, 0])
    assert np.allclose(plain(TEXTS, np.array(SCORES)[:, 0])(CORNERS), 0.5, atol=1e-3)


def test_a_missing_score_is_left_out_and_an_unseen_model_falls_back_to_its_mean():
    gap = float("nan")
    lessons = taught(["1 0", "0.8 0.6", "0 1"], [[1, gap], [gap, 0.6], [0, 0.2]])
    assert np.allclose(predicted(knn(2, PLACED).fit(lessons), "1 0"), [1.0, 0.6])
    assert np.allclose(predicted(knn(1, PLACED).fit(lessons), "1 0"), [1.0, 0.4])


def test_the_trust_is_that_of_the_predicted_scores_with_and_without_gaps():
    draw = np.random.default_rng(0)
    texts = [f"{x} {y}" for x, y in draw.normal(size=(60, 2))]
    scores = draw.random((60, 3))
    for gap in (scores[0, 0], float("nan")):
        scores[0, 0] = gap
        router = knn(7, PLACED).fit(taught(texts, scores.tolist()))
        first, _, last = predicted(router, texts[3])
        assert np.isclose(trusts(router, [texts[3]])[0], (1 + first - last) / 2)


def test_without_order_the_nearest_are_the_same():
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(50, 4)).astype(np.float32)
    asked = draw.normal(size=(9, 4)).astype(np.float32)
    (ordered,), (loose,) = (Nearest(rows, 7, ordered=o).answer_many([asked]) for o in (True, False))
    assert np.array_equal(np.sort(ordered.at), np.sort(loose.at))
    assert np.allclose(loose.cosine, np.take_along_axis(asked @ rows.T, loose.at, axis=1), atol=1e-5)


def test_more_neighbours_than_rows_are_all_rows():
    assert np.allclose(predicted(knn(9, PLACED).fit(taught(["1 0", "0 1"], [[1, 0], [0, 0]])), "1 0"), [0.5, 0])


def test_of_rows_that_are_equally_near_the_earlier_are_taken_and_come_first():
    rows = np.array([[0, 1], [1, 0], [0.6, 0.8], [0.6, 0.8], [1, 0], [0.6, 0.8]], np.float32)
    (near,) = Nearest(rows, 4).answer_many([np.array([[1, 0], [0, 1]], np.float32)])
    assert near.at.tolist() == [[1, 4, 2, 3], [0, 2, 3, 5]]
