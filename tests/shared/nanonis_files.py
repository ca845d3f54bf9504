"""Nanonis files written on the spot."""

import numpy as np

CHANNELS = (("Z", "m", "both"), ("Current", "A", "both"))


def write_sxm(path, planes, *, channels=CHANNELS, extra=(), order=">f4", data=None, **changes):
    """Write planes ``(plane, row, column)`` in recorded order; None takes an entry out."""
    rows, columns = np.shape(planes)[1:]
    info = "\tChannel\tName\tUnit\tDirection\tCalibration\tOffset\n" + "".join(
        f"\t{number}\t{name}\t{unit}\t{direction}\t9.000E-9\t1.000E+0\n"
        for number, (name, unit, direction) in enumerate(channels)
    )
    entries = {
        "NANONIS_VERSION": "2",
        "SCANIT_TYPE": "              FLOAT            MSBFIRST",
        "SCAN_PIXELS": f"       {columns}       {rows}",
        "SCAN_RANGE": "           1.000000E-8           9.000000E-9",
        "SCAN_OFFSET": "             4.709271E-7         -5.657749E-8",
        "SCAN_ANGLE": "            1.351E+2",
        "SCAN_DIR": "down",
        "BIAS": "            -5.000E-2",
        "Z-CONTROLLER": "\tName\ton\tSetpoint\tP-gain\tI-gain\tT-const\n"
        "\tlog Current\t1\t3.000E-11 A\t1.150E-12 m\t1.000E-8 m/s\t1.150E-4 s",
        "COMMENT": "first line\nsecond: line",
        "DATA_INFO": info,
    }
    entries |= dict(extra) | {key.replace("__", "-"): value for key, value in changes.items()}
    text = "".join(f":{key}:\n{value}\n" for key, value in entries.items() if value is not None)
    body = np.asarray(planes).astype(order).tobytes() if data is None else data
    path.write_bytes(text.encode("latin-1") + b"\n:SCANIT_END:\n\n\n\x1a\x04" + body)
    return path
