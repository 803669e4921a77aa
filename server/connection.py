"""One connection, given up with the client that has gone."""

from hypercorn.asyncio import run
from hypercorn.asyncio.tcp_server import TCPServer


class Connection(TCPServer):
    """Hypercorn's, which would keep the socket of a client that has closed it open.

    Hypercorn 0.18 waits for as long as an idle connection may last, 75 s with us; some hundred
    requests with a connection each, and no file could be opened any more.
    """

    _gone = False

    async def _read_data(self) -> None:
        """Return when there is nothing more to read."""
        await super()._read_data()
        self._gone = True
        await self.idle_task.stop()

    async def _idle_timeout(self) -> None:
        if not self._gone:  # an answer may end behind its client
            await super()._idle_timeout()


def end_with_clients() -> None:
    """Have Hypercorn make its connections so. Harmless twice."""
    run.TCPServer = Connection  # pyright: ignore[reportPrivateImportUsage]  # no way in is public
