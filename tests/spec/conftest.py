"""Examples are many and quick, machines are sometimes busy: no deadline per example."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")
