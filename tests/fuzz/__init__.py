"""`make fuzz`: arbitrary and mutated inputs for whatever reads something that people wrote. No exception but those that
are meant, and no hang.
"""
