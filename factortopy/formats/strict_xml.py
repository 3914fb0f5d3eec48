"""XML of brain files, read strictly: no entities, nothing outside the file, no deep nesting, numbers no more than announced."""

import re
from itertools import islice
from xml.parsers import expat

import numpy as np

from factortopy.formats.problems import stop

_DEEPEST = 16


class Refused(Exception):
    """Why a document is not read. Arguments: what was expected, what was there, the remedy."""


class Document:
    """A document that is read element by element; a subclass takes what it needs.

    kind : str, what the format is called in errors; root : str, the outermost element; instead : str, the remedy for another
    path : list of str, the elements that are open, the innermost last
    """

    kind = root = ""
    instead = "choose another file"

    def __init__(self):
        self.path, self._text = [], []

    def opened(self, tag, attributes):
        """An element begins; ``path`` ends with its parent. May raise Refused."""

    def closed(self, tag, text):
        """An element ends; ``path`` ends with its parent. ``text`` follows its last child. May raise Refused."""

    def read(self, data, name):
        """Parse all of ``data``.

        Raises
        ------
        InputError
            For damaged XML, another root, entities (which could take memory without end or name other files), nesting
            deeper than 16, and where the subclass refuses: one line that begins with ``name``.
        """
        parser = expat.ParserCreate()
        parser.buffer_text, parser.buffer_size = True, 2**16
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._text.append
        parser.EntityDeclHandler = parser.SkippedEntityHandler = self._entity
        try:
            parser.Parse(data, True)
        except Refused as error:
            raise stop(name, *error.args) from None
        except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: an encoding that Python lacks
            raise stop(name, f"a whole {self.kind} file", f"damaged XML ({error})", "copy it again") from None

    def _entity(self, *_):
        raise Refused(f"plain {self.kind}", "a file that declares XML entities", "it was refused for safety")

    def _start(self, tag, attributes):
        if not self.path and tag != self.root:
            raise Refused(self.kind, f"XML of another kind ({tag[:30]})", self.instead)
        if len(self.path) == _DEEPEST:
            raise Refused(self.kind, f"XML nested more than {_DEEPEST} deep", "save it again")
        self._text.clear()
        self.opened(tag, attributes)
        self.path.append(tag)

    def _end(self, tag):
        self.path.pop()
        text = "".join(self._text)
        self._text.clear()
        self.closed(tag, text)


def numbers(text, most, kind=float):
    """(k,) float64, or int64 with ``kind`` int, of numbers between white space, the first ``most`` + 1 of them.

    One too many shows, and memory for more is not taken. ValueError or OverflowError for other words.
    """
    if not text.isascii() or "_" in text:  # Python reads 1_0 and Arabic digits; the formats know neither
        raise ValueError
    words = islice(re.finditer(r"\S+", text), most + 1)
    return np.fromiter((kind(word[0]) for word in words), np.float64 if kind is float else np.int64)
