"""llama.cpp's own server in a process of its own: the peer of benchmarks/peers.py.

python -m benchmarks.llama_peer PATH PORT SEQUENCES CELLS
"""

# xllamacpp has no type stubs.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import sys
import threading
from importlib import import_module
from typing import Any

from models.engine.llama_process import decode_threads


def main() -> None:
    path, port, sequences, cells = sys.argv[1:]
    xllamacpp: Any = import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.verbosity = 1
    params.model.path = path
    params.n_parallel = int(sequences)
    params.n_ctx = int(cells)
    params.kv_unified = True
    params.fit_params = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = decode_threads()
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    server = xllamacpp.Server(params)
    threading.Event().wait()
    del server


if __name__ == "__main__":
    main()
