"""Work that falls into parts, on all cores of a processor at once."""

from concurrent.futures import ThreadPoolExecutor

import torch


def on_all_cores(call, parts, device):
    """Yield (name, call(part)) of (name, part) pairs; on a CPU in so many threads as torch has, each with one core.

    Factorisations of small matrices are slower, not faster, where one takes several cores; and where other processes are at
    work, cores that wait for each other after every small product hardly come forward.
    """
    names, threads = [name for name, _ in parts], torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield from ((name, call(part)) for name, part in parts)
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield from zip(names, pool.map(call, (part for _, part in parts)), strict=True)
    finally:
        torch.set_num_threads(threads)
