"""A server in a process of its own: ``python -m tests.server.served HOME``.

It says which port it has, and ends when its input does.
"""

import sys
from pathlib import Path

from models import builtin
from models.store import Store
from server.app import create_app
from server.listener import ApiServer
from tests.fakes import RecordedEngines
from tests.server.conftest import HOST


def main() -> None:
    store = Store(Path(sys.argv[1]), builtin.FOLDER)
    server = ApiServer(lambda: create_app(RecordedEngines(), store, host=HOST), HOST, [0])
    server.start()
    print(server.ports[0], flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
