"""What programs keep by the API, for as long as this one runs: where there is no home for it."""

from models.records.conversations import Conversations
from models.records.database import open_in_memory
from models.records.responses import Responses
from models.records.thread import DatabaseThread


class PassingRecords:
    def __init__(self) -> None:
        self._thread = DatabaseThread(open_in_memory)
        self.responses = Responses(self._thread.do)
        self.conversations = Conversations(self._thread.do)

    def close(self) -> None:
        self._thread.close()
