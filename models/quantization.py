"""The quantisation that a weight file's name tells."""

import re
from pathlib import PurePosixPath

_QUANTIZATION = re.compile(
    r"(?<![A-Za-z0-9])"
    r"((?:UD-)?(?:I?Q[1-8](?:_[A-Z0-9]+)*|TQ[12]_0|MXFP4(?:_[A-Z]+)?|NVFP4|BF16|F16|F32|FP16|FP32))"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
SHARD = re.compile(r"-(\d{5})-of-\d{5}$")


def quantization(path: str) -> str:
    """Return the quantisation that a file's name tells; the bare name where it tells none."""
    stem = SHARD.sub("", PurePosixPath(path).stem)
    found = _QUANTIZATION.findall(stem) or _QUANTIZATION.findall(str(PurePosixPath(path).parent))
    return str(found[-1]).upper() if found else stem
