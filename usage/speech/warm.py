"""Starts the engine of the default voice with the web process, so that the first customer does not
wait until its model is loaded.
"""

from __future__ import annotations

import logging
import threading

from usage.engines import EngineClosed, EngineFailed, engine, remote

from .voices import DEFAULT

logger = logging.getLogger(__name__)


def begin() -> threading.Thread:
    """Start the engine's helpers in a thread, which is returned. A failure is logged: the site goes
    on, and the first text tries again.
    """
    thread = threading.Thread(target=_start, name="warm", daemon=True)
    thread.start()
    return thread


def _start() -> None:
    remote.offered()  # begins to ask speech servers for their voices
    try:
        engine(DEFAULT.engine).warm()
    except EngineClosed:
        logger.info("The process ends before the engine %s has started", DEFAULT.engine)
    except EngineFailed as error:
        logger.error("The engine %s does not start yet: %s", DEFAULT.engine, error)
