"""Everything at once, at random: each request ends once, and nothing is left behind."""

import pytest

from benchmarks.soak import soak
from models.engine.installed import has_mlx

pytestmark = pytest.mark.skipif(not has_mlx(), reason="MLX is not installed here")


@pytest.mark.timeout(150)  # it takes half a minute where nothing else runs
def test_whatever_comes_together_ends_once_and_leaves_nothing():
    report = soak(25.0, seed=4)

    assert report.wrong == []
    assert report.unended == []
    assert report.left_running == 0
    assert report.left_children == 0
    assert report.left_threads == ()
    # It could pass by refusing everything.
    assert report.ends["Embedded"] + report.ends["Reranked"] > 0, report
    for end in ("end_of_turn", "max_tokens", "cancelled"):
        assert report.ends[f"Finished: {end}"] > 0, report
    for end in ("Loaded", "Unloaded", "Failed: InvalidRequest"):
        assert report.ends[end] > 0, report
    assert report.cached_tokens > 0
