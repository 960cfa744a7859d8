"""Trains a small adapter so that its product with a base earns a reward; the base is only read (arXiv 2305.15065).

The training is Quark (arXiv 2205.13636), as in the paper's code: every so many steps the product writes replies, the
reward scores them, the pool of all replies so far is cut into five by reward, and the adapter reads the reply's reward
token before its prompt. Loss per token: -log p(reply) + kl * KL(product || base) - entropy * H, all of the product.
Unlike there, replies of equal reward share a token, and the best of them always the best one; gradients are clipped at
norm 1; a reply cut at its length is not taught to end. Checked by tests/train/test_policy_adapter.py: the base keeps
its bits, a killed run ends where an unbroken one does, the loss is that of plain formulas. Not tried on a GPU.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..config import write_whole
from ..core import Reply, Request
from ..decoding.policy_adapter import Product, Steered, product, steered
from ..endpoints.transformers import Transformers
from ..errors import BadInput
from ..whitebox.arrays import log_softmax
from ..whitebox.decoder import Decoder, Leaf
from ..whitebox.hub_vocabulary import HubVocabulary, ends_of
from ..whitebox.library import library
from ..whitebox.scoring import read
from ..whitebox.torch_session import TorchModel, TorchSession
from ..whitebox.vocabulary import common_size
from ..whitebox.weighted import Weighted
from .quark import Recipe, Sampled, cuts_of, token

Reward = Callable[[Request, str], float | None]
NUMBERS = 1 << 27  # log-probabilities of the base that are kept in memory, rather than computed again


def policy_adapter(
    base: Decoder,
    adapter: str | Path,
    prompts: Sequence[str | Request],
    reward: Reward,
    out: str | Path,
    *,
    device: str = "auto",
    save_every: int = 100,
    **numbers: Any,
) -> Product | Weighted:
    """Train a copy of `adapter` (a transformers checkpoint with the base's tokens) for `reward`; base times adapter.

    `reward(request, reply's text)` is a number, None to leave the reply out. `numbers` are the fields of Recipe. `out`
    becomes the adapter's checkpoint; OUT.state beside it lets a killed run go on where it was last saved. With `alone`
    the adapter itself is the policy, kept close to the base: plain Quark; the base has weight 0 then. For a huge base,
    train with a small one of the same tokens and give product() the huge one. Raises MissingExtra without torch,
    CannotDo for unequal vocabularies, BadInput for impossible numbers or a finished run of other settings.
    """
    try:
        recipe = Recipe(**numbers)
    except TypeError as error:
        raise BadInput(f"Not a number of a training run: {error}.") from error
    recipe.check()
    if not prompts or save_every < 1:
        raise BadInput("There must be prompts, and save_every at least 1.")
    out, asked = Path(out), [Request.of(p) for p in prompts]
    settings = {**asdict(recipe), "prompts": _mark(asked), "adapter": str(adapter), "base": base.formula}
    if not _finished(out, settings):
        _Training(base, str(adapter), asked, reward, out, recipe, settings, device, save_every).run()
    best = steered(Transformers(out.name, str(out), device), (token(1),))
    return _policy(base, best, recipe)


def _policy(base: Decoder, best: Steered, recipe: Recipe) -> Product | Weighted:
    """What writes: the product, or the adapter alone; beside a base of weight 0 it writes no reward tokens."""
    return best + 0.0 * base if recipe.alone else product(base, best, recipe.alpha)


def _mark(asked: Sequence[Request]) -> str:
    return hashlib.sha256("".join(r.key for r in asked).encode()).hexdigest()


def _finished(out: Path, settings: dict[str, Any]) -> bool:
    if not out.exists():
        return False
    try:
        known = json.loads((out / "policy_adapter.json").read_text())["settings"]
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{out} exists and is no trained adapter.", hint="Name another folder.") from error
    return _same(known, settings, out)


def _same(known: dict[str, Any], settings: dict[str, Any], where: Path) -> bool:
    if unequal := [name for name in settings if known.get(name) != settings[name]]:
        raise BadInput(f"{where} is of a run with another {unequal[0]}.", hint="Name another folder, or remove it.")
    return True


class Live(Leaf):
    """The adapter while it is trained, as a leaf."""

    def __init__(self, model: TorchModel, vocabulary: HubVocabulary, at_once: int) -> None:
        self.name, self.model, self.words, self.rows = "adapter", model, vocabulary, at_once

    @property
    def vocabulary(self) -> HubVocabulary:
        """Its tokens, the reward tokens last."""
        return self.words

    @property
    def positions(self) -> int | None:
        """By its config."""
        return self.model.positions

    @property
    def at_once(self) -> int:
        """A batch."""
        return self.rows

    def open(self, batch: int) -> TorchSession:
        """A session over the weights as they are now."""
        return self.model.session(batch)


class _Training:
    """A run: the adapter and its optimizer, the pool, and where it stands."""

    def __init__(
        self,
        base: Decoder,
        adapter: str,
        asked: list[Request],
        reward: Reward,
        out: Path,
        recipe: Recipe,
        settings: dict[str, Any],
        device: str,
        save_every: int,
    ) -> None:
        self.base, self.asked, self.reward, self.out, self.recipe = base, asked, reward, out, recipe
        self.settings, self.save_every = settings, save_every
        self.state = out.with_name(out.name + ".state")
        self.torch: Any = library("torch", "Training an adapter")
        hub: Any = library("transformers", "Training an adapter")
        with _quiet(hub):
            try:
                self.tokenizer: Any = hub.AutoTokenizer.from_pretrained(adapter)
                self.model: Any = hub.AutoModelForCausalLM.from_pretrained(adapter, dtype=self.torch.float32)
            except (OSError, ValueError) as error:
                why = str(error).splitlines()[0]
                raise BadInput(f"The adapter '{adapter}' can't be loaded: {why}", hint="Give a checkpoint.") from error
        where = ("cuda" if self.torch.cuda.is_available() else "cpu") if device == "auto" else device
        self.firsts = self._grow()
        self.model.to(where)
        words = HubVocabulary(self.tokenizer, ends_of(self.model), adapter)
        opened = TorchModel(self.model, adapter, tried=False, lean=False)
        self.leaf = Live(opened, words, recipe.batch)
        self.size = common_size((*base.leaves, self.leaf))
        best = steered(self.leaf, (token(1),))
        self.policy = _policy(base, best, recipe)
        self.prompts = [self.leaf.prompt(request) for request in asked]
        self.optimizer: Any = self.torch.optim.Adam(self.model.parameters(), lr=recipe.rate)
        self.pool: list[Sampled] = []
        self.rounds: list[dict[str, float]] = []
        self.done, self.kl, self.kept = 0, recipe.kl, 0

    def _grow(self) -> list[int]:
        """Give the adapter one more token per cut, with the spread of its other embeddings; their ids."""
        recipe, names = self.recipe, [token(i + 1) for i in range(self.recipe.cuts)]
        self.tokenizer.add_tokens(names, special_tokens=True)
        weight = self.model.get_input_embeddings().weight.detach()
        middle, spread = weight.mean(0), weight.std(0)
        if len(self.tokenizer) > len(weight):
            self.model.resize_token_embeddings(len(self.tokenizer), mean_resizing=False)
        ids = [int(i) for i in self.tokenizer.convert_tokens_to_ids(names)]
        drawn = np.random.default_rng([recipe.seed, 1]).standard_normal((len(ids), weight.shape[1]))
        with self.torch.no_grad():
            rows = middle + spread * self.torch.tensor(drawn, dtype=weight.dtype)
            self.model.get_input_embeddings().weight[ids] = rows
        return ids

    def run(self) -> None:
        """From where the run stands to its end; writes the checkpoint, whole or not at all."""
        if self.state.exists():
            self._load()
        recipe = self.recipe
        with _telling(recipe.steps) as tell:
            while self.done < recipe.steps:
                if self.done // recipe.sample_every >= len(self.rounds):
                    self._sample()
                self._step()
                self.done += 1
                tell(self.done, self.rounds[-1]["reward"])
                if self.done % self.save_every == 0 and self.done < recipe.steps:
                    self._save()
        self._write()

    def _sample(self) -> None:
        """Let the policy write, the base alone at first; score, and cut the pool anew."""
        recipe, number = self.recipe, len(self.rounds)
        writer = self.base if number == 0 else self.policy
        options = {"temperature": recipe.temperature, "top_p": recipe.top_p, "max_tokens": recipe.max_tokens}
        seed = int(np.random.default_rng([recipe.seed, 2, number]).integers(2**40))
        self.model.eval()
        wanted = [(i, Request.of(r, **options, seed=seed).drawn(s)) for i, r in enumerate(self.asked)
                  for s in range(recipe.samples)]  # fmt: skip
        found: list[Sampled] = []
        for (i, _), reply in zip(wanted, writer.answer_many([r for _, r in wanted]), strict=True):
            if isinstance(reply, Exception):
                raise reply
            score = self.reward(self.asked[i], reply.text or "")
            if score is None:
                continue
            if not math.isfinite(score):
                raise BadInput(
                    f"The reward of {reply.text!r} is {score}.", hint="Give a number, or None to leave it out."
                )
            ids = _ids(reply)
            if ids:
                found.append(Sampled(i, ids, float(score)))
        if not found:
            raise BadInput("No reply got a reward.", hint="At least some replies must be scored.")
        self.pool += found
        self.rounds.append({"step": self.done, "reward": float(np.mean([s.reward for s in found])), "kl": self.kl})
        for one, cut in zip(self.pool, cuts_of(np.array([s.reward for s in self.pool]), recipe.cuts), strict=True):
            one.cut = int(cut)

    def _step(self) -> None:
        recipe, torch = self.recipe, self.torch
        rng = np.random.default_rng([recipe.seed, 3, self.done])
        rows = [self.pool[i] for i in rng.choice(len(self.pool), min(recipe.batch, len(self.pool)), replace=False)]
        rising = min(1.0, (self.done + 1) / max(1, recipe.warm_up))
        falling = (recipe.steps - self.done) / max(1, recipe.steps - recipe.warm_up)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate * min(rising, falling)
        self.model.train()
        self.optimizer.zero_grad()
        with torch.random.fork_rng():  # dropout, where a model has it, follows from the seed and the step
            torch.manual_seed(int(rng.integers(2**40)))
            loss, kl = self.loss(rows)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        error = float(np.clip(kl / recipe.target_kl - 1, -0.2, 0.2))
        self.kl *= 1 + error * len(rows) / recipe.horizon

    def loss(self, rows: list[Sampled]) -> tuple[Any, float]:
        """The loss of these replies, and the mean over replies of KL(policy || base), summed over tokens."""
        torch, device = self.torch, self.model.device
        prompts = [[self.firsts[s.cut], *self.prompts[s.prompt]] for s in rows]
        longest = max(len(s.ids) for s in rows)
        width = max(len(p) + len(s.ids) for p, s in zip(prompts, rows, strict=True))
        ids = np.zeros((len(rows), width), np.int64)
        at = np.zeros((len(rows), longest), np.int64)
        labels, real = at.copy(), np.zeros(at.shape, np.float32)
        for row, (prompt, one) in enumerate(zip(prompts, rows, strict=True)):
            n, k = len(prompt), len(one.ids)
            ids[row, : n + k] = [*prompt, *one.ids]
            at[row, :k] = np.arange(n - 1, n - 1 + k)
            labels[row, :k], real[row, :k] = one.ids, 1
        there = {
            name: torch.tensor(a, device=device) for name, a in (("ids", ids), ("at", at), ("y", labels), ("m", real))
        }
        logits = self.model(input_ids=there["ids"], use_cache=False).logits[..., : self.size]
        logits = logits.gather(1, there["at"][..., None].expand(-1, -1, self.size)).float()
        base = self._base(rows, longest)
        policy = (logits if self.recipe.alone else base + self.recipe.alpha * logits).log_softmax(-1)
        chances, count = policy.exp(), there["m"].sum()
        said = -policy.gather(-1, there["y"][..., None])[..., 0]
        apart = (chances * (policy - base)).sum(-1)
        unsure = -(chances * policy).sum(-1)
        loss = ((said + self.kl * apart - self.recipe.entropy * unsure) * there["m"]).sum() / count
        return loss, float((apart * there["m"]).sum(1).mean().detach())

    def _base(self, rows: list[Sampled], longest: int) -> Any:
        """The base's log-probabilities at every place, (batch, longest, tokens); kept while memory is for it."""
        torch, device = self.torch, self.model.device
        whole = torch.zeros((len(rows), longest, self.size), device=device)
        missing = [i for i, one in enumerate(rows) if one.base is None]
        asked = [self.asked[rows[i].prompt] for i in missing]
        for seen in read([self.base], asked, [rows[i].ids for i in missing]):
            block = log_softmax(seen.step.of(self.base))[..., : self.size]
            for place, number in enumerate(seen.rows.tolist()):
                n = int(seen.real[place].sum())
                part = torch.as_tensor(block[place, :n]).to(device)
                whole[missing[number], seen.start : seen.start + n] = part.clamp(min=-1e4)
        for i, one in enumerate(rows):
            if one.base is not None:
                whole[i, : len(one.ids)] = torch.from_numpy(one.base).to(device)
            elif self.kept + len(one.ids) * self.size <= NUMBERS:
                one.base = whole[i, : len(one.ids)].cpu().numpy().copy()
                self.kept += len(one.ids) * self.size
        return whole

    def _save(self) -> None:
        """Everything that a stopped run needs to go on, in one file, whole or not at all."""
        save: Any = library("safetensors.torch", "Training an adapter").save
        held = {f"weight {name}": weight.detach().cpu() for name, weight in self.model.named_parameters()}
        for name, weight in self.model.named_parameters():
            for moment in ("exp_avg", "exp_avg_sq"):
                if weight in self.optimizer.state:
                    held[f"{moment} {name}"] = self.optimizer.state[weight][moment].detach().cpu()
        pool = [[s.prompt, s.ids, s.reward, s.cut] for s in self.pool]
        told = {"settings": self.settings, "done": self.done, "kl": self.kl, "rounds": self.rounds, "pool": pool}
        held = {name: value.contiguous() for name, value in held.items()}
        write_whole(self.state, save(held, metadata={"run": json.dumps(told)}))

    def _load(self) -> None:
        safe: Any = library("safetensors", "Training an adapter")
        try:
            with safe.safe_open(str(self.state), "pt") as file:
                told = json.loads(file.metadata()["run"])
                held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (safe.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{self.state} is not the state of a run.", hint="Remove it to start anew.") from error
        _same(told["settings"], self.settings, self.state)
        self.done, self.kl, self.rounds = told["done"], told["kl"], told["rounds"]
        self.pool = [Sampled(*one) for one in told["pool"]]
        for name, weight in self.model.named_parameters():
            weight.data.copy_(held[f"weight {name}"])
            moments = {m: held[f"{m} {name}"].to(weight.device) for m in ("exp_avg", "exp_avg_sq")}
            self.optimizer.state[weight] = {"step": self.torch.tensor(float(self.done)), **moments}

    def _write(self) -> None:
        partial = self.out.with_name(f".{self.out.name}.partial")
        with _quiet(library("transformers", "Training an adapter")):
            self.model.save_pretrained(partial)
            self.tokenizer.save_pretrained(partial)
        told = {"settings": self.settings, "rounds": self.rounds}
        write_whole(partial / "policy_adapter.json", json.dumps(told, indent=1).encode())
        partial.rename(self.out)
        self.state.unlink(missing_ok=True)


def _ids(reply: Any) -> list[int]:
    """A written reply's ids, the end token too where it ended."""
    assert isinstance(reply, Reply)
    return list(reply.decoded.ids)


@contextmanager
def _quiet(hub: Any) -> Generator[None]:
    """Without transformers' own bars: this run shows one of its own."""
    logging = hub.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def _telling(steps: int) -> Generator[Callable[[int, float], None]]:
    """A bar on the error stream where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), "left", TimeRemainingColumn())
    shown = sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task("sampling", total=steps)

        def tell(done: int, earned: float) -> None:
            bar.update(task, completed=done, description=f"step {done}, reward {earned:.3f}")

        yield tell
