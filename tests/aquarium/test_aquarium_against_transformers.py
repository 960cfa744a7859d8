"""The numpy forward pass against transformers, and the recipe's promises; skipped where torch is missing."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from sprat.aquarium import NAMES, TinyLlama, load, problems, recordings
from sprat.endpoints import tiny

pytestmark = pytest.mark.slow
RECIPES = Path(__file__).parents[2] / "recipes" / "aquarium"


def torch_or_skip():
    pytest.importorskip("transformers")
    return pytest.importorskip("torch")


def recipe(name):
    spec = importlib.util.spec_from_file_location(f"aquarium_{name}", RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def reference(name):
    from safetensors.torch import load_file

    train = recipe("train")
    model = train.build(train.SIZES[name], 104)
    model.load_state_dict(load_file(recordings().parent / "weights" / f"{name}.safetensors"), strict=False)
    return model.float().eval()


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_transformers(name):
    torch, model, ours = torch_or_skip(), reference(name), load(name)
    for one in problems(20, 2):
        ids = np.array([ours.vocabulary.encode(one.prompt + one.answer)])
        with torch.no_grad():
            expected = model(torch.tensor(ids)).logits.numpy()
        np.testing.assert_allclose(ours.session(1).feed(ids), expected, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_hidden_states_are_those_of_transformers(name):
    torch, model, ours = torch_or_skip(), reference(name), load(name)
    for one in problems(10, 4):
        ids = np.array([ours.vocabulary.encode(one.prompt)])
        with torch.no_grad():
            found = model(torch.tensor(ids), output_hidden_states=True).hidden_states
        expected = np.stack([layer[:, -1].numpy() for layer in found], axis=1)
        np.testing.assert_allclose(ours.session(1).states(ids), expected, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_greedy_replies_are_those_of_transformers(name):
    torch, model, ours = torch_or_skip(), reference(name), load(name)
    for one in problems(10, 3):
        ids = torch.tensor([ours.vocabulary.encode(one.prompt)])
        written = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=32)
        expected = ours.vocabulary.decode(written[0, ids.shape[1] :].tolist())
        assert tiny(name)(one.prompt).text == expected


def test_a_stopped_run_ends_where_an_unbroken_one_does(tmp_path):
    torch_or_skip()
    train = recipe("train")
    size = train.Size(32, 1, 4, 1e-3)
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    train.train(size, tmp_path / "whole" / "x.safetensors", 4, {})
    train.train(size, tmp_path / "stopped" / "x.safetensors", 4, {}, stop_at=2)
    assert not (tmp_path / "stopped" / "x.safetensors").exists()
    train.train(size, tmp_path / "stopped" / "x.safetensors", 4, {})
    whole, stopped = (TinyLlama.load(tmp_path / name / "x.safetensors") for name in ("whole", "stopped"))
    np.testing.assert_array_equal(whole.weights.embed, stopped.weights.embed)


def test_the_loss_is_on_the_answer_and_its_end_alone():
    torch_or_skip()
    train, vocabulary = recipe("train"), load("fry").vocabulary
    ids, labels = train.batch(0, 0, {}, vocabulary)
    for row, wanted in zip(ids.tolist(), labels.tolist(), strict=True):
        answer = [label for label in wanted if label != train.NO_LOSS]
        text = vocabulary.decode(row)
        assert answer[-1] == vocabulary.end
        assert text.endswith(vocabulary.decode(answer))
        assert text.removesuffix(vocabulary.decode(answer))[-1] in "=:?"
