"""Algonauts' mapping files, pickled as the challenge ships them."""

import io
import pickle

import numpy as np

TABLE = {0: "Unknown", 1: "V1v", 2: "V1d", 300: "hV4"}


def mapping_file(content, protocol=4):
    """What np.save writes for a dict (older versions used other protocols)."""
    array = np.empty((), dtype=object)
    array[()] = content
    return object_head() + pickle.dumps(array, protocol=protocol)


def object_head():
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|O", "fortran_order": False, "shape": ()})
    return buffer.getvalue()
