# What ARX gives to a workflow, for editors and type checkers.
#
# None of it is imported when a workflow runs; the names are simply there. For an editor, write
#
#     from typing import TYPE_CHECKING
#     if TYPE_CHECKING:
#         from arx import arx, config, wiz
#
# or copy this file to `__builtins__.pyi` beside the workflow (Pyright, Pylance).

from datetime import datetime
from typing import Any, Awaitable, Callable, Iterable, Iterator, Literal

class Record:
    """An object of JSON: its fields are attributes."""

    def __getattr__(self, name: str) -> Any: ...
    def __contains__(self, name: object) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def get(self, name: str, default: Any = None) -> Any:
        """A field that may be absent, or whose name is no identifier."""
    def keys(self) -> list[str]: ...
    def values(self) -> list[Any]: ...
    def items(self) -> list[tuple[str, Any]]: ...

class Arx:
    now: datetime
    """The run's time, in UTC. It stays the same when a run is resumed."""

    async def merge(self, datasets: Any, inputs: Any = None, **thresholds: Any) -> Record:
        """Folds what `findings.read` returned into one vulnerability for each name."""
    async def episodes(self, merged: Record) -> Record:
        """Opens, continues and closes episodes; returns the vulnerabilities that have one open."""
    async def verify(
        self, tickets: Record, scans: Record | None, sensors: Record | None, inputs: Any = None
    ) -> Record:
        """Holds what tickets claim against what scanner and sensors say; returns `tickets`."""
    async def each(
        self,
        items: Iterable[Any],
        fn: Callable[[Any], Awaitable[dict[str, Any] | Record | str | list[str] | None]],
    ) -> list[Record]:
        """Awaits `fn(item)` for all items at once. An exception in one is that item's alone."""
    def note(self, item: Any, *outcomes: str, **facts: Any) -> None:
        """Keeps what is known of an item, whatever becomes of it after."""
    def log(
        self, text: Any, level: Literal["debug", "info", "warning", "error"] = "info"
    ) -> None: ...
    def progress(self, done: int, total: int | None = None, label: str = "") -> None: ...
    def brief(self, vulnerability: Record, incident: str | None = None) -> list[dict[str, Any]]:
        """What a person who is woken needs, as blocks of heading, text and bullets."""
    def text(self, blocks: list[dict[str, Any]]) -> str:
        """Blocks as plain text."""
    def route(self, vulnerability: Record, pagerduty: Record) -> dict[str, Any]:
        """Service and escalation policy, by the asset that matters most and has a route."""
    def paging(self, incident: Record) -> str:
        """`paged`, `grouped` or `already_open`."""
    def settled(self, ticket: Record, update: Record) -> dict[str, Any]:
        """What became of a verified ticket after its update, as fields of its report."""

arx: Arx
config: Record
