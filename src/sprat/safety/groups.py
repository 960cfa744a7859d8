"""Which groups of people a text speaks of, by plain words; and how it is written, by words of a dialect: for audits.

Classifiers of abuse are known to flag texts because they name a group (arXiv 1909.04761 has such terms), or because
they are written as Black Americans write (arXiv 1905.12516; Sap et al., ACL 2019). The lists are neutral and short:
they find some such texts, never all, and say nothing of who wrote a text. A word of a list is no proof of a dialect.
"""

from __future__ import annotations

import re
from functools import lru_cache

MENTIONS: dict[str, tuple[str, ...]] = {
    "women": ("woman", "women", "girl", "girls", "female", "females", "lady", "ladies"),
    "men": ("man", "men", "boy", "boys", "male", "males", "guy", "guys"),
    "black": ("black", "african", "african-american"),
    "white": ("white", "caucasian"),
    "asian": ("asian", "asians", "chinese", "japanese", "korean", "indian"),
    "latino": ("latino", "latinos", "latina", "hispanic", "mexican", "mexicans"),
    "gay, lesbian": ("gay", "gays", "lesbian", "lesbians", "queer", "bisexual", "lgbt"),
    "transgender": ("trans", "transgender"),
    "muslim": ("muslim", "muslims", "islam", "islamic", "arab", "arabs"),
    "jewish": ("jew", "jews", "jewish"),
    "christian": ("christian", "christians", "catholic", "catholics", "church"),
    "immigrants": ("immigrant", "immigrants", "refugee", "refugees", "migrant", "migrants"),
    "disabled": ("disabled", "disability", "deaf", "blind", "autistic", "wheelchair"),
    "old, young": ("old", "elderly", "young", "teen", "teens", "kid", "kids"),
}
# Spellings and words that studies of African American English on Twitter list (Blodgett et al., EMNLP 2016; Green
# 2002). None is abusive. Others write so too, and most who write this dialect use none of them in a given text.
DIALECT = (
    "finna", "tryna", "gon", "iont", "ion", "ima", "imma", "wit", "dat", "dis", "dey", "dem", "den", "yall", "y'all",
    "aint", "ain't", "bruh", "fam", "talmbout", "nah", "naw", "sumn", "doe", "whatchu", "ova", "mane", "deez",
)  # fmt: skip


@lru_cache(maxsize=1)
def _forms() -> dict[str, re.Pattern[str]]:
    lists = {**MENTIONS, "dialect words": DIALECT}
    any_of = {k: "|".join(map(re.escape, listed)) for k, listed in lists.items()}
    return {k: re.compile(rf"(?<![\w'-])(?:{one})(?:'s)?(?![\w'-])", re.I) for k, one in any_of.items()}


def mentions(text: str) -> tuple[str, ...]:
    """The groups that the text names, and "dialect words" where it holds one; several, or none."""
    said = text.replace("\u2019", "'")
    return tuple(group for group, form in _forms().items() if form.search(said))
