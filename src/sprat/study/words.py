"""The study's heading, verdict and advice in sentences; each number with its interval or its n."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..energy.calls import how
from ..shape import leaves, name_of
from .evidence import Evidence
from .promises import needed, rows_for_saving, saved
from .result import Feasibility, Interval
from .tried import Setting


def percent(x: float) -> str:
    """A fraction as per cent, without false digits."""
    return f"{100 * x:.3g} %" if abs(x) < 0.1 else f"{100 * x:.0f} %"


def span(x: Interval) -> str:
    """An interval of a fraction in per cent."""
    return f"{percent(x.value)} [{100 * x.low:.0f}, {100 * x.high:.0f}]"


def promise_words(found: Evidence) -> str:
    """The promise that was asked for."""
    promise, large = found.asked.promise, found.asked.large
    if promise.kind == "keep":
        return f"give at least {promise.level * 100:.4g} % of {large}'s quality"
    return f"stay within {promise.level * 100:.4g} points of {large}"


def _counted(found: Evidence) -> str:
    """What the certificate counts: rows, or units where rows come in such."""
    same = found.certificate.units == found.certificate.rows
    return "rows" if same else "units (users, threads or repeated prompts)"


def _says(words: str) -> str:
    verb, _, rest = words.partition(" ")
    return f"{verb}s {rest}"


def heading(found: Evidence, around: Mapping[str, Any], dropped: int) -> dict[str, Any]:
    """The fields of a result that say what was studied, and with what."""
    from importlib.metadata import version

    data, asked, cut = found.data, found.asked, found.cut
    notes = list(data.notes)
    if dropped:
        notes.append(f"{dropped} rows left out: no score for every model.")
    if around.get("prices_note"):
        notes.append(f"Prices: {around['prices_note']}")
    notes += [said for m, p in around.get("known", {}).items() if (said := how(m, p))]
    unknown = [m for m, p in zip(found.facts.models, found.facts.prices, strict=True) if not np.isfinite(p)]
    if unknown:
        notes.append(f"Price unknown: {', '.join(unknown)}." + _unpriced(found))
    elif not found.tried.dollars:
        notes.append(f"{asked.large} costs nothing, so savings are counted in calls to it.")
    if found.tried.unfit:
        notes.append(f"Not tried, for want of rows: {'; '.join(found.tried.unfit)}.")
    careful = [c.name for c, yes in zip(found.tried.candidates, found.tried.careful, strict=True) if yes]
    if careful:
        notes.append(
            f"Beats prompt length only on groups it knows, so unseen ones go to the large: {', '.join(careful)}."
        )
    return {
        "name": data.name,
        "command": str(around.get("command", "")),
        "version": version("sprat"),
        "date": datetime.date.today().isoformat(),
        "seed": data.seed,
        "data_hash": data.hash,
        "notes": tuple(notes),
        "quality": data.quality,
        "small": asked.small,
        "large": asked.large,
        "peers": asked.peers,
        "unit": "dollars" if found.tried.dollars else f"calls to {asked.large}",
        "rows": len(data),
        "units": len(np.unique(data.units)),
        "fit_rows": len(cut.fit),
        "calibration_rows": len(cut.calibration),
        "test_rows": len(cut.test),
        "shown_on": _shown_on(found),
        "prices": dict(around.get("prices") or {}),
        "prices_date": around.get("prices_date"),
    }


def _unpriced(found: Evidence) -> str:
    if not found.tried.dollars:
        return f" Savings are counted in calls to {found.asked.large}."
    return " Ways of working that ask them are shown without cost and can't be chosen."


def _shown_on(found: Evidence) -> str:
    if len(found.cut.test):
        return f"{len(found.cut.test):,} test rows that played no part in fitting, choosing or certifying"
    n = len(found.cut.calibration)
    return f"the {n:,} calibration rows: not fitted on, but certified on (too few rows for a test split)"


def verdict(found: Evidence, ahead: list[Feasibility]) -> dict[str, Any]:
    """The fields `verdict`, `shown` (was anything certified?) and `advice`."""
    asked, chosen = found.asked, found.chosen
    confidence = f"{100 * (1 - asked.delta):.4g} % confidence"
    n = found.certificate.units
    if chosen is None:
        sentence = (
            f"Not shown: on {n:,} calibration {_counted(found)} no cheaper way of working could be certified to "
            f"{promise_words(found)} at {confidence}; serve {asked.large} alone."
        )
        advice = (*_more(found, n), *_ahead(found, ahead, n), *_slow(found))
        return {"verdict": sentence, "shown": False, "advice": advice}
    unit = "cost" if found.tried.dollars else f"calls to {asked.large}"
    saving, share = saved(found, chosen), float(found.on_shown([chosen]).large.mean())
    sentence = (
        f"Certified: {chosen.name} {_says(promise_words(found))} at {confidence}, "
        f"and {'saves' if found.tried.dollars else 'spares'} {span(saving)} of the {unit}; "
        f"{percent(share)} of requests still go to {asked.large}."
    )
    advice = (*_pays(found, chosen, saving), *_timed(found, chosen), *_ahead(found, ahead, n))
    return {"verdict": sentence, "shown": True, "advice": advice}


def _pays(found: Evidence, chosen: Setting, saving: Interval) -> list[str]:
    """Where prices are unknown: what else is asked, and how cheap that must be for the way to pay at all."""
    candidate = found.tried.candidates[chosen.candidate]
    signals = found.held.signals[chosen.candidate]
    others = [m for m in candidate.models if m != found.asked.large]
    others += [name for leaf in leaves(signals) if (name := name_of(leaf)) in found.asked.models]
    if found.tried.dollars or not others:
        return []
    named = " and ".join(dict.fromkeys(others))
    return [
        f"Prices are unknown, and this also asks {named}: it pays where these together cost less than "
        f"{percent(saving.value)} of what {found.asked.large} costs for the same requests."
    ]


def _timed(found: Evidence, chosen: Setting) -> list[str]:
    """Whether the chosen way was as fast on the rows shown as the fit rows said; no certificate covers that."""
    most = found.asked.max_p95
    if most is None:
        return []
    own = float(np.quantile(found.on_shown([chosen]).seconds[:, 0], 0.95))
    kept = f"within the {most:g} s asked for" if own <= most else f"above the {most:g} s that the fit rows kept to"
    return [f"Its 95th percentile on these rows is {own:.3g} s, {kept}; that is measured, not certified."]


def _slow(found: Evidence) -> list[str]:
    """What falling back to the reference means for the time that was asked for."""
    most, seconds = found.asked.max_p95, found.shown.seconds[:, -1]
    if most is None:
        return []
    if not np.isfinite(seconds).all():
        return [f"Whether {found.asked.large} alone answers within {most:g} s is not known: its seconds are missing."]
    own = float(np.quantile(seconds, 0.95))
    return [f"{found.asked.large} alone takes {own:.3g} s at the 95th percentile, not {most:g}."] if own > most else []


def _none_fast(found: Evidence) -> str:
    """Why nothing may be chosen, or "" where something may."""
    most, tried = found.asked.max_p95, found.tried
    if most is None or len(tried.allowed):
        return ""
    seconds = found.facts.seconds
    missing = [m for m, column in zip(found.facts.models, seconds.T, strict=True) if not np.isfinite(column).all()]
    why = f"seconds are missing for {', '.join(missing)}, and an unknown time is not known to be short"
    return (
        f"No way of working is known to answer within {most:g} s at the 95th percentile"
        f"{f': {why}' if missing else ''}; allow more with --max-p95, or leave it out."
    )


def _more(found: Evidence, n: int) -> list[str]:
    if slow := _none_fast(found):
        return [slow]
    more = needed(found)
    if more is None:
        fit = len(found.cut.fit)
        return [f"On the {fit:,} fit rows no way of working kept this promise; ask for less, or collect more to tell."]
    if more <= n:
        return [
            f"The fit rows expected {more:,} calibration rows to be enough; these {n:,} disagreed. "
            "Collect more, or ask for less."
        ]
    total = round((more - n) / 0.6, -1)
    return [
        f"Collect about {max(10, int(total)):,} more rows like these: {more:,} calibration rows give an 80 % chance "
        "of a certificate."
    ]


def _ahead(found: Evidence, ahead: list[Feasibility], n: int) -> list[str]:
    own = next((f for f in ahead if f.n == n), None)
    if own is None or own.ceiling <= 0:
        return []
    unit = "the cost" if found.tried.dollars else f"the calls to {found.asked.large}"
    words = [
        f"With {n:,} calibration {_counted(found)} about {percent(own.saving)} of {unit} can be expected to be saved, "
        f"refusals counted as nothing; with any number of rows at most about {percent(own.ceiling)}."
    ]
    wanted = own.saving + 0.6 * (own.ceiling - own.saving)
    rows = rows_for_saving(found, wanted) if own.ceiling - own.saving > 0.02 else None
    if rows is not None and rows > n:
        words.append(
            f"For {percent(wanted)} collect about {round(rows / 0.6, -2):,.0f} {_counted(found)} in all "
            f"({rows:,} to calibrate)."
        )
    return words
