"""Memory of one limit by namespace; beyond the limit, the namespace that holds most is evicted from first.

    all fits ──> nobody gives
    it doesn't ──> the namespace that holds most gives its largest item, and so on until all fits
                     ├─ what came last is among them ──> it alone gives: there is no room for it
                     └─ otherwise ──> they give, and it stays

So a namespace never gives for one that holds more, whichever came first. An item that came back unchanged takes room
only from namespaces that keep at least as much as its own then has: each such exchange makes the smallest larger, so
that at rest the exchanges end.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping
from typing import Generic, TypeVar

from sluice_core.kernel import maxmin

Item = TypeVar("Item", bound=Hashable)


class Shares(Generic[Item]):
    """Bytes by namespace, and the items that may be evicted by size, so that no eviction looks at all items."""

    def __init__(self, most_bytes: int) -> None:
        self.total = 0
        self._most_bytes = most_bytes
        self._taken: Counter[str] = Counter()
        self._items: defaultdict[str, defaultdict[int, dict[Item, int]]] = defaultdict(lambda: defaultdict(dict))
        """Bytes by namespace, binary order of magnitude and item, in the order of arrival."""

    def add(self, namespace: str, item: Item, size: int, *, gives: bool = True) -> None:
        """gives: whether the item may be evicted; one without a namespace serves all and never is."""
        if gives and namespace:
            self._items[namespace][size.bit_length()][item] = size
        self._change(namespace, size)

    def remove(self, namespace: str, item: Item, size: int) -> None:
        """Undoes an `add` with the same arguments."""
        if namespace in self._items:
            sizes = self._items[namespace]
            if sizes[size.bit_length()].pop(item, None) is not None and not sizes[size.bit_length()]:
                del sizes[size.bit_length()]
            if not sizes:
                del self._items[namespace]
        self._change(namespace, -size)

    def givers(self, newest: Item, namespace: str, *, unchanged: bool = False) -> tuple[Item, ...]:
        """The items to evict for the one added last; none where all fits.

        namespace: that of `newest`. unchanged: it was evicted before, and came back as it was.
        """
        over = self.total - self._most_bytes
        found, left = list[Item](), dict[str, int]()
        giving = self._giving(namespace) if over > 0 else iter(())
        while over > 0 and (given := next(giving, None)) is not None:
            giver, item, size = given
            if item == newest or (unchanged and giver == namespace):
                return (newest,)
            found.append(item)
            over -= size
            left[giver] = left.get(giver, self._taken[giver]) - size
        if unchanged and any(bytes_left < self._taken[namespace] for bytes_left in left.values()):
            return (newest,)
        return tuple(found)

    def _giving(self, newest: str) -> Iterator[tuple[str, Item, int]]:
        """(namespace, item, bytes) in the order of eviction. newest: the namespace that needs room."""
        held = {namespace: self._taken[namespace] for namespace in self._items}
        items = dict[str, Iterator[tuple[Item, int]]]()
        while held:
            namespace = maxmin.giver(held, newest)
            if namespace not in items:
                items[namespace] = self._largest_first(namespace)
            given = next(items[namespace], None)
            held[namespace] -= held[namespace] if given is None else given[1]
            if not held[namespace]:
                del held[namespace]
            if given is not None:
                yield namespace, *given

    def _largest_first(self, namespace: str) -> Iterator[tuple[Item, int]]:
        sizes: Mapping[int, dict[Item, int]] = self._items.get(namespace, {})
        for magnitude in sorted(sizes, reverse=True):
            yield from reversed(sizes[magnitude].items())

    def _change(self, namespace: str, size: int) -> None:
        self.total += size
        self._taken[namespace] += size
        if not self._taken[namespace]:
            del self._taken[namespace]
