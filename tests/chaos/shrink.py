"""Finds the shortest schedule that still fails: a failing one, less all happenings that it fails without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrunk(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """A part of `items`, in order, that `fails` and of which no single item can be left out.

    By halves first (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input").
    """
    left = list(items)
    size = max(1, len(left) // 2)
    while True:
        start, removed = 0, False
        while start < len(left):
            fewer = left[:start] + left[start + size :]
            if fails(fewer):
                left, removed = fewer, True
            else:
                start += size
        if size == 1 and not removed:
            return left
        size = max(1, size // 2)
