"""GIFTI files written by hand."""

import base64
import zlib

N = 10242


def gii(data, *, encoding="GZipBase64Binary", n=N, head="", kind="NIFTI_TYPE_FLOAT32", intent="NIFTI_INTENT_NONE"):
    return (
        f'<?xml version="1.0"?>{head}<GIFTI Version="1.0" NumberOfDataArrays="1"><DataArray Intent="{intent}" DataType="{kind}" '
        f'ArrayIndexingOrder="RowMajorOrder" Dimensionality="1" Dim0="{n}" Encoding="{encoding}" Endian="LittleEndian" '
        f'ExternalFileName="/etc/passwd" ExternalFileOffset="0"><Data>{data}</Data></DataArray></GIFTI>'
    ).encode()


def packed(raw):
    return base64.b64encode(zlib.compress(raw, 9)).decode()
