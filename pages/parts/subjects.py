"""Choosing a subject: the demo ones, or a folder that is looked through on the spot."""

import time

import streamlit as st

from factortopy.runs import costs
from factortopy.wording import count, duration
from pages.parts import address, saving
from pages.parts.background import tasks
from pages.parts.guard import checked
from pages.parts.words import TERMS, plain

DEMO = {"demo-1": "Demo subject 1", "demo-2": "Demo subject 2", "demo-3": "Demo subject 3", "": "A folder of mine"}
AT_ONCE = 1.0  # seconds that a look may take before it says how far it is
# Seconds that findings are taken for true: those that stop a training may be mended any moment.
FRESH = {True: 60, False: 600}
MOST = 16  # data sets whose findings are remembered


class Recent:
    """``Findings`` of the data sets that were looked through lately, so that no page looks through a folder again."""

    def __init__(self):
        self._kept = {}  # {(path, which subject): (when, Findings)}

    def get(self, path, subject_id):
        """Those of a folder; None where they are too old, or there are none."""
        when, findings = self._kept.get((path, subject_id), (0, None))
        return findings if findings is not None and time.monotonic() - when < FRESH[findings.stops] else None

    def keep(self, path, subject_id, findings):
        """The last ``MOST`` are remembered."""
        self._kept.pop((path, subject_id), None)
        self._kept[path, subject_id] = time.monotonic(), findings
        while len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]


recent = Recent()


def choose(check=True):
    """Subject as ``load_subject`` takes it, and which one of a folder; (None, None) while there is none.

    ``check``: show what is wrong with a folder here, and give it only when it can be trained on. The page's address names
    the subject (``?subject=…&subject_id=…``); another page hands one over that way.
    """
    page = "train" if check else "data"
    given, given_id = address.text("subject"), address.text("subject_id")
    keys = [f"{page} kind", f"{page} folder"]
    if given and (keys[0] not in st.session_state or address.changed("subject", "subject_id")):
        st.session_state[keys[0]] = given if given in DEMO else ""
        st.session_state[keys[1]] = "" if given in DEMO else given
        st.session_state[f"{page} wanted"] = given_id
    st.session_state.setdefault(keys[0], "demo-1" if check else "")
    subject, subject_id = _chosen(keys, check, page)
    address.write(subject=subject or st.session_state.get(keys[1]) or None, subject_id=subject_id)
    return offer_folder(subject, subject_id) if check and subject and subject not in DEMO else (subject, subject_id)


def take(page, subject):
    """Choose a subject for a page ("train" or "data"), in the callback of a button."""
    st.session_state[f"{page} kind"] = subject


def _chosen(keys, check, page):
    """(subject, which one of a folder) of the widgets."""
    choice = st.selectbox(
        "Subject", list(DEMO), format_func=lambda k: DEMO[k] + (" (simulated)" if k else ""), key=keys[0],
        help="Whose brain. The demo subjects are simulated; a folder may hold Algonauts 2023, NSD or FactorTopy's folder layout.",
    )  # fmt: skip
    if choice:
        first = costs.making([choice])
        soon = f", rendered at the first use (about {duration(first)})" if first else ""
        st.caption(f"Simulated: 3,000 rendered pictures{soon}.")
        return choice, None
    path = st.text_input(
        "Folder", placeholder="path of a data set, such as data/subj01", help="A folder on this machine.", key=keys[1]
    ).strip()
    if not path:
        if check:
            st.caption("Paste the path of the folder on this machine; what is in it is shown here.")
        return None, None
    from factortopy.subjects.layouts import subjects_in

    several = checked(subjects_in, path)
    if several is None:
        return None, None
    if len(several) < 2:
        return path, None
    wanted = st.session_state.get(f"{page} wanted")
    start = several.index(wanted) if wanted in several else 0
    return path, st.selectbox("Which subject", several, index=start, help="The folder holds several.")


def offer_folder(path, subject_id):
    """What is in the folder, in a sentence with the details folded; (path, subject id) when it can be trained on."""
    findings = findings_of(path, subject_id)
    if findings is None:
        return None, None
    if findings.sentence():
        st.caption(plain(findings.sentence()))
    for problem in findings.problems:
        if problem.severity == "stops":
            say(problem)
    warnings = sum(problem.severity != "stops" for problem in findings.problems)
    if findings.facts or warnings:
        with st.expander("What was found" + (f", {count(warnings, 'warning')}" if warnings else "")):
            render(findings, stops=False)
    return (None, None) if findings.stops else (path, subject_id)


def render(findings, stops=True):
    """What was found in a data set: problems (those that stop a training first), facts, and a table of its areas."""
    for problem in sorted(findings.problems, key=lambda p: p.severity != "stops"):
        if stops or problem.severity != "stops":
            say(problem)
    facts = {name: str(text) for name, text in findings.facts.items() if not (findings.areas and name == "ROIs")}
    if findings.areas and "noise ceiling" in facts:
        facts["noise ceiling"] = facts["noise ceiling"].split(" (")[0]
    if facts:
        st.table({"": list(facts), "found": [plain(text) for text in facts.values()]}, hide_index=True)
    if findings.areas:
        _areas(findings.areas, findings.simulated)


def say(problem):
    """One problem; of a folder that holds no data set, what is looked for as a list."""
    if problem.choices:
        st.warning(
            f"**No data set in** {plain(problem.thing)}. Looked for:\n"
            + "".join(f"- {plain(choice)}\n" for choice in problem.choices)
            + f"\nFound {plain(problem.actual)}; {plain(problem.remedy)}."
        )
    else:
        (st.error if problem.severity == "stops" else st.warning)(plain(problem.line()))


def _areas(areas, simulated):
    import pandas as pd

    def table(shown, folded=False):
        rows = [
            {"area": a.name, **({"part of": a.part_of} if folded else {}), "vertices": a.vertices, "ceiling": a.ceiling}
            for a in shown
        ]
        saving.table(
            pd.DataFrame(rows).dropna(axis=1, how="all"), "parts of areas" if folded else "areas", simulated,
            column_config={"ceiling": st.column_config.NumberColumn("noise ceiling", format="%.2f", help=TERMS["noise ceiling"])},
        )  # fmt: skip

    table([area for area in areas if not area.part_of])
    parts = [area for area in areas if area.part_of]
    if parts and st.toggle(
        f"Their parts ({len(parts)})", help="V1v and V1d are parts of V1, FFA-1 and FFA-2 of FFA, and so on."
    ):
        table(parts, folded=True)


@st.cache_data(ttl=60, show_spinner=False)
def kinds_of_trials(path, subject_id):
    """How many choices of trials the data set offers."""
    from factortopy.subjects.layouts import find
    from factortopy.subjects.names import demo_number

    return 1 if demo_number(path) else len(find(path, subject_id)[0].trials)


def findings_of(path, subject_id):
    """``Findings`` of a folder, those of the Data page where it has looked lately; None while it is looked through."""
    findings = recent.get(path, subject_id)
    if findings is not None:
        return findings
    key = f"check {path} {subject_id}"
    task = tasks.find(key)
    if task is not None and not task.active:
        stopped = task.state == "stopped"
        if stopped and not st.button("Look through the folder", icon=":material/refresh:", key=f"again {key}"):
            st.caption("Stopped before the folder was looked through.")
            return None
        tasks.forget(key)
    task = look(key, path, subject_id)
    if task.state == "failed":
        st.error(plain(task.error))
    elif task.active:
        waiting(key)
    return task.result


def look(key, path, subject_id, pictures=False, thorough=False):
    """The background.Task that looks through a data set, started where there is none; given a second to end at once.

    Its result is a ``Preview``, or without ``pictures`` the ``Findings`` alone.
    """
    task = tasks.find(key)
    if task is not None:
        return task

    def work(task):
        from factortopy.subjects.check import check
        from factortopy.subjects.preview import preview
        from factortopy.subjects.progress import listening

        def on_step(step):
            task.step = step
            return task.report(step.done, step.total)

        def shown(so_far):
            recent.keep(path, subject_id, so_far.findings)
            task.show(so_far)

        with listening(on_step):
            result = preview(path, subject_id, show=shown, thorough=thorough) if pictures else check(path, subject_id)
        recent.keep(path, subject_id, result.findings if pictures else result)
        return result

    task, end = tasks.start(key, work), time.monotonic() + AT_ONCE
    while task.active and time.monotonic() < end:
        time.sleep(0.03)
    return task


@st.fragment(run_every=0.7)
def waiting(key):
    """How far a look has come, how long this step will still take, and Stop; the whole page anew when there is more to show."""
    task = tasks.find(key)
    shown = st.session_state.setdefault(f"shown {key}", task is not None and task.partial is not None)
    if task is None or not task.active or (task.partial is not None) != shown:
        st.session_state.pop(f"shown {key}", None)
        st.rerun()
    step, left = task.step, ""
    if step is None:
        st.progress(0.0, text="Waiting for other work of this app to end" if task.state == "waiting" else "Starting")
    else:
        share = step.done / step.total if step.total else 0.0
        if step.remaining is not None and step.remaining >= 2:
            left = f" · about {duration(step.remaining)} left of this step"
        far = f": {step.done:,} of {step.total:,}" if step.total > 1 else ""
        words = step.words[:1].upper() + step.words[1:]
        st.progress(min(share, 1.0), text=plain(f"{words}{far}{left}"))
    words = "Stopping" if task.stopping else "Stop"
    st.button(words, key=f"stop {key}", icon=":material/stop:", on_click=task.stop, disabled=task.stopping)
