"""As in tests/spec no deadline per example; fewer examples, since each is also computed by the readable, slow way."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("busy machine", deadline=None)
settings.register_profile("beside the slow way", deadline=None, max_examples=40)
settings.load_profile("beside the slow way")
