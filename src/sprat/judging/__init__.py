"""Who is better? Judges of two replies, large and small, what they cost, and how far they agree with people."""

from ..measure.judge import Judge, graded
from ..signals.verdicts import Grade, Verdict
from .agreement import PeopleAgreement, agreement
from .comparison import Comparison, Paired, compare
from .pairwise import PairwiseJudge, pairwise
from .preferences import Preference, preferences
from .small import LengthJudge, SmallJudge, load, train
from .wins import bradley_terry, length_controlled, win_rate

__all__ = [
    "Comparison",
    "Grade",
    "Judge",
    "LengthJudge",
    "Paired",
    "PairwiseJudge",
    "PeopleAgreement",
    "Preference",
    "SmallJudge",
    "Verdict",
    "agreement",
    "bradley_terry",
    "compare",
    "graded",
    "length_controlled",
    "load",
    "pairwise",
    "preferences",
    "train",
    "win_rate",
]
