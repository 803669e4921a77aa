"""What mlx took is given back to the system."""

import platform

import psutil
import pytest

from models.engine.installed import has_mlx
from models.engine.mlx_library import free, import_library

pytestmark = pytest.mark.skipif(
    not has_mlx(), reason="MLX is not installed: pip install -e '.[mlx]'"
)

_BYTES = 64 << 10
_COUNT = 2000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what was freed")
def test_small_arrays_are_given_back_although_some_between_them_stay() -> None:
    mx = import_library().mx
    used = psutil.Process().memory_info

    arrays = [mx.full(_BYTES // 4, each, mx.float32) for each in range(_COUNT)]
    mx.eval(arrays)
    full = used().rss
    stay = arrays[:: _COUNT // 20]
    arrays.clear()
    free()

    assert full - used().rss > _COUNT * _BYTES * 0.8
    assert [each[0].item() for each in stay] == [*range(0, _COUNT, _COUNT // 20)]
