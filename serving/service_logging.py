"""BentoML's logging in our form: it configures each of its processes from one dictionary, which is changed here.

BentoML has no setting for the form of its lines. Its processes read the dictionary when they start, and the one that
starts the workers reads it again later: so it is changed in place, and put into force at once.
"""

import logging
import logging.config

from bentoml._internal.log import SERVER_LOGGING_CONFIG

from serving.telemetry.logs import logging_as
from serving.telemetry.settings import LoggingConfig


def log_as(config: LoggingConfig) -> None:
    """Write every line of this process as configured, from now on."""
    if config == LoggingConfig():
        return
    SERVER_LOGGING_CONFIG.update(logging_as(config, SERVER_LOGGING_CONFIG))
    logging.config.dictConfig({**SERVER_LOGGING_CONFIG, "disable_existing_loggers": False})
    logging.captureWarnings(config.format == "json")
