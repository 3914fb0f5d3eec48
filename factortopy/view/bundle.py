"""The browser's side of the view as one script: a page asks once instead of once for each of twenty modules.

``assets/*.js`` are plain ES modules, each read on its own; here they are put one after the other, every module in a
function of its own that returns what it exports. They import each other by name only, on one line (``import … from
"./name.js";``), export where they declare, and in no circle; anything else is refused here.
"""

import re
from functools import cache

from factortopy.view.geometry import ASSETS

ENTRY = "brain.js"
_IMPORT = re.compile(r"""^import (?:\{([^}]*)\}|\* as (\w+)) from "\./([\w.-]+\.js)";$""", re.MULTILINE)
_EXPORT = re.compile(r"^export (default )?((?:async )?function|class|const) (\w+)", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


@cache
def script():
    """Text of one module whose default export is the component."""
    parts = [_wrapped(name) for name in _ordered(ENTRY)]
    return "const modules = {};\n" + "".join(parts) + f'export default modules["{ENTRY}"].default;\n'


def _ordered(name, above=()):
    """Names of a module and of all that it imports, each after what it imports."""
    if name in above:
        raise ValueError(f"{name}: imports itself by way of {', '.join(above)}")
    others = [module for _, _, module in _IMPORT.findall(_source(name))]
    return list(dict.fromkeys([*(each for other in others for each in _ordered(other, (*above, name))), name]))


def _source(name):
    return (ASSETS / name).read_text(encoding="utf-8")


def _wrapped(name):
    exported = []

    def declaration(match):
        default, kind, identifier = match.groups()
        exported.append(f"default: {identifier}" if default else identifier)
        return f"{kind} {identifier}"

    def import_of(match):
        names, whole, module = match.groups()
        taken = f"{{{names.replace(' as ', ': ')}}}" if names else whole
        return f'const {taken} = modules["{module}"];'

    body = _EXPORT.sub(declaration, _IMPORT.sub(import_of, _source(name)))
    if left := _LEFT.search(body):
        raise ValueError(f"{name}: cannot be put into one script with the others: {left[0]}")
    return f'// {name}\nmodules["{name}"] = (() => {{\n{body}return {{ {", ".join(exported)} }};\n}})();\n'
