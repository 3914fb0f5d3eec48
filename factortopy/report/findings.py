"""The report's last section: the paper's findings with their verdicts, and what could not be decided or shown, by reason."""

from factortopy.report.checklist import FAILS, HOLDS, OPEN, RATE, checklist, untested
from factortopy.report.document import text
from factortopy.report.missing import NO_RULE, NOT_ASKED, PAPERS, RUNS, SUBJECT, UNDECIDED

WORDS = {HOLDS: ("holds", "hold"), FAILS: ("does not hold", "do not hold"), OPEN: (OPEN, OPEN)}
CLASSES = {HOLDS: "holds", FAILS: "fails"}
REASONS = {  # what would help
    UNDECIDED: "more test pictures, seeds or networks would narrow the interval",
    NOT_ASKED: "new fits show it: run the report without --quick (in the app: Full)",
    RUNS: "train or fine-tune, and give the report those runs too",
    PAPERS: "the same command runs unchanged on them",
    SUBJECT: "another subject's runs would show it",
    NO_RULE: "figures may show it; no verdict is drawn",
}


def section(doc):
    """Findings with the figures that test them, then what is missing."""
    findings = [*checklist(doc.evidence), *untested()]
    count = {v: sum(f.verdict == v for f in findings) for v in WORDS}
    doc.section(
        "The paper's findings on these data",
        "After the paper's table 5 and what it refers to, in our words; the smallest effects that count are our choice. Each verdict "
        "follows from the stated rule alone.",
    )
    tried = sum(f.p is not None for f in findings)
    if tried:
        doc.sentences(
            f"{tried} {'was' if tried == 1 else 'were'} put to the test. A claim holds where the numbers exclude both chance and an effect "
            "too small to count; it does not hold where they exclude an effect that counts; else nothing is decided. Of the verdicts "
            f"that hold, and of those that do not, {RATE:.0%} at most are expected to be wrong (false discovery rate, Benjamini and "
            "Hochberg, over all that were tried). Intervals (95 %) of scores are over test pictures, and over seeds where a network was "
            "fitted with several (else they speak of these fits alone, not of the networks fitted again); those of maps are over "
            "seeds, those of correlations over networks. They speak of these subjects, not of all people."
        )
    doc.sentences(f"Of {len(findings)}: {', '.join(f'{n} {WORDS[v][n != 1]}' for v, n in count.items() if n)}.")
    if doc.simulated:
        doc.sentences("On simulated data a verdict says that the analysis works, and nothing about brains.")
    tested = [f for f in findings if f.verdict != OPEN]
    if tested:
        doc.raw(_table(doc, tested))
    columns = ("finding", "source", "verdict", "numbers", "why", "rule", "p")
    rows = [(f.claim, f.source, f.verdict, f.explanation, f.why, f.rule, f.p) for f in findings]
    doc.keep("findings", [dict(zip(columns, row, strict=True)) for row in rows])
    groups = grouped(findings, doc.missing)
    if groups:
        doc.section("What is not tested or shown here, and why")
        doc.raw("".join(_group(why, lines) for why, lines in groups.items()))
        doc.keep("not-shown", [{"why": why, "what": line} for why, lines in groups.items() for line in lines])


def grouped(findings, missing):
    """{reason: lines}: open findings that lack the same are put together, then what sections could not show."""
    out = {}
    for why in REASONS:
        lacks = {}
        for f in findings:
            if f.verdict == OPEN and f.why == why:
                lacks.setdefault(f.explanation, []).append(f"{f.claim} ({f.source})")
        lines = [f"{'; '.join(claims)}: {what}" for what, claims in lacks.items()]
        if why == NOT_ASKED:  # the reason says it all
            lines = [claim for claims in lacks.values() for claim in claims]
        lines += [line[:1].upper() + line[1:] for reason, line in dict.fromkeys(missing) if reason == why]
        if lines:
            out[why] = lines
    return out


def _group(why, lines):
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f'<h3 class="why">{text(why)}</h3><p class="paper">{text(REASONS[why][0].upper() + REASONS[why][1:])}.</p><ul>{items}</ul>'


def _table(doc, findings):
    lines = []
    for f in findings:
        links = ", ".join(link for name in f.figures if (link := doc.link(name))) or "–"
        cells = [
            f'{text(f.claim)}<br><span class="paper">{text(f.source)}</span>',
            f'<span class="{CLASSES[f.verdict]}">{text(f.verdict)}</span>',
            text(f.explanation),
            text(f.rule),
            links,
        ]
        lines.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "".join(f"<th>{word}</th>" for word in ("Finding", "Verdict", "Numbers", "Rule", "Figure"))
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f'<div class="wide"><table class="findings">{body}</table></div>'
