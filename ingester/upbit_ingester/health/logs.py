"""What the ingester says, on stderr: lines for people, or one JSON object a line for a log store."""

import logging
import time

import msgspec

TEXT = "text"
JSON = "json"
FORMATS = (TEXT, JSON)

_TIME = "%Y-%m-%dT%H:%M:%S"


def set_up(level: str, form: str) -> None:
    """The process logs to stderr from `level` on, in the form `text` or `json`."""
    formatter = (
        JsonLines()
        if form == JSON
        else logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", _TIME)
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("websockets").setLevel(logging.WARNING)
    logging.getLogger("librdkafka").addFilter(_is_news)


class JsonLines(logging.Formatter):
    """`time, level, logger, message`; `event` is the message without its `values`, so that equal events can be counted.

    `exception` holds a traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message contains."""
        line = {
            "time": f"{self.formatTime(record, _TIME)}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "event": str(record.msg),
            "values": list(record.args) if isinstance(record.args, tuple) else [],
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def _is_news(record: logging.LogRecord) -> bool:
    """Failed connects come a second time through the producer's error callback, which says them once a minute."""
    return "FAIL [" not in record.getMessage()
