"""Tensors in, tensors out: tasks, local training, the update codec, assessment and the bit-exact outer step.

Knows neither chain nor store. Floats become protocol integers in :mod:`.assess`, :mod:`.signature` and
:mod:`.fingerprints` only.
"""
