"""`make fuzz`: arbitrary and mutated inputs for whatever reads something that people wrote. No exception but those that
are meant, and no hang. `make fuzz-ticks`: the same for whole ticks, and a healthy feed beside the poison comes home.
"""
