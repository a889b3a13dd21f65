"""Permitted views that are kept open between the rounds of a run and the questions of a study."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from salerno.analysis.service.ports import Door, View
from salerno.holdings.model import AccessRequest
from salerno.kernel.values import digest

_KEPT = 4
_IDLE_SECONDS = 300.0


class OpenViews:
    """A few views, the least recently used closed first; each read asks the permit again all the same."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._lock = threading.Lock()
        self._views: OrderedDict[str, tuple[View, float]] = OrderedDict()

    def view(self, request: AccessRequest) -> View:
        """The view for a request, opened when it is not open.

        Raises:
            SalernoError: What the door says.
        """
        key = digest(request)
        with self._lock:
            if key in self._views:
                view = self._views.pop(key)[0]
                self._views[key] = (view, time.monotonic())
                return view
        return self.fresh(request)

    def fresh(self, request: AccessRequest) -> View:
        """A view that is opened now, so that a permit revoked a moment ago starts no run.

        Raises:
            SalernoError: What the door says.
        """
        key = digest(request)
        view = self._door.open(request)
        with self._lock:
            old = [self._views.pop(key)[0]] if key in self._views else []
            self._views[key] = (view, time.monotonic())
            while len(self._views) > _KEPT:
                old.append(self._views.popitem(last=False)[1][0])
        for one in old:
            one.close()
        return view

    def forget(self, request: AccessRequest, view: View) -> None:
        """Open this one anew the next time, unless another one has taken its place already."""
        key = digest(request)
        with self._lock:
            if key in self._views and self._views[key][0] is view:
                self._views.pop(key)

    def close_idle(self, idle_seconds: float = _IDLE_SECONDS) -> None:
        """Close what has not been used for some time."""
        limit = time.monotonic() - idle_seconds
        with self._lock:
            idle = [key for key, (_, used) in self._views.items() if used <= limit]
            old = [self._views.pop(key)[0] for key in idle]
        for one in old:
            one.close()

    def close(self) -> None:
        """Close all."""
        self.close_idle(0.0)
