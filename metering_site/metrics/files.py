"""What processes that ended have counted.

prometheus-client gives each process files of its own, of which a scrape adds up all. Those of the dead are added to
one file: without them a counter would fall, which Prometheus takes for a new beginning.
"""

import struct
from contextlib import suppress
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

from metering_site.metrics.folder import is_alive

_OF_THE_DEAD = "dead"


def gather_dead(folder: Path) -> None:
    """Add the counts of processes that ended to one file, and remove theirs; what they were doing is over.

    To be called with the folder held.
    """
    for path in folder.glob("*.db"):
        kind, _, pid = path.stem.rpartition("_")
        if not pid.isdigit() or is_alive(int(pid)):
            continue
        if not kind.startswith("gauge"):
            # Whoever was killed while making its file left an empty one.
            with suppress(struct.error):
                _add(path, folder / f"{kind}_{_OF_THE_DEAD}.db")
        path.unlink()


def _add(source: Path, target: Path) -> None:
    total = MmapedDict(str(target))  # type: ignore[no-untyped-call]  # prometheus-client's
    try:
        for key, value, *_ in MmapedDict.read_all_values_from_file(str(source)):  # type: ignore[no-untyped-call]  # as above
            total.write_value(key, total.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]  # as above
    finally:
        total.close()  # type: ignore[no-untyped-call]  # as above
