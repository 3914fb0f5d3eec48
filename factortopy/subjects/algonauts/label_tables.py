"""Reading the pickled {number: name} tables of Algonauts 2023 without unpickling.

``mapping_<class>.npy`` is a 0-dimensional object array that holds one dict, written by ``np.save``: a pickle. A small
interpreter walks through its opcodes and knows numbers, strings, bytes, tuples, lists and dicts of numbers to strings
alone. The three functions that NumPy needs to build the array are recognised by name and never called; any other name
is refused. So nothing in the file can run, ask for much memory, or take long.
"""

import pickletools
from pathlib import Path

from factortopy.formats.files import size_of
from factortopy.formats.npy import FILE, read_header
from factortopy.formats.problems import stop
from factortopy.wording import safe_label

MAX_BYTES = 64 * 1024  # the real ones have 300 to 600 bytes
MAX_NAME = 60
_ARRAY = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _Refused(Exception):
    """The pickle holds something other than a table."""


class _Opaque:
    """Stands for an array, a dtype or bytes that are being built; ``state`` is what BUILD gave it."""

    state = None


class _Mark:
    pass


def safe_mapping(path):
    """{number: name} from an Algonauts mapping file.

    Returns
    -------
    dict of int to str
        Names are one line of at most 60 letters.

    Raises
    ------
    InputError
        When the file is missing, damaged, or holds anything but a table: then it was not run.
    """
    path = Path(path)
    size = size_of(path, FILE)
    shape, _, dtype, offset = read_header(path)
    if not dtype.hasobject or dtype.kind != "O" or shape != ():
        raise stop(path, "a table of region names", f"an array of {dtype.name}", "copy the file of the data set")
    if size > MAX_BYTES:
        raise stop(path, f"a table of at most {MAX_BYTES // 1024} kB", f"{size:,} bytes", "copy the data set's own")
    try:
        table = _interpret(path.read_bytes()[offset:])
    except _Refused as error:
        actual = f"a pickled file with something else in it ({error})"
        remedy = "it was refused for safety and not opened: copy the file of the data set"
        raise stop(path, "a table of region numbers and names", actual, remedy) from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, UnicodeError, OverflowError) as error:
        actual = f"a damaged file ({type(error).__name__})"
        raise stop(path, "a table of region names", actual, "copy or download it again") from None
    return {number: safe_label(name.replace("/", "∕"), MAX_NAME) for number, name in table.items()}


def _interpret(data):
    """The dict in a pickled 0-dimensional object array."""
    stack, memo = [], {}
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name == "STOP":
            break
        if name in ("PROTO", "FRAME"):
            continue
        if name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _LITERALS:
            stack.append(argument)
        elif name in _STEPS:
            _STEPS[name](stack, argument)
        else:
            raise _Refused(f"instruction {name}")
    return _table_of(stack.pop())


def _table_of(array):
    state = array.state if isinstance(array, _Opaque) else None
    if not (isinstance(state, tuple) and len(state) == 5 and state[1] == () and isinstance(state[4], list)):
        raise _Refused("no single table")
    if len(state[4]) != 1 or type(state[4][0]) is not dict:
        raise _Refused("no single table")
    return state[4][0]


def _stand_in(module, name):
    # Types first: hashing or printing a deeply nested tuple could take for ever.
    if type(module) is not str or type(name) is not str:
        raise _Refused("a function without a name")
    if (module, name) not in _ARRAY:
        raise _Refused(safe_label(f"the function {module}.{name}"))
    return _Opaque


def _stack_global(stack, _):
    name, module = stack.pop(), stack.pop()
    stack.append(_stand_in(module, name))


def _reduce(stack, _):
    arguments, function = stack.pop(), stack.pop()
    if function is not _Opaque or not isinstance(arguments, tuple):
        raise _Refused("a call")
    stack.append(_Opaque())


def _build(stack, _):
    state = stack.pop()
    if not isinstance(stack[-1], _Opaque):
        raise _Refused("an object with a state")
    stack[-1].state = state


def _since_mark(stack):
    items = []
    while True:
        item = stack.pop()
        if item is _Mark:
            return items[::-1]
        items.append(item)


def _fill(stack, items):
    table = stack[-1]
    if type(table) is not dict or len(items) % 2:
        raise _Refused("no table")
    for number, name in zip(items[::2], items[1::2], strict=True):
        # Checked before it is stored: hashing a deeply nested key could take for ever.
        if type(number) is not int or type(name) is not str:
            raise _Refused("entries other than number and name")
        table[number] = name


def _set_item(stack, _):
    name, number = stack.pop(), stack.pop()
    _fill(stack, [number, name])


def _new_dict(stack, _):
    items = _since_mark(stack)
    stack.append({})
    _fill(stack, items)


def _extend(stack, items):
    if type(stack[-1]) is not list:
        raise _Refused("no list")
    stack[-1].extend(items)


def _take(count):
    def step(stack, _):
        items = tuple(stack[-count:])
        if len(items) != count:
            raise IndexError
        del stack[-count:]
        stack.append(items)

    return step


_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4",
    "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "STRING", "SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8",
}  # fmt: skip
_STEPS = {
    "MARK": lambda stack, _: stack.append(_Mark),
    "NONE": lambda stack, _: stack.append(None),
    "NEWTRUE": lambda stack, _: stack.append(True),
    "NEWFALSE": lambda stack, _: stack.append(False),
    "EMPTY_TUPLE": lambda stack, _: stack.append(()),
    "EMPTY_LIST": lambda stack, _: stack.append([]),
    "EMPTY_DICT": lambda stack, _: stack.append({}),
    "TUPLE": lambda stack, _: stack.append(tuple(_since_mark(stack))),
    "TUPLE1": _take(1),
    "TUPLE2": _take(2),
    "TUPLE3": _take(3),
    "LIST": lambda stack, _: stack.append(_since_mark(stack)),
    "APPEND": lambda stack, _: _extend(stack, [stack.pop()]),
    "APPENDS": lambda stack, _: _extend(stack, _since_mark(stack)),
    "SETITEM": _set_item,
    "SETITEMS": lambda stack, _: _fill(stack, _since_mark(stack)),
    "DICT": _new_dict,
    "GLOBAL": lambda stack, argument: stack.append(_stand_in(*argument.split(" ", 1))),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "BUILD": _build,
}
