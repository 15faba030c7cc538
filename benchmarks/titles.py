"""How well job titles are told their function and seniority, on titles that nothing was tuned on.

    python -m benchmarks.titles [--data ../shared/data/titles] [--show tuning]

Function: O*NET's alternate titles, whose occupation (SOC) says the function where FUNCTIONS has it; split in two by a
hash of the title: the table tables/titles.tsv was written with the one half only. Coverage is the share that got a
function at all, precision the share of those that is right. Seniority: no labels are at hand, but IPOD's list of title
words says which of them tell a responsibility (RES) by the word of all three annotators; coverage of these words, and
the share of the other words (FUN or LOC by all three) that are wrongly taken for one. The peer, in the same run: the
function of the commonest occupation in the tuning half.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections import Counter
from pathlib import Path

from benchmarks.figures import arguments, figure
from enrichment.normalise import normalise

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS: dict[str, str] = {
    "11-2011": "marketing", "11-2021": "marketing", "11-2032": "marketing", "11-2022": "sales", "11-3021": "it",
    "11-3031": "finance", "11-3121": "hr", "11-3111": "hr", "11-3131": "hr", "11-3061": "procurement",
    "11-3051": "operations", "11-3071": "operations", "11-9041": "engineering", "13-1071": "hr", "13-1075": "hr",
    "13-1141": "hr", "13-1151": "hr", "13-1161": "marketing", "13-1021": "procurement", "13-1022": "procurement",
    "13-1023": "procurement", "13-1041": "legal", "13-1081": "operations", "13-2011": "finance", "13-2031": "finance",
    "13-2041": "finance", "13-2051": "finance", "13-2052": "finance", "13-2053": "finance", "13-2054": "finance",
    "13-2061": "finance", "13-2072": "finance", "13-2081": "finance", "13-2082": "finance", "13-2099": "finance",
    "15-1211": "it", "15-1212": "it", "15-1231": "it", "15-1232": "it", "15-1241": "it", "15-1242": "it",
    "15-1244": "it", "15-1251": "engineering", "15-1252": "engineering", "15-1253": "engineering",
    "15-1254": "engineering", "15-1255": "design", "15-2041": "data", "15-2051": "data", "15-2031": "data",
    "41-1011": "sales", "41-1012": "sales", "41-2031": "sales", "41-3011": "sales", "41-3021": "sales",
    "41-3031": "sales", "41-3091": "sales", "41-4011": "sales", "41-4012": "sales", "41-9022": "sales",
    "41-9031": "sales", "41-9041": "sales", "41-9091": "sales",
}  # fmt: skip
"""The function that an occupation belongs to, as a revenue team would say it; occupations of no one function are left
out."""
NEAR = frozenset(
    {("it", "engineering"), ("engineering", "it"), ("data", "it"), ("it", "data"), ("design", "engineering")}
)
"""Functions that companies draw differently: told apart in the strict figure only."""


def tuning(title: str) -> bool:
    """Whether a title belongs to the half that the table was written with."""
    return hashlib.sha256(title.lower().encode()).digest()[-1] % 2 == 0


def labelled(path: Path) -> list[tuple[str, str]]:
    """(title, function)"""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        (row["alternate_title"], FUNCTIONS[row["onet_soc"][:7]]) for row in rows if row["onet_soc"][:7] in FUNCTIONS
    ]


def told(title: str, part: str) -> str:
    """A part of a normalised title; empty where there is none."""
    found = normalise("title", title)
    return found.parts.get(part, "") if found is not None else ""


def words(path: Path) -> tuple[list[str], list[str]]:
    """Words that tell a responsibility, and words that tell a function or a place, where all annotators agree."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["Title"], {row["A1"], row["A2"], row["A3"]}) for row in csv.DictReader(file)]
    return [word for word, said in rows if said == {"RES"}], [word for word, said in rows if said in ({"FUN"}, {"LOC"})]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/titles")
    parser.add_argument("--show", choices=("tuning",), help="Name what is wrong in the tuning half.")
    options = parser.parse_args()
    path = options.data / "onet_alternate_titles_mgmt_biz_it_sales.csv"
    if not path.is_file():
        sys.exit(f"{options.data}: no {path.name} there; --data names the folder")
    pairs = labelled(path)
    commonest = Counter(function for title, function in pairs if tuning(title)).most_common(1)[0][0]
    for half, chosen in (("tuning", True), ("held out", False)):
        rows = [(title, function, told(title, "function")) for title, function in pairs if tuning(title) is chosen]
        said = [row for row in rows if row[2]]
        right = sum(function == found for _, function, found in said)
        if not chosen:
            figure("function of a job title: precision", right / len(said))
            figure("function of a job title: coverage", len(said) / len(rows))
        near = right + sum((function, found) in NEAR for _, function, found in said)
        peer = sum(function == commonest for _, function, _ in rows) / len(rows)
        print(
            f"function, {half:<9} {len(rows):,} titles: coverage {len(said) / len(rows):.3f}, precision "
            f"{right / len(said):.3f} (near ones counted: {near / len(said):.3f}); always {commonest}: {peer:.3f}"
        )
        if options.show and chosen:
            for title, function, found in rows:
                if found != function and (function, found) not in NEAR:
                    print(f"  {function:<12} {found or '-':<16} {title}")
    responsible, others = words(options.data / "ipod_title_token_gazetteer.csv")
    for half, chosen in (("tuning", True), ("held out", False)):
        mine = [word for word in responsible if tuning(word) is chosen]
        other = [word for word in others if tuning(word) is chosen]
        known, wrong = ([word for word in several if told(word, "seniority")] for several in (mine, other))
        print(
            f"seniority, {half:<9} {len(known) / len(mine):.3f} of {len(mine)} words of responsibility known; "
            f"{len(wrong) / len(other):.3f} of {len(other)} other words taken for one"
        )
        if options.show and chosen:
            print("  not known:", ", ".join(word for word in mine if word not in known))
            print("  taken for one:", ", ".join(wrong))


if __name__ == "__main__":
    main()
