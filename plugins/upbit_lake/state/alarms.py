"""Alarms: one row an incident. An alarm is opened once, stays open while the incident lasts, and is closed once."""

from __future__ import annotations

import logging

from upbit_lake.engines.postgres import Database, Row

log = logging.getLogger(__name__)


def open_alarm(db: Database, subject: str, text: str) -> bool:
    """Open an alarm for `subject` unless one is open; True (and an ERROR in the log) when it is a new incident."""
    new = bool(db.query("alarms/open", {"subject": subject, "text": text}))
    if new:
        log.error("ALARM %s: %s", subject, text)
    return new


def close_alarm(db: Database, subject: str) -> bool:
    """Close the open alarm of `subject`; True when there was one."""
    closed = bool(db.query("alarms/close", {"subject": subject}))
    if closed:
        log.info("alarm closed: %s", subject)
    return closed


def settle(db: Database, subject: str, problem: str | None) -> None:
    """Open the alarm of `subject` while there is a `problem`, close it when there is none."""
    if problem:
        open_alarm(db, subject, problem)
    else:
        close_alarm(db, subject)


def open_alarms(db: Database) -> list[Row]:
    """The open alarms, oldest first: subject, text, opened_at."""
    return db.query("alarms/still_open")
