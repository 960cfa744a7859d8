"""What promise_watch.py found, as a page."""

from __future__ import annotations

from typing import Any


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(r: dict[str, float]) -> str:
    return f"{100 * r['rate']:.1f} ± {100 * r['se']:.1f}"


def page(r: dict[str, Any]) -> str:
    alarms = [[x["what"], f"{100 * x['bar']:.0f}", percent(x)] for x in r["false_alarms"]]
    late = [
        [str(x["before"]), f"{x['above']}", str(x["predicted"]), f"{x['median']:.0f}", f"{x['p90']:.0f}", percent(x)]
        for x in r["loss_delays"]
    ]
    drift = [
        [
            str(x["sample"]),
            str(x["before"]),
            f"{x['mean_rank']}",
            str(x["guide"]),
            f"{x['median']:.0f}",
            f"{100 * x['missed']:.0f}",
        ]
        for x in r["drift_delays"]
    ]
    restored = [[f"{x['mean']}", str(x["pairs"]), percent(x)] for x in r["restores"]]
    names = ("ips", "snips", "doubly robust")
    ope = [
        [str(x["n"]), f"{x['explore']}", str(x["per_unit"]), f"{x['ess']:.0f}", f"{100 * x['refused']:.1f}"]
        + [
            f"{percent(x[k])} ({x[k]['width']:.3f}; {100 * x[k]['shown']:.0f} %)" if k in x else "refused"
            for k in names
        ]
        for x in r["coverage"]
    ]
    day = [
        [
            x["traffic"],
            f"{x['budget']:.0f}",
            f"{100 * x['spent']:.1f}",
            f"{100 * x['highest']:.1f}",
            f"{100 * x['refused']:.1f}",
            f"{1000 * x['harm']:.2f}",
            f"{1000 * x['least']:.2f}",
        ]
        for x in r["days"]
    ]
    rush = [[f"{x['burst']}", f"{100 * x['spent']:.1f}", f"{100 * x['bound']:.1f}"] for x in r["rush"]]
    return f"""# Does the watch keep its word?

{r["head"]}

Simulated, so that the truth is known; `within .05` at delta .1, half for each test. In per cent; ± is one standard
error.

## False alarms in {r["months"]} months of 1,000 pairs and 10,000 requests

{table(["what", "bar: at most", "months with a false alarm"], alarms)}

## From a change of the mean loss to the alarm, in pairs ({r["runs"]} runs)

Predicted: the number by which 90 % of runs are to have alarmed. Before the change the mean loss is .03 below the limit.

{
        table(
            ["pairs before", "mean loss above the limit", "predicted", "median", "90 % by", "within the predicted"],
            late,
        )
    }

## From a change of the requests to the alarm, in requests ({r["runs"] // 3} runs, 4,000 at most)

The guide leaves out that requests after the change come to be counted as calibration; with small samples and small
changes that is what happens, and the change is missed.

{table(["calibration rows", "requests before", "mean rank (was .5)", "guide", "median", "missed"], drift)}

## Pairs that restore a broken promise, power .8 ({r["runs"]} runs)

{table(["mean loss, from the limit", "pairs said to be needed", "restored by then"], restored)}

## Off-policy estimates, 95 % intervals: coverage (width; how often shown) ({r["ope_runs"]} logs)

The log's cut is .5, the target's .7. Without exploration there is no overlap: all are to be refused.

{table(["rows", "explored", "rows per unit", "ESS", "refused", *names], ope)}

## The budget's controller, days of 10,000 requests (3 days each)

Costs are exponential around the setting's; 30, 60 and 100 dollars a day are the three settings' means. Highest: the
most ever spent and set aside, of the budget. Harm is per 1,000 requests served; least is the optimum in hindsight,
which knows what each time of the day costs. Where many requests are refused, the harm is not comparable: the cheapest
setting alone, or nearly, passes the budget.

{table(["traffic", "budget", "spent", "highest", "refused", "harm", "least"], day)}

A rush of crafted requests in the first hour, each as dear as five large answers: what it takes of the day's budget.

{table(["burst", "spent", "bound"], rush)}
"""
