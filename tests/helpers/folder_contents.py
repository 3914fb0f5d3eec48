"""What lies in a folder, to compare it with what lay there before."""


def contents(folder):
    """{file: when it was changed} of a folder; the lock is the process's own."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*") if path.is_file() and path.name != "lock"
    }  # fmt: skip
