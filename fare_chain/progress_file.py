"""An audit's progress on disk, so that a long one can be interrupted and goes on."""

import os
import time
from collections.abc import Callable
from pathlib import Path

SAVE_EVERY_S = 10.0


class ProgressFile:
    """One file that is whole at every moment, or none."""

    def __init__(self, path: Path | None) -> None:
        """Keep progress here; nowhere where no path is given."""
        self.path = path
        self._saved_at = time.monotonic()

    def read(self) -> bytes:
        """What was saved last; nothing before the first time."""
        return self.path.read_bytes() if self.path is not None and self.path.is_file() else b""

    def save(self, write_down: Callable[[], bytes]) -> None:
        """Save where the last time is SAVE_EVERY_S ago. Died on the way: the file is still the one before."""
        if self.path is None or time.monotonic() - self._saved_at < SAVE_EVERY_S:
            return
        partial = self.path.with_name(f"{self.path.name}.partial")
        with partial.open("wb") as file:
            file.write(write_down())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)
        self._saved_at = time.monotonic()
