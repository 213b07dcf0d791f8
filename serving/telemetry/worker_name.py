"""The name of this process, in every answer and every line of its log."""

import secrets

WORKER = secrets.token_hex(4)
