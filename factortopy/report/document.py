"""The report's page: sections of figures, tables and sentences, collected, escaped and written as one file."""

import base64
import csv
import html
import io
import re
from pathlib import Path

import numpy as np

from factortopy.errors import InputError, unexpected
from factortopy.report.evidence import Evidence
from factortopy.storage.files import read_json, write_atomic, write_json
from factortopy.storage.machine import explain_os_error
from factortopy.storage.names import file_stem

DPI = 110
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # nothing runs in the page, whatever is in it
MARK = "report.json"  # tells a report's folder, finished or not, from others
STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


class Document:
    """A report that grows section by section.

    out : folder for report.html and figures/; simulated : whether every figure says so
    """

    def __init__(self, out, title, subtitle="", simulated=False, say=None):
        self.out, self.title, self.subtitle, self.simulated = Path(out), title, subtitle, simulated
        self.say = say or (lambda line: None)
        self.parts, self.contents, self.figures = [], [], {}
        self.evidence = Evidence()  # what the sections measured, for the checklist at the end
        self.missing = []  # (why, words) of what could not be shown, for the list after it
        try:
            (self.out / "figures").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_os_error(error, self.out) from None

    def section(self, title, *sentences):
        """Begin a section."""
        number = len(self.contents) + 1
        self.contents.append((f"s{number}", title))
        self.parts.append(f'<h2 id="s{number}">{number}. {text(title)}</h2>')
        self.sentences(*sentences)

    def sentences(self, *lines):
        """Paragraphs of plain text."""
        self.parts += [f"<p>{text(line)}</p>" for line in lines if line]

    def note(self, line, why=None, short=None):
        """A sentence that says what is missing; with ``why`` (``missing.Missing.why``) it is listed at the end too, as ``short``."""
        self.parts.append(f'<p class="note">{text(line)}</p>')
        if why is not None:
            self.missing.append((why, short or line))

    def figure(self, name, title, figure, rows, shows, paper=""):
        """A figure, kept as PNG, SVG and CSV.

        Parameters
        ----------
        name : str
            Its file names, letters and dashes.
        figure : matplotlib Figure
        rows : list of dict, or list of (word, list of dict)
            The numbers behind it.
        shows : str
            One sentence, computed from these numbers.
        paper : str
            Figure or table of the paper.
        """
        stem = self._stem(name)
        pixels, drawing = io.BytesIO(), io.BytesIO()
        figure.savefig(pixels, format="png", dpi=DPI)
        figure.set_layout_engine("none")  # everything has its place now; the drawing need not look for it again
        figure.savefig(drawing, format="svg", metadata={"Date": None})
        self._write(f"{stem}.png", pixels.getvalue())
        self._write(f"{stem}.svg", drawing.getvalue())
        links = [(f"{stem}.png", "PNG"), (f"{stem}.svg", "SVG"), *self._tables(stem, rows)]
        kind, data = _inline(pixels)
        image = f'<img alt="{text(title)}: {text(shows)}" src="data:image/{kind};base64,{data}">'
        self._shown(name, stem, title, paper, image, shows, links)

    def table(self, name, title, rows, shows, paper="", decimals=3, best=None):
        """A table, kept as CSV. ``best`` "max" or "min" sets the best of each row's networks in bold."""
        stem = self._stem(name)
        links = self._tables(stem, rows)
        self._shown(name, stem, title, paper, f'<div class="wide">{_table(rows, decimals, best)}</div>', shows, links)

    def keep(self, name, rows):
        """A table as CSV, with a link to it; the caller shows it."""
        self.parts.append(f'<p class="paper">{_links(self._tables(self._stem(name), rows))}</p>')

    def raw(self, markup):
        """Markup that the caller has escaped."""
        self.parts.append(markup)

    def link(self, name):
        """Markup of links to the figures of that name, one for each network where they have their own; "" where none was drawn."""
        names = [name] if name in self.figures else [key for key in self.figures if key.startswith(f"{name}-")]
        return ", ".join(f'<a href="#{stem}">{text(title)}</a>' for stem, title in map(self.figures.get, names))

    def write(self):
        """Write report.html; its path."""
        badge = '<span class="simulated">simulated</span>' if self.simulated else ""
        listed = "".join(f'<li><a href="#{anchor}">{text(title)}</a></li>' for anchor, title in self.contents)
        page = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{text(self.title)}</title>'
            f"<style>{STYLE}</style></head><body><main><header><h1>{text(self.title)} {badge}</h1>"
            f"<p>{text(self.subtitle)}</p></header><nav><ol>{listed}</ol></nav>{''.join(self.parts)}</main></body></html>\n"
        )
        self._write("../report.html", page)
        return self.out / "report.html"

    # ----

    def _shown(self, name, stem, title, paper, content, shows, links):
        mark = ' <span class="simulated">simulated</span>' if self.simulated else ""
        heading = f"<h3>{text(title)}{mark}</h3>" + (f'<p class="paper">{text(paper)}</p>' if paper else "")
        caption = f"<figcaption>{text(shows)} {_links(links)}</figcaption>"
        self.parts.append(f'<figure id="{stem}">{heading}{content}{caption}</figure>')
        self.figures[name] = (stem, title)
        self.say(title)

    def _stem(self, name):
        stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "figure"
        return f"{stem}-simulated" if self.simulated else stem

    def _tables(self, stem, rows):
        named = [("", rows)] if not rows or isinstance(rows[0], dict) else rows
        links = []
        for word, table in named:
            file = f"{stem}{'-' + word if word else ''}.csv"
            self._write(file, as_csv([{"simulated": self.simulated, **row} for row in table]))
            links.append((file, f"CSV{': ' + word if word else ''}"))
        return links

    def _write(self, name, data):
        path = (self.out / "figures" / name).resolve()
        try:
            write_atomic(path, data)
        except OSError as error:
            raise explain_os_error(error, path) from None


def begin(out):
    """Make a report's folder, or go on in an earlier one's.

    Raises
    ------
    InputError
        When other files lie there, or it cannot be written.
    """
    out = Path(out)
    try:
        names = sorted(p.name for p in out.iterdir() if not p.name.startswith(".")) if out.exists() else []
        if names and not _earlier(out):
            expected = "a new or empty folder or an earlier report's"
            actual = f"other files ({', '.join(names[:2])}{', …' if len(names) > 2 else ''})"
            raise unexpected(out, expected, actual, "choose another folder for the report")
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / MARK, {"schema": 1, "kind": "report"})
    except OSError as error:
        raise explain_os_error(error, out) from None


def _earlier(out):
    """True for a folder that a report was begun in; those written before there was a mark have all their parts."""
    if (out / MARK).is_file():
        return read_json(out / MARK, "report").get("kind") == "report"
    return (out / "report.html").is_file() and (out / "figures").is_dir() and (out / "maps").is_dir()


def _inline(png):
    """("webp" or "png", base64) of a figure for the page: the smaller one; the exact PNG lies beside it."""
    from PIL import Image

    webp = io.BytesIO()
    Image.open(png).convert("RGB").save(webp, "WEBP", quality=92, method=2)
    kind, data = min((("webp", webp.getvalue()), ("png", png.getvalue())), key=lambda pair: len(pair[1]))
    return kind, base64.b64encode(data).decode()


def text(value):
    """Escaped for HTML, quotation marks too."""
    return html.escape(str(value), quote=True)


def safe_name(name):
    """A network's name as part of a file's: letters, digits and dashes."""
    return file_stem(name, 80, otherwise="network", also="")


def vertex_rows(encoder, values):
    """One row a vertex of an encoder: hemisphere, vertex, then ``values`` {column: (N,)}."""
    side = np.where(encoder.hemi == 0, "left", "right")
    columns = {"hemisphere": side, "vertex": encoder.vertex, **values}
    return [dict(zip(columns, line, strict=True)) for line in zip(*(c.tolist() for c in columns.values()), strict=True)]


def as_csv(rows):
    """Rows as CSV text; columns in the order of their first appearance, empty where there is no number."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if _missing(row.get(key)) else _plain(row[key]) for key in columns])
    return file.getvalue()


def number(value, decimals=3):
    """A number for people; a dash where there is none."""
    if _missing(value):
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, (float, np.floating)):
        return f"{value:.{decimals}f}".replace("-", "−")
    return str(value)


def _plain(value):
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, str) and value[:1] in "=+-@":
        return f"'{value}"  # a spreadsheet would take it for a formula
    return f"{value:.6g}" if isinstance(value, float) else value


def _missing(value):
    return value is None or (isinstance(value, (float, np.floating)) and not np.isfinite(value))


def _table(rows, decimals, best):
    if not rows:
        raise InputError("report: expected rows for a table, found none")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f"<th>{text(column)}</th>" for column in columns)
    body = []
    for row in rows:
        top, cells = _best(row, best), []
        for column in columns:
            word = text(number(row.get(column), decimals))
            kind = "" if isinstance(row.get(column), str) else ' class="n"'
            cells.append(f"<td{kind}>{f'<b>{word}</b>' if column in top else word}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _best(row, best):
    """Columns that hold the best of a row; ``best`` ("max" or "min", the columns)."""
    if not best:
        return ()
    rule, columns = best
    values = {c: row[c] for c in columns if not _missing(row.get(c))}
    if len(values) < 2:
        return ()
    top = (max if rule == "max" else min)(values.values())
    return [c for c, v in values.items() if v == top]


def _links(links):
    return f'<span class="files">{" · ".join(f"""<a href="figures/{text(file)}">{text(word)}</a>""" for file, word in links)}</span>'
