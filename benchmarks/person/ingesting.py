"""A process that stores events and says so, to be killed: python -m benchmarks.person.ingesting URL

For each line on its input it forks, so that the imports are paid once. The child says its process id, then each batch
that was acknowledged, in a line each; once it is dead its parent says so.
"""

import os
import sys
import threading

from serving.state import open_state
from serving.state.protocol import State, StoredEvent

WRITERS = 4
BATCH = 3
"""Events that are stored together: all of them or none."""
DEAD = "dead"


def batch_events(name: str) -> list[StoredEvent]:
    """The events of a batch; its name ends with a number, by which each user gets every tenth batch."""
    user = f"user-{int(name.rpartition('-')[2]) % 10}"
    return [StoredEvent(f"{name}/{place}", f"item-{place}", "view", 1_000 + place, user) for place in range(BATCH)]


def ingest(state: State, writer: str) -> None:
    """Store one batch after the other, and say each name once it is acknowledged; never returns."""
    number = 0
    while True:
        name = f"{writer}-{number}"
        state.append(batch_events(name))
        os.write(1, f"{name}\n".encode())
        number += 1


def main(url: str) -> None:
    """Fork for each line of the input, until it ends."""
    for run in sys.stdin:
        child = os.fork()
        if child == 0:
            os.write(1, f"{os.getpid()}\n".encode())
            state = open_state(url)
            names = [f"{run.strip()}-{number}" for number in range(WRITERS)]
            threads = [threading.Thread(target=ingest, args=(state, name)) for name in names]
            for thread in threads:
                thread.start()
            threads[0].join()
        os.waitpid(child, 0)
        os.write(1, f"{DEAD}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1])
