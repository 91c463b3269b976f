"""One Kafka record on its way: what is spooled, and how it stands in a segment file.

On disk a record is `length (u32) · crc32 of the body (u32) · body`, little-endian; the body is a MessagePack array
`[key, headers, value]`, headers being `[name, value]` pairs. The format is described in ingester/README.md.
"""

import struct
import zlib
from collections.abc import Iterator

import msgspec

HEAD = struct.Struct("<II")
MAX_BODY_BYTES = 16 * 1024 * 1024  # above any frame the socket accepts: a longer length is a torn or foreign byte

Headers = tuple[tuple[str, bytes], ...]


class Record(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Key, headers and value of one Kafka record."""

    key: bytes
    headers: Headers
    value: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


def encode(record: Record) -> bytes:
    """The bytes of `record` in a segment file."""
    body = _encoder.encode(record)
    return HEAD.pack(len(body), zlib.crc32(body)) + body


def decode_all(data: bytes, start: int = 0) -> Iterator[tuple[Record, int]]:
    """Each whole record of `data` from offset `start`, with the offset behind it.

    Ends before the first record that is torn or damaged, whichever byte is missing or wrong.
    """
    offset = start
    while offset + HEAD.size <= len(data):
        length, crc = HEAD.unpack_from(data, offset)
        end = offset + HEAD.size + length
        if length > MAX_BODY_BYTES or end > len(data):
            return
        body = data[offset + HEAD.size : end]
        if zlib.crc32(body) != crc:
            return
        try:
            record = _decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        yield record, end
        offset = end


_BODY_START = b"\x93\xc4"  # an array of three, the first being a key of less than 256 bytes


def salvage(data: bytes) -> Iterator[Record]:
    """Every whole record in `data`, whatever stands between them."""
    place = data.find(_BODY_START)
    while place >= 0:
        end = place
        for record, after in decode_all(data, max(0, place - HEAD.size)):
            end = after
            yield record
        place = data.find(_BODY_START, max(end, place + 1))


def is_torn(rest: bytes) -> bool:
    """True when `rest` is what a killed write leaves: the beginning of one record, and nothing readable behind it."""
    if len(rest) >= HEAD.size:
        length, _ = HEAD.unpack_from(rest)
        if length > MAX_BODY_BYTES or HEAD.size + length <= len(rest):
            return False
    return next(salvage(rest), None) is None
