"""A tree file as a stream that HDF5 reads, in which every byte was checked before anyone sees it. See `envelope`."""

from __future__ import annotations

import hashlib
import io
import os
from bisect import bisect_right
from collections import OrderedDict
from concurrent.futures import Future
from typing import Any, Literal

from tessera.errors import StorageError
from tessera.pytree.storage.envelope import SIZE, Block, read_layout
from tessera.pytree.storage.pieces import Crew, cuts, digest, word_sums
from tessera.pytree.storage.stores import Source

Check = bool | Literal["sha256"]
_STEP = 1 << 20
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_KEPT_BLOCKS = 16


class CheckedFile(io.RawIOBase):
    """A tree file, read as a stream in which every byte was checked before anyone sees it.

    Attributes:
        version: of the format.
        size: of the file, in bytes.
        error: the first damage that was met; HDF5 hides what its reads raise.
    """

    def __init__(self, source: Source, *, verify: Check) -> None:
        """Read the table; check a file of version 1 as a whole.

        Args:
            source: the file.
            verify: check what is read; with "sha256", the pieces of large arrays as strictly as all else.

        Raises:
            StorageError: as `read_layout`.
        """
        super().__init__()
        self.error: StorageError | None = None
        self.size = source.size
        self._source, self._verify, self._place = source, verify, 0
        layout = read_layout(source)
        self.version = layout.version
        self._blocks = layout.blocks
        self._starts = [block.start for block in self._blocks]
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._seen: set[int] = set()
        if self.version == 1 and verify:
            self._check_version_1(layout.sha256)

    def check_start(self) -> None:
        """Check where HDF5 begins to read, before it does: an open that fails there can end the process at its exit.

        Raises:
            StorageError: bytes that differ from their checksum, or that are no start of an HDF5 file.
        """
        signature = bytearray(len(_SIGNATURE))
        self._copy(SIZE, memoryview(signature))
        if bytes(signature) != _SIGNATURE:
            raise StorageError(
                f"{self._source.name}: there is no HDF5 signature at byte {SIZE} ({bytes(signature)!r}); the file is "
                "damaged. Materialise it again."
            )

    # --- for HDF5: a stream -------------------------------------------------------------------------------------------

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._source.size}[whence]
        self._place = start + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        place, self._place = self._place, self._place + len(target)
        try:
            self._copy(place, target)
        except StorageError as error:
            self.error = self.error or error
            target[:] = bytes(len(target))
        return len(target)

    # --- for large arrays: pieces -------------------------------------------------------------------------------------

    def read_large(self, start: int, target: memoryview, crew: Crew) -> list[Future[None]] | None:
        """Begin to fill `target` with the bytes from `start` on, piece by piece in threads.

        Returns:
            What to wait for, `StorageError` where a piece differs from its checksum; None where blocks do not fit it.
        """
        stop = start + len(target)
        if self.version == 1:
            return [crew.start(self._source.fill, start + low, target[low:high]) for low, high in cuts(len(target))]
        first, last = bisect_right(self._starts, start) - 1, bisect_right(self._starts, stop - 1)
        blocks = self._blocks[max(first, 0) : last]
        if not blocks or blocks[0].start != start or blocks[-1].start + blocks[-1].length != stop:
            return None
        self._seen.update(range(first, last))
        pieces = [target[block.start - start : block.start - start + block.length] for block in blocks]
        exact = self._verify == "sha256"
        return [crew.start(self._fill_block, block, piece, exact) for block, piece in zip(blocks, pieces, strict=True)]

    def check_rest(self, crew: Crew) -> None:
        """Check all blocks that were not read so far."""
        if not self._verify:
            return
        rest = [block for number, block in enumerate(self._blocks) if number not in self._seen]
        crew.run(lambda block: self._fill_block(block, memoryview(bytearray(block.length))), [(b,) for b in rest])

    def _fill_block(self, block: Block, target: memoryview, exact: bool = True) -> None:
        self._source.fill(block.start, target)
        if not self._verify:
            return
        exact = exact or block.words is None
        same = digest(target) == block.sha256 if exact else word_sums(target) == block.words
        if not same:
            raise StorageError(
                f"{self._source.name}: the {block.length} bytes from {block.start} on differ from their "
                f"{'sha256' if exact else 'sums of words'}; the file was altered or damaged. Materialise it again."
            )

    def _copy(self, place: int, target: memoryview) -> None:
        if self.version == 1 or place < SIZE or not self._blocks:
            self._source.fill(place, target)
            return
        done = 0
        while done < len(target):
            number = bisect_right(self._starts, place + done) - 1
            if done and self._blocks[number].words is not None:
                # HDF5 reads a little further than an object's header, here into an array that nobody asked for
                target[done:] = bytes(len(target) - done)
                return
            content = self._block(number)
            inside = place + done - self._blocks[number].start
            part = content[inside : inside + len(target) - done]
            if not part:  # beyond the last block there is only the table, which HDF5 never needs
                target[done:] = bytes(len(target) - done)
                return
            target[done : done + len(part)] = part
            done += len(part)

    def _block(self, number: int) -> bytes:
        if number not in self._cache:
            content = bytearray(self._blocks[number].length)
            self._fill_block(self._blocks[number], memoryview(content))
            self._cache[number] = bytes(content)
            self._seen.add(number)
            if len(self._cache) > _KEPT_BLOCKS:
                self._cache.popitem(last=False)
        self._cache.move_to_end(number)
        return self._cache[number]

    def _check_version_1(self, wanted: str) -> None:
        found, content = hashlib.sha256(), memoryview(bytearray(_STEP))
        for start in range(SIZE, self.size, _STEP):
            part = content[: min(_STEP, self.size - start)]
            self._source.fill(start, part)
            found.update(part)
        if found.hexdigest() != wanted:
            raise StorageError(
                f"{self._source.name}: the contents have the sha256 {found.hexdigest()}, the first lines say {wanted}; "
                "the file was altered or damaged. Materialise it again."
            )
