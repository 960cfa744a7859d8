"""What is served: serve.toml's way as `auto`, its models by their names, its encoders, certificate and settings."""

from __future__ import annotations

import hashlib
import json
import time
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from math import ceil, inf
from pathlib import Path
from typing import Any, TypeGuard, cast

from ..config import BESIDE, fingerprint, read
from ..config_values import Reader, build
from ..core import Reply, Request
from ..endpoints import OpenAI
from ..errors import BadInput, nearest
from ..prices import Price, cost
from ..registry import find
from ..shape import asks_of, leaves
from ..signals.ordinary import Ordinary
from .access.limits import Hold
from .caching.cache import CacheSettings, settings_of
from .cards.predicted import Evidence, evidence_of
from .promise.promised import Promised, promised
from .promise.told_apart import told_apart
from .steering.ways import AUTO, Way, number, ordinary_of, ways_of
from .telemetry import tracing
from .telemetry.tracing import OtelSettings
from .upstreams.breaker import Rule
from .wire.asked import Asked, written_by
from .wire.problem import Problem, dumped
from .witness import Witness, witnessed

_ENCODERS = {"static": "sprat.encoders:StaticEncoder", "sentence": "sprat.encoders:SentenceEncoder"}
# Of a model's table: how it is asked and paid, which changes nothing of what it answers.
_ASIDE = (
    *("price", "timeout", "connect_timeout", "read_timeout", "first_timeout", "retries", "at_once", "key_env"),
    *("key_file", "idempotent", "stream_usage", "continuous_usage", "continues"),
)
# Where a maximum cost is set and the request names no longest reply.
LONGEST = 1024


@dataclass(frozen=True)
class Settings:
    """The [gateway] table: limits in bytes and requests, seconds to drain, and what the store keeps.

    `durable` holds a reply's end until its record is committed; `keep_days` deletes older records (0: none). The
    dashboard is shown under addresses, this machine's names and `dashboard_hosts`; a login lasts `session_hours`.
    `neighbour_texts` lets decision cards show the logged prompts that the study kept. An upstream that failed
    `breaker_failures` times in `breaker_window` seconds is not asked for `breaker_pause` seconds.
    """

    body_limit: int = 32 << 20
    header_limit: int = 32 << 10
    at_once: int = 1024
    drain: float = 30.0
    store_prompts: bool = False
    durable: bool = False
    keep_days: int = 0
    decisions: int = 2000
    neighbour_texts: bool = False
    session_hours: float = 12.0
    dashboard_hosts: tuple[str, ...] = ()
    reload: bool = True
    breaker: bool = True
    breaker_failures: int = 5
    breaker_window: float = 30.0
    breaker_pause: float = 5.0

    @property
    def rule(self) -> Rule | None:
        """When an upstream that fails is left alone; None: never."""
        return Rule(self.breaker_failures, self.breaker_window, self.breaker_pause) if self.breaker else None


@dataclass(frozen=True)
class Served:
    """Models by name (`auto` too), encoders by name, the certificate's rows, settings, and the promise to watch.

    `ways` are the promise's settings, safest first; `explore` is the share of requests that draws among them;
    `ordinary` is what prompts of the study read like, by which a request looks crafted;
    `evidence` is how good replies were in the study; `altered` says that the way is not the one that was certified;
    `answering` is a hash of what answers, models and all, and `read_at` when the file was read (seconds since 1970).
    """

    models: Mapping[str, Any]
    encoders: Mapping[str, Any] = field(default_factory=dict[str, Any])
    certificate: Mapping[str, Any] = field(default_factory=dict[str, Any])
    settings: Settings = field(default_factory=Settings)
    path: Path | None = None
    promised: Promised | None = None
    ways: tuple[Way, ...] = ()
    explore: float = 0.0
    ordinary: Ordinary | None = None
    budget: Mapping[str, Any] = field(default_factory=dict[str, Any])
    cache: CacheSettings | None = None
    otel: OtelSettings | None = None
    evidence: Evidence | None = None
    altered: bool = False
    digest: str = ""
    answering: str = ""
    read_at: float = 0.0

    @property
    def reference(self) -> Any:
        """The model whose quality is kept; where no promise names it, `auto`."""
        return self.ways[0].model if self.ways else self.models[AUTO]

    @property
    def deciding(self) -> tuple[Any, ...]:
        """What may decide who answers: the models, and the promise's settings."""
        return (*self.models.values(), *(way.model for way in self.ways))

    def model(self, name: str) -> Any:
        """The model of that name; Problem 404 where there is none."""
        if name not in self.models:
            said = f"There is no model '{name}'. {nearest(name, self.models)}"
            raise Problem(404, said, param="model", code="model_not_found")
        return self.models[name]

    def chosen(self, asked: Asked) -> tuple[str, Any, Request]:
        """Name, model and request after the overrides; Problem where a maximum cost can't be kept."""
        name = asked.overrides.model or asked.model
        model, most, request = self.model(name), asked.overrides.max_cost, asked.request
        if most is None:
            return name, model, request
        options = request.options
        longest = longest_of(options) or LONGEST
        if "max_tokens" not in options and "max_completion_tokens" not in options:
            request = Request.of(request, max_tokens=longest)
        if _has_media(request):
            raise Problem(400, "A maximum cost can't be kept for images or sound.", param="sprat.max_cost")
        if worst(model, request, longest * asked.n, asked.n) <= most:
            return name, model, request
        if name == AUTO:
            named = [m for m in reversed(leaves(model)) if getattr(m, "name", "") in self.models]
            cheaper = [m for m in named if worst(m, request, longest * asked.n, asked.n) <= most]
            if cheaper:
                return cheaper[0].name, cheaper[0], request
        bounds = {m.name: worst(m, request, longest * asked.n, asked.n) for m in leaves(model) if hasattr(m, "price")}
        cheapest = min(bounds, key=lambda m: bounds[m], default=name)
        least = bounds.get(cheapest, inf)
        needed = f"up to ${least:.3g}" if least < inf else "an unknown amount: a model has no price"
        said = f"No answer is sure to cost at most ${most:g}; the cheapest model, '{cheapest}', may take {needed}."
        raise Problem(400, said, param="sprat.max_cost", code="max_cost")


def worst(model: Any, request: Request, longest: int, times: int = 1) -> float:
    """The most that `times` answers can cost, `longest` tokens in all; inf where a price or a number is unknown.

    Every model below is asked as often as it may be, and reads a token for each byte that it is sent.
    """
    # A message's frame in a template takes a few tokens that its text does not show.
    read, each = len(dumped([request.messages, request.options])) + 16 * len(request.messages), longest // times
    times, dollars = times * request.options.get("best_of", 1), 0.0
    for one in asks_of(model):
        if not hasattr(one.part, "price"):
            continue
        price: Price | None = one.part.price
        written = each if one.longest is None else one.longest
        most = inf if price is None else price.worst(read + one.replies * each + one.prompt, written)
        rounds = max(1, ceil(each / one.every))
        dollars += one.times * rounds * times * most if most else 0.0
    return dollars


def longest_of(options: Mapping[str, Any]) -> int:
    """The longest reply that a request asks for, in tokens, however it says so; 0 where it does not."""
    return max((options.get(name) or 0 for name in ("max_completion_tokens", "max_tokens")), default=0)


def hold_of(model: Any, request: Request, n: int, longest: int | None = None) -> Hold:
    """What the request may take at most; where nobody names a longest reply, as if it were 4,096 tokens."""
    longest = (longest_of(request.options) or 4096) if longest is None else longest
    dollars = worst(model, request, longest * n, n)
    tokens = longest * n * request.options.get("best_of", 1)
    return Hold(None if dollars == float("inf") or _has_media(request) else dollars, tokens)


def reference_cost(model: Any, replies: Sequence[Reply]) -> float | None:
    """Dollars, had the way's last (its largest) model alone read and written as many tokens; None is unknown."""
    while not hasattr(model, "price"):
        models: Any = getattr(model, "models", ())
        if not models:
            return None
        model = models[-1]
    costs = [cost(model.price, written_by(r).usage) for r in replies]
    return None if None in costs or not costs else sum(c for c in costs if c is not None)


def _has_media(request: Request) -> bool:
    parts = [p for m in request.messages if isinstance(m.get("content"), list) for p in m["content"]]
    known = ("text", "input_text", "output_text")
    return any(not isinstance(p, dict) or p.get("type") not in known for p in parts)  # pyright: ignore[reportUnknownMemberType]


def digest(path: Path) -> str:
    """A hash of the file and of its arrays beside it; "" where it can't be read."""
    found = hashlib.sha256()
    try:
        found.update(path.read_bytes())
    except OSError:
        return ""
    with suppress(OSError):
        found.update(path.with_name(f"{path.stem}.npz").read_bytes())
    return found.hexdigest()


def load(path: Path | str, home: Path | None = None) -> Served:
    """What a serve.toml holds; BadInput says what is wrong and where. `home` as in `config.read`."""
    before, read_at = digest(Path(path)), time.time()
    found = read(path, home)
    if AUTO in found.models:
        raise BadInput(f"{path}: a model can't be called '{AUTO}'; that is the [way].", hint="Give it another name.")
    made: dict[int, Witness] = {}
    models = {AUTO: witnessed(found.model, made), **found.models}
    extra = found.extra
    strange = next((name for name in extra if name not in BESIDE), None)
    if strange is not None:
        raise BadInput(f"{path}: [{strange}] is not known.", hint=nearest(strange, BESIDE))
    table = extra.get("promise")
    promise = promised(table, str(path), found.models)
    ways = ways_of(table or {}, found, made, str(path))
    for model in leaves((*models.values(), *(w.model for w in ways))):
        if hasattr(model, "ready"):
            model.ready()
    return Served(
        models,
        _encoders(extra.get("encoders", {}), str(path)),
        extra.get("certificate", {}),
        _settings(extra.get("gateway", {}), str(path)),
        Path(path),
        promise and told_apart(promise, (models[AUTO], *(w.model for w in ways))),
        ways,
        number(table or {}, "explore", f"{path}, [promise]") or 0.0,
        ordinary_of(table or {}, str(path)),
        extra.get("budget", {}),
        cache=settings_of(extra.get("cache"), str(path), extra.get("encoders", {}), models),
        otel=tracing.settings_of(extra.get("otel"), str(path)),
        evidence=evidence_of(extra.get("card"), str(path)),
        altered=_altered(Path(path), extra.get("certificate", {})),
        digest=before,
        answering=_answering(Path(path)),
        read_at=read_at,
    )


def _altered(path: Path, certificate: Mapping[str, Any]) -> bool:
    """Whether a file that has a certificate, or lies beside one, is not shown to be the way of working that it is of.

    Either the file beside it or the table says what was certified; where both do, both must be right.
    """
    certified = {str(certificate.get("served", ""))} - {""}
    with suppress(OSError, ValueError, KeyError, TypeError):
        told: Any = json.loads(path.with_name("certificate.json").read_bytes())
        certified.add(str(told["served"]))
    return bool(certificate or certified) and certified != {fingerprint(path)}


def _answering(path: Path) -> str:
    """A hash of what answers: as in the certificate's, and which models endpoints ask, and where."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    told = [fingerprint(path)]
    for name, entry in sorted(table.get("models", {}).items()):
        told.append(
            json.dumps([name, {k: v for k, v in entry.items() if k not in _ASIDE}], sort_keys=True, default=str)
        )
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def of(model: Any, **settings: Any) -> Served:
    """A model to serve from Python: itself as `auto`, and its leaf endpoints by their names."""
    named = {m.name: m for m in leaves(model) if hasattr(m, "answer_many") and getattr(m, "name", "")}
    return Served({AUTO: witnessed(model), **named}, settings=Settings(**settings))


def _settings(table: Any, where: str) -> Settings:
    given = dict(cast("dict[str, Any]", table)) if isinstance(table, dict) else {}
    known = {f.name: type(f.default) for f in fields(Settings)}
    for key, value in list(given.items()):
        if key not in known:
            raise BadInput(f"{where}, [gateway]: '{key}' is not known.", hint=nearest(key, known))
        kind = known[key]
        if kind is tuple:
            given[key] = _names(value, f"{where}, [gateway]: {key}")
            continue
        right = isinstance(value, bool) == (kind is bool) and isinstance(value, (kind, int))
        if not right or (kind is not bool and (value < 0 or (value == 0 and key != "keep_days"))):
            raise BadInput(f"{where}, [gateway]: {key} is {value!r}.", hint=f"Needed: {kind.__name__} above 0.")
    return Settings(**given)


def _names(value: Any, at: str) -> tuple[str, ...]:
    names = cast("list[Any]", value) if isinstance(value, list) else [None]
    if not all(isinstance(n, str) and n for n in names):
        raise BadInput(f"{at} is {value!r}.", hint='Needed: a list of names, such as ["gateway.example.org"].')
    return tuple(str(n).lower() for n in names)


def _encoders(tables: Any, where: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, table in cast("dict[str, Any]", tables).items():
        at = f"{where}, [encoders.{name}]"
        if not isinstance(table, dict) or not isinstance(cast("dict[str, Any]", table).get("use"), str):
            raise BadInput(f"{at} says no 'use'.", hint=f"Needed: {' or '.join(_ENCODERS)}, or mypkg.mod:Encoder.")
        entry: dict[str, Any] = {**table}
        word = str(entry.pop("use"))
        if word not in _ENCODERS and ":" not in word:
            raise BadInput(f"{at}: there is no encoder '{word}'.", hint=nearest(word, _ENCODERS))
        kind = find(_ENCODERS.get(word, word), at)
        if not hasattr(kind, "encode"):
            raise BadInput(f"{at}: '{word}' is no encoder.")
        made[name] = build(Reader(at, {}, {}, {}), kind, entry, at, {})
    return made


def secrets_of(served: Served) -> tuple[str, ...]:
    """The upstreams' keys, so that they can be struck out of whatever is written."""
    found = [m._secret() for m in leaves(tuple(served.models.values())) if hasattr(m, "_secret")]
    return tuple(dict.fromkeys(s for s in found if s))


def passes(model: Any) -> TypeGuard[OpenAI]:
    """Whether the model is one upstream that speaks chat completions, so that its bytes can pass."""
    return isinstance(model, OpenAI)
