"""The child process of `enrichment.local`: `python -m enrichment.local_server GGUF THREADS CONTEXT`.

Says {"address": ...} on standard output once the model answers, then waits for its standard input to close.
The key comes in WATCHTOWER_LOCAL_KEY, which no list of processes shows.
"""

from __future__ import annotations

import json
import os
import select
import sys

ORPHAN_SECONDS = 2.0
"""How often to look whether the parent is still there, should some third process hold the pipe open."""


def main(gguf: str, threads: int, context: int) -> None:
    import xllamacpp

    parent = os.getppid()
    wanted = xllamacpp.CommonParams()
    wanted.model.path = gguf
    wanted.hostnames = ["127.0.0.1"]
    wanted.port = 0
    wanted.api_keys = [os.environ.pop("WATCHTOWER_LOCAL_KEY")]
    wanted.n_ctx = context
    wanted.n_parallel = 1
    wanted.n_gpu_layers = 0
    wanted.cache_ram_mib = 0
    wanted.cpuparams.n_threads = threads
    wanted.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(wanted)
    print(json.dumps({"address": server.listening_address}), flush=True)
    while os.getppid() == parent:
        readable, _, _ = select.select([sys.stdin], [], [], ORPHAN_SECONDS)
        if readable and not sys.stdin.read(1):
            break
    # The server's threads are in C++ and may be in the middle of a token: leave without asking them.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
