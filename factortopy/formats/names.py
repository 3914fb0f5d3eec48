"""Files by the names that tables give them: the same name in another Unicode form, with other spaces, case, slashes or folders."""

import re
import unicodedata
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote

from factortopy.formats.problems import close_to, look_alike, plain_spaces
from factortopy.wording import safe_label

_LONGEST = 1000  # letters of a name that are looked at
_PROPOSED = 5  # missing ones for which a similar name is looked for, which takes long


def same_text(name):
    """A name in Unicode's composed form (NFC): what is equal so is the same text."""
    return unicodedata.normalize("NFC", name)


def in_order_of_numbers(names):
    """Names sorted so that 2 stands before 10."""
    return sorted(names, key=lambda name: [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", name)])


def _spaces(name):
    return plain_spaces(same_text(name))


def _letters(name):
    """Without case and typographic variants: full-width letters, ligatures, dashes, curved quotation marks."""
    text = unicodedata.normalize("NFKC", plain_spaces(name)).casefold().translate(_QUOTES)
    text = "".join("-" if unicodedata.category(letter) == "Pd" else letter for letter in text)
    return plain_spaces(unicodedata.normalize("NFC", text))


_QUOTES = str.maketrans("‘’‚‛“”„‟", "''''\"\"\"\"")
_FORMS = ((str, ""), (same_text, ""), (_spaces, "spaces"), (_letters, "case or look-alike signs"))


@dataclass
class Matches:
    """Which file each name means.

    files : {name: file}; differing : {name: words for what differs}, of those that are not the same text
    missing : {name: words behind it}, of those that mean no file, or not one alone
    """

    files: dict = field(default_factory=dict)
    differing: dict = field(default_factory=dict)
    missing: dict = field(default_factory=dict)


class FileNames:
    """Names of files below a folder, with "/" between their parts, to look others up among.

    names : iterable of str; folder : the folder's own name, with which paths may begin
    """

    def __init__(self, names, folder=""):
        self.names, self.folder = list(names), folder

    @cached_property
    def _whole(self):
        return [_index(self.names, form) for form, _ in _FORMS]

    @cached_property
    def _without_ending(self):
        stems = {}
        for name in self.names:
            stem, dot, ending = name.rpartition(".")
            if dot and stem and "/" not in ending:
                stems.setdefault(stem, []).append(name)
        return [_index(stems, form, stems) for form, _ in _FORMS]

    def match(self, names):
        """``Matches`` of different names: a file is meant where there is exactly one reading.

        Two names that are not the same text never mean one file, unless both are written like it but for "./", the folder
        or the slashes.
        """
        out, takers = Matches(), {}
        for name in names:
            file, how = self._one(name)
            if file is None:
                out.missing[name] = how or (close_to(name, self.names) if len(out.missing) < _PROPOSED else "")
                continue
            out.files[name] = file
            if how:
                out.differing[name] = how
            takers.setdefault(file, []).append(name)
        for file, several in takers.items():
            unsure = [name for name in several if name in out.differing]
            if unsure and len({same_text(name) for name in several}) > 1:
                for name in unsure:
                    other = next(one for one in several if same_text(one) != same_text(name))
                    del out.files[name], out.differing[name]
                    words = f"{safe_label(other)!r}{look_alike(name, other)}"
                    out.missing[name] = f" (only {safe_label(file)!r} is like it, which {words} stands for)"
        return out

    def _one(self, name):
        """(file, words for what differs), or (None, words for why not)."""
        if not name.strip() or len(name) > _LONGEST:
            return None, "" if name.strip() else " (an empty cell)"
        for how, text in _readings(name, self.folder):
            for indices in (self._whole, self._without_ending):
                for (form, differs), index in zip(_FORMS, indices, strict=True):
                    files = index.get(form(text), ())
                    if len(files) == 1:
                        words = [how, differs, "no ending" if indices is self._without_ending else ""]
                        return files[0], ", ".join(word for word in words if word)
                    if files:
                        both = f"{safe_label(files[0])!r} or {safe_label(files[1])!r}"
                        return None, f" (is it {both}?{look_alike(*files[:2])})"
        return None, ""


def _index(names, form, of=None):
    """{form(name): its files, of different text each}"""
    out = {}
    for name in names:
        out.setdefault(form(name), []).extend([name] if of is None else of[name])
    return out


def _readings(name, folder):
    """(words for what differs, text) of the ways to read a name: as it stands, as a path, as an address, its last parts."""
    yield "", name
    for how, text in (("", name), ("", name.strip("\"'")), ("an escaped address", unquote(name.strip("\"'")))):
        parts = [part for part in text.replace("\\", "/").split("/") if part.strip() not in ("", ".")]
        if folder and len(parts) > 1 and same_text(parts[0]) == same_text(folder):
            parts = parts[1:]
        if not parts:
            continue
        yield how, "/".join(parts)
        for k in range(1, min(len(parts), 40)):
            yield how or "a path elsewhere", "/".join(parts[k:])
