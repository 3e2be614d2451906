from __future__ import annotations

import gc
import io

import pytest

from connector.outside.memory_files import Kept, MemoryFiles


def test_views_of_a_file_are_read_side_by_side_and_the_last_one_closes_it() -> None:
    file = MemoryFiles().new()
    file.write(b"0123456789")
    kept = Kept(file)
    with kept.view() as first, kept.view() as second:
        assert (first.read(3), second.read(5), first.read()) == (b"012", b"01234", b"3456789")
        assert (second.seek(-2, io.SEEK_END), second.read(), second.seek(1), second.read(2)) == (8, b"89", 1, b"12")
    with kept.view() as third:
        del kept
        assert third.read() == b"0123456789"
        assert not file.closed
    del first, second, third
    gc.collect()
    assert file.closed


def test_no_file_grows_beyond_a_limit_while_it_holds_and_any_may_afterwards() -> None:
    files = MemoryFiles()
    with files.new() as file:
        with files.limited(1_000):
            file.write(b"x" * 1_001)
            with pytest.raises(OSError, match="too large"):
                file.flush()
        file.flush()
        assert file.seek(0, io.SEEK_END) == 1_001
