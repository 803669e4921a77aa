"""Request bodies that are compressed: gzip and zstd, made plain piece by piece."""

import sys
import zlib
from collections.abc import Iterator
from typing import Protocol

from models.errors import InvalidRequest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_PIECE_BYTES = 1 << 20  # that are made at once: a few bytes can become very many
_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to say so
_LARGEST_WINDOW = 23  # as a power of 2, in bytes: what RFC 9659 has senders keep to


class EncodingUnsupported(InvalidRequest):
    status_hint = 415


class Plain(Protocol):
    """Makes the chunks of one body plain."""

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what comes of a chunk, a megabyte at most at a time.

        Raises InvalidRequest: it is not what the request says.
        """
        ...

    def end(self) -> None:
        """Raises InvalidRequest: the body has ended too early."""
        ...


def plain(encoding: str) -> Plain:
    """``encoding`` is the header Content-Encoding. Raises EncodingUnsupported."""
    match encoding.strip().lower():
        case "" | "identity":
            return _Identity()
        case "gzip" | "x-gzip":
            return _Gzip()
        case "zstd":
            return _Zstd()
        case _:
            raise EncodingUnsupported(
                f"A request body encoded as {encoding[:40]!r} is not supported: "
                "send plain JSON, or gzip, or zstd."
            )


class _Identity:
    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def end(self) -> None:
        pass


class _Gzip:
    """One member after another, as RFC 1952 allows."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False  # with a member that has not ended

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            self._begun = True
            try:
                piece = self._member.decompress(chunk, _PIECE_BYTES)
            except zlib.error:
                raise _broken("gzip") from None
            chunk = self._member.unconsumed_tail
            if self._member.eof:
                chunk = self._member.unused_data
                self._member = zlib.decompressobj(_GZIP)
                self._begun = False
            yield piece

    def end(self) -> None:
        if self._begun:
            raise _broken("gzip")


class _Zstd:
    """One frame after another, as RFC 8878 allows."""

    def __init__(self) -> None:
        self._frame = _zstd_frame()
        self._begun = False

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        while chunk or not self._frame.needs_input:
            self._begun = True
            try:
                piece = self._frame.decompress(chunk, _PIECE_BYTES)
            except zstd.ZstdError:
                raise _broken("zstd") from None
            chunk = b""
            if self._frame.eof:
                chunk = self._frame.unused_data
                self._frame = _zstd_frame()
                self._begun = False
            yield piece

    def end(self) -> None:
        if self._begun:
            raise _broken("zstd")


def _zstd_frame() -> zstd.ZstdDecompressor:
    return zstd.ZstdDecompressor(
        options={zstd.DecompressionParameter.window_log_max: _LARGEST_WINDOW}
    )


def _broken(encoding: str) -> InvalidRequest:
    return InvalidRequest(f"The request body is not the {encoding} that its header says it is.")
