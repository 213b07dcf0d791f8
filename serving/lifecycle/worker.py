"""One worker's inside: the desk that answers now, and the threads that keep it fresh."""

from collections.abc import Sequence

from features.errors import StateError
from serving.access.guard import Guard
from serving.api.replies import CompanionReply, ReadyReply, RefusedReply
from serving.desk.desk import Desk
from serving.items.merging import MergeStarter
from serving.lifecycle.companions import Refusal
from serving.lifecycle.live import Live
from serving.lifecycle.repeating import Repeating
from serving.lifecycle.swap import RegistryWatcher
from serving.remote.following import Follower


class Worker:
    """What stands behind the door."""

    def __init__(
        self,
        live: Live,
        guard: Guard,
        threads: Sequence[Repeating] = (),
        watcher: RegistryWatcher | None = None,
        starter: MergeStarter | None = None,
        may_lose: str | None = None,
        follower: Follower | None = None,
    ) -> None:
        """Starts the threads.

        `guard` says who may ask; `watcher` tells of bundles that were refused; `starter` may have a process of its own;
        `may_lose` is what the store's settings let a crash take; `follower` follows a registry at an address.
        """
        self.guard = guard
        self._may_lose = may_lose
        self._live = live
        self._threads = threads
        self._watcher = watcher
        self._starter = starter
        self._follower = follower
        for thread in threads:
            thread.start()

    @property
    def desk(self) -> Desk:
        """The desk for one request; the next request may get another."""
        return self._live.desk

    def standing(self) -> ReadyReply:
        """What an operator should know: what answers, up to which item change, what was refused and what is missing."""
        desk, refusal = self.desk, self._watcher.refusal if self._watcher else None
        try:
            desk.check()
            answers = True
        except StateError:
            answers = False
        return ReadyReply(
            ready=True,
            bundle=desk.bundle,
            item_changes=self._live.snapshot.number,
            refused=_refused(refusal),
            registry=self._follower.trouble if self._follower else None,
            **self._companions(),
            degraded=None if answers else ["state"],
            may_lose=self._may_lose,
        )

    def _companions(self) -> dict[str, CompanionReply]:
        """Canary and shadow, as far as the registry names them."""
        if self._watcher is None:
            return {}
        beside, companions = self.desk.beside, self._watcher.companions
        told: dict[str, CompanionReply] = {}
        if beside.canary or companions.canary_refusal:
            canary = beside.canary
            told["canary"] = CompanionReply(
                bundle=canary.desk.bundle if canary else None,
                share=canary.split.share if canary else None,
                refused=_refused(companions.canary_refusal),
            )
        if beside.shadow:
            told["shadow"] = CompanionReply(bundle=beside.shadow.name, refused=_refused(companions.shadow_refusal))
        return told

    def close(self) -> None:
        """Stop the threads and give back the store."""
        if self._watcher:
            self._watcher.break_off()
        for thread in self._threads:
            thread.stop()
        if self._watcher:
            self._watcher.companions.stop()
        for beside in (self._starter, self._follower):
            if beside:
                beside.stop()
        self.guard.close()
        self.desk.close()


def _refused(refusal: Refusal | None) -> RefusedReply | None:
    return RefusedReply(**refusal._asdict()) if refusal else None
