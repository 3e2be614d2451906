"""Seeded random fault schedules over the whole connector, in virtual time: `python -m tests.chaos --seeds 0:1000`."""
