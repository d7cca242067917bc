"""Property tests are judged by what they find, not by how long a busy machine takes for one example."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no_deadline", deadline=None, print_blob=True)
settings.load_profile("no_deadline")
