"""What the operator knows of the cluster: the newest version of every object that matters, indexed by its owner.

    watch event, list or answer to a write ──> put / drop / replace ──> the keys that must look again
                                                     │
                                                     ├─> world(key): everything about one ModelDeployment
                                                     └─> batch_world(key): everything about one BatchInference

An object is only ever replaced by a newer one, and a deleted object never comes back: a uid is given once. So a watch
event, a page of a list and the answer to our own write may arrive in any order, and the echo of our own write wakes no
key. A watch also reports a deletion when an object loses the label that it is watched by: with a later version it is
there again.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, Final

from sluice.shell.cache import keys, trim
from sluice.shell.cache.access import Access, gateway_namespace
from sluice.shell.cache.audience import Audience
from sluice.shell.cache.keys import BATCH, MODEL, NOBODY, PINNED, Key, Woken, identity_of, key_of, model_of, owner_of
from sluice.shell.cache.shares import Shares
from sluice.shell.cache.shelf import MOST_BYTES, NO_ROOM, NO_ROOM_AT_ONCE, Entry, Shelf, is_compressed
from sluice.shell.cache.stubs import NAMESPACE, Identity, Stub, Stubs
from sluice.shell.cache.versions import Deletions, Newest, is_later, uid_of, version_of
from sluice.shell.followers import Followers, follows
from sluice_core.api.config import OperatorConfig
from sluice_core.kernel import rawobjects, writing
from sluice_core.kernel.resolutions import ResolverPod
from sluice_core.kernel.snapshot import Object, World
from sluice_core.parsing import resolvers
from sluice_core.parsing.batchsnapshot import BatchWorld
from sluice_core.render.traffic import route
from sluice_judge.presets import GatewayPreset

LOG: Final = logging.getLogger(__name__)

ROUTE: Final = "HTTPRoute"
SHARED: Final = frozenset({"ServingRuntime", "RolloutPolicy", "Gateway"})
"""Kinds that models and batch inference may refer to."""


class Store:
    """Objects by identity; not for use by several threads."""

    def __init__(
        self,
        config: OperatorConfig,
        preset: GatewayPreset,
        *,
        most_bytes: int = MOST_BYTES,
        audience: Audience | None = None,
    ) -> None:
        self.access = Access()
        self._audience = audience
        self._config = config
        self._preset = preset
        self.shares: Shares[Identity] = Shares(most_bytes)
        self._shelf = Shelf(self.shares)
        self._stubs = Stubs()
        self._objects: dict[str, dict[Identity, Entry]] = defaultdict(dict)
        self._owned: dict[Key, dict[Identity, Entry]] = defaultdict(dict)
        self._by_host: dict[str, set[Key]] = defaultdict(set)
        self._by_model: dict[Key, set[Key]] = defaultdict(set)
        self.followers = Followers()
        self._admitted: dict[Identity, str] = {}
        """The last manifest applied and its answer, for objects that differ from it."""
        self.newest = Newest()
        self._deletions = Deletions()
        self.listing = self._deletions.all_kept

    @property
    def unreadable(self) -> Set[Identity]:
        """Objects kept as stubs only."""
        return self._stubs.identities

    def put(self, raw: Object) -> Woken:
        """Stores a version of an object, unless the store has a newer one or the object was deleted."""
        identity = identity_of(raw)
        self.newest.see(raw)
        if self._deletions.has(raw):
            return NOBODY
        entry = self._objects[identity.kind].get(identity)
        known = entry is not None and not is_later(version_of(raw), entry.version)
        if known and not self._stubs.has_no_room(identity):
            return NOBODY
        unchanged = known or (entry is None and self._stubs.leaves_out(identity.namespace))
        before = None if entry is None else self._shelf.object_of(entry)
        is_known_stub = identity in self.unreadable
        if entry is not None:
            self._unlink(identity, entry)
        kept, woken = self._keep(identity, *self._measured(raw))
        for each in self.shares.givers(identity, identity.namespace, unchanged=unchanged):
            if each == identity:
                kept, others = self._give(identity, kept)
            else:
                others = self._give_for_others(each)
            woken |= others
        if not is_known_stub:
            self._say(identity)
        return (
            woken if before is not None and trim.same_content(before, kept) else woken | self._interested(before, kept)
        )

    def applied(self, manifest: Object, answer: Object) -> None:
        """Remembers what the API server made of a manifest that was applied, until another one is."""
        identity = identity_of(manifest)
        self._admitted.pop(identity, None)
        if identity in self.unreadable:
            return
        if (admitted := writing.admitted(manifest, trim.trimmed(answer))) is not None:
            self._admitted[identity] = admitted

    def drop(self, raw: Object, *, for_good: bool = False) -> Woken:
        """Forgets a deleted object, unless another one has its name by now, or it has come back since.

        for_good: it was deleted at an unknown version; otherwise raw has the version of its deletion.
        """
        identity = identity_of(raw)
        self.newest.see(raw)
        self._deletions.add(uid_of(raw), "" if for_good else version_of(raw))
        known = self._objects[identity.kind].get(identity)
        if known is None or known.uid != uid_of(raw) or (not for_good and is_later(known.version, version_of(raw))):
            return NOBODY
        return self._forget(identity, known)

    def replace(self, kind: str, listed: Mapping[Identity, str], moment: str | None, within: str = "") -> Woken:
        """Forgets objects that a complete list lacks: those whose deletion no watch event reported.

        listed: uid by identity. moment: the list's resource version; later versions are not judged by it. None: there
        are no objects, as where the kind itself is gone. within: the namespace that was listed; empty: all.
        """
        woken = NOBODY
        for identity, known in list(self._objects[kind].items()):
            gone = within in ("", identity.place) and listed.get(identity) != known.uid
            if gone and (moment is None or not is_later(known.version, moment)):
                woken |= self._forget(identity, known)
        for namespace in self._stubs.listed(kind, within):
            woken |= self._inhabitants(namespace)
        return woken

    def contradicts(self, listed: Object, moment: str) -> bool:
        """Whether a list of that moment cannot show this version of an object, as far as the store knows."""
        known = self._objects[listed["kind"]].get(identity_of(listed))
        if known is None or known.uid != uid_of(listed):
            return self._deletions.contradict(listed, moment)
        return is_later(known.version, version_of(listed)) and not is_later(known.version, moment)

    def forget_all(self) -> None:
        """Returns to the state at the start; nothing may be decided until every kind is listed again."""
        for identity, known in [each for objects in self._objects.values() for each in objects.items()]:
            self._forget(identity, known)
        self._stubs.clear()
        self._deletions.clear()
        self.newest.clear()

    def world(self, key: Key, now: float) -> World | None:
        """Everything about one ModelDeployment; None when there is none."""
        deployment = self.get(MODEL, key.namespace, key.name)
        if deployment is None:
            return None
        rivals = sorted(self._rivals(key, deployment))
        access, gateways = self.access, gateway_namespace(deployment) or self._config.gateway.namespace
        return World(
            now=now,
            deployment=deployment,
            owned=self.known_of(key),
            runtimes=self._ordered(self._objects["ServingRuntime"]),
            policies=self._ordered(self._objects["RolloutPolicy"]),
            gateways=self._ordered(self._objects["Gateway"]),
            rivals=tuple(
                self._shelf.object_of(self._objects[MODEL][Identity(MODEL, rival.namespace, rival.name)])
                for rival in rivals
            ),
            rival_routes=tuple(
                self._shelf.object_of(entry)
                for rival in rivals
                if (entry := self._owned.get(rival, {}).get(Identity(ROUTE, rival.namespace, rival.name))) is not None
            ),
            config=self._config,
            preset=self._preset,
            gateway_api=access.serves("HTTPRoute", key.namespace),
            grpc_api=access.serves("GRPCRoute", key.namespace),
            keda_api=access.serves("ScaledObject", key.namespace),
            forbidden=tuple(sorted(access.unseen(key.namespace, gateways))),
            admitted=frozenset(
                self._admitted[identity] for identity in self._owned.get(key, {}) if identity in self._admitted
            ),
            keeps_resolver=self.followers.first(key.namespace) == key.name,
        )

    def batch_world(self, key: Key, now: float) -> BatchWorld | None:
        """Everything about one BatchInference; None when there is none."""
        batch = self.get(BATCH, key.namespace, key.name)
        if batch is None:
            return None
        model, unseen = model_of(batch), self.access.unseen(key.namespace)
        owned_by_model = self._owned.get(model, {}) if model is not None else {}
        return BatchWorld(
            now=now,
            batch=batch,
            owned=self.known_of(key),
            model=self.get(MODEL, model.namespace, model.name) if model is not None else None,
            pinned=tuple(each for each in self._ordered(owned_by_model) if each["kind"] == PINNED),
            runtimes=self._ordered(self._objects["ServingRuntime"]),
            config=self._config,
            spark_operator=self.access.serves("SparkApplication", key.namespace) and "sparkapplications" not in unseen,
            forbidden=tuple(sorted(unseen)),
        )

    def resolver(self, namespace: str) -> ResolverPod | None:
        """The pod that answers for a namespace's registries; None while there is none."""
        first = self.followers.first(namespace)
        return None if first is None else resolvers.pod(self.owned(Key(namespace, first)))

    def keys(self) -> tuple[Key, ...]:
        """Every key to reconcile, including those that are gone and have left something behind."""
        there = (Key(each.namespace, each.name, kind) for kind in (MODEL, BATCH) for each in self._objects[kind])
        return tuple(dict.fromkeys((*there, *self._owned)))

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object as it is stored."""
        entry = self._objects[kind].get(Identity(kind, namespace, name))
        return None if entry is None else self._shelf.object_of(entry)

    def owned(self, key: Key) -> tuple[Object, ...]:
        """The objects that are labelled with the owner."""
        return self._ordered(self._owned.get(key, {}))

    def state(self, key: Key) -> tuple[Entry, ...]:
        """Entries of the key's object and of those that belong to it; they differ once any has another version."""
        about = self._objects[key.kind].get(Identity(key.kind, key.namespace, key.name))
        owned = tuple(self._owned.get(key, {}).values())
        return owned if about is None else (about, *owned)

    def known_of(self, key: Key) -> tuple[Object, ...]:
        """The objects that belong to a key, and a stub for those of which nothing is kept."""
        return self.owned(key) + self._stubs.standing_for_others(key.namespace)

    def is_ending(self, namespace: str) -> bool:
        """Whether the namespace is being deleted, as far as is known."""
        found = self.get(NAMESPACE, "", namespace)
        return found is not None and rawobjects.is_going(found)

    def count(self, kind: str) -> int:
        """How many objects of a kind are stored."""
        return len(self._objects[kind])

    def _keep(self, identity: Identity, kept: Object, size: int, *, no_room: bool = False) -> tuple[Object, Woken]:
        """What is kept of an object, and the keys to wake when nothing is, as its namespace has stubs enough. Whatever
        is wrong with an object, the store goes on, and so does everything else."""
        self._stubs.forget(identity)
        entry = self._shelf.entry(kept, size)
        if not rawobjects.unreadable(kept) and self._shelf.is_too_much(owner_of(kept), entry):
            return self._give(identity, kept, NO_ROOM_AT_ONCE)
        if rawobjects.unreadable(kept) and not self._stubs.add(identity, Stub(entry.size, no_room)):
            is_first = self._stubs.leave_out(identity)
            return kept, self._inhabitants(identity.namespace) if is_first else NOBODY
        self._link(identity, kept, entry)
        return kept, NOBODY

    def _give(self, identity: Identity, known: Object, why: str = NO_ROOM) -> tuple[Object, Woken]:
        """Replaces an object with a stub, until a list shows it again and there is room."""
        if (entry := self._objects[identity.kind].get(identity)) is not None:
            self._unlink(identity, entry)
        self._admitted.pop(identity, None)
        stub = trim.unreadable(known, trim.Unusable(why))
        return self._keep(identity, stub, trim.size_of(stub), no_room=True)

    def _give_for_others(self, identity: Identity) -> Woken:
        known = self._shelf.object_of(self._objects[identity.kind][identity])
        stub, woken = self._give(identity, known)
        self._say(identity)
        return woken | self._interested(known, stub)

    def _say(self, identity: Identity) -> None:
        """Logs why only a stub is kept, if it is one."""
        if identity in self.unreadable:
            text = rawobjects.unreadable(self._shelf.object_of(self._objects[identity.kind][identity]))
            LOG.warning("%s %s/%s cannot be read: %s", *identity, text, extra={"kind": identity.kind})

    def _measured(self, raw: Object) -> tuple[Object, int]:
        """What can be kept of an object given room for it, and its size."""
        try:
            kept, size = trim.measured(raw)
            is_compressed(kept)
            self._interested(kept, kept)
            model_of(kept)
            if kept["kind"] == MODEL:
                gateway_namespace(kept)
        except Exception as error:  # noqa: BLE001 - it is said in the object's condition, or in its owner's
            kept = trim.unreadable(raw, error)
            return kept, trim.size_of(kept)
        return kept, size

    def _forget(self, identity: Identity, entry: Entry) -> Woken:
        known = self._shelf.object_of(entry)
        woken = self._interested(known, None)
        self._unlink(identity, entry)
        self._stubs.forget(identity)
        self._admitted.pop(identity, None)
        return woken

    def _link(self, identity: Identity, kept: Object, entry: Entry) -> None:
        self._objects[identity.kind][identity] = entry
        self._shelf.add(identity, owner_of(kept), entry, is_stub=identity in self.unreadable)
        if self._audience is not None:
            self._audience.see(identity, kept)
        if identity.kind == MODEL:
            self.followers.see(identity.namespace, identity.name, kept)
            for host in self._hostnames(kept):
                self._by_host[host].add(Key(identity.namespace, identity.name))
        elif identity.kind == BATCH:
            if (model := model_of(kept)) is not None:
                self._by_model[model].add(Key(identity.namespace, identity.name, BATCH))
        elif (owner := owner_of(kept)) is not None:
            self._owned[owner][identity] = entry

    def _unlink(self, identity: Identity, entry: Entry) -> None:
        known = self._shelf.object_of(entry)
        self._objects[identity.kind].pop(identity, None)
        if self._audience is not None:
            self._audience.forget(identity)
        self._shelf.remove(identity, owner_of(known), entry)
        if identity.kind == MODEL:
            self.followers.forget(identity.namespace, identity.name)
            for host in self._hostnames(known):
                _discard(self._by_host, host, Key(identity.namespace, identity.name))
        elif identity.kind == BATCH:
            if (model := model_of(known)) is not None:
                _discard(self._by_model, model, Key(identity.namespace, identity.name, BATCH))
        elif (owner := owner_of(known)) is not None:
            self._owned[owner].pop(identity, None)
            if not self._owned[owner]:
                del self._owned[owner]

    def _ordered(self, entries: Mapping[Identity, Entry]) -> tuple[Object, ...]:
        return tuple(self._shelf.object_of(entries[identity]) for identity in sorted(entries))

    def _interested(self, before: Object | None, after: Object | None) -> Woken:
        versions = [version for version in (before, after) if version is not None]
        if versions[0]["kind"] == NAMESPACE:
            return self._inhabitants(rawobjects.name(versions[-1])) if rawobjects.is_going(versions[-1]) else NOBODY
        if versions[0]["kind"] in SHARED:
            return Woken(spread=True)
        if versions[0]["kind"] == MODEL:
            return Woken(frozenset(self._around(versions)), edited=keys.edits(before, after))
        if versions[0]["kind"] == BATCH:
            return Woken(frozenset({key_of(versions[0], BATCH)}), edited=keys.edits(before, after))
        owners = frozenset(owner for version in versions if (owner := owner_of(version)) is not None)
        asked = keys.asks(before, after)
        if versions[0]["kind"] == PINNED:
            return Woken(owners.union(*(self._by_model.get(owner, set()) for owner in owners)), asked=asked)
        if versions[0]["kind"] == ROUTE and len({keys.hosts_of(before), keys.hosts_of(after)}) > 1:
            return Woken(owners.union(*map(self._rivals_of, owners)), asked=asked)
        return Woken(owners, asked=asked)

    def _inhabitants(self, namespace: str) -> Woken:
        return Woken(frozenset(key for key in self.keys() if key.namespace == namespace))

    def _around(self, versions: Sequence[Object]) -> Iterator[Key]:
        """The model itself, the batch inferences that run it, and, if it now claims other host names, the models that
        share one."""
        key = key_of(versions[0], MODEL)
        yield key
        yield from self._by_model.get(key, ())
        if len({follows(version) for version in versions}) > 1 or (len(versions) == 1 and follows(versions[0])):
            for first in {self.followers.first(key.namespace), self.followers.first(key.namespace, key.name)} - {None}:
                yield Key(key.namespace, str(first))
        claims = {(self._hostnames(version), rawobjects.is_going(version)) for version in versions}
        if len(claims) != 1 or len(versions) == 1:
            for version in versions:
                yield from self._rivals(key, version)

    def _rivals_of(self, key: Key) -> set[Key]:
        """The models whose host names depend on whether this one serves."""
        deployment = self.get(MODEL, key.namespace, key.name)
        return set() if deployment is None else self._rivals(key, deployment)

    def _rivals(self, key: Key, deployment: Object) -> set[Key]:
        sharing = (self._by_host.get(host, set()) for host in self._hostnames(deployment))
        return set().union(*sharing) - {key}

    def _hostnames(self, deployment: Object) -> tuple[str, ...]:
        """What `core.render.route.addresses_of` is made from, for an object that may not parse."""
        routing = (deployment.get("spec") or {}).get("routing") or {}
        metadata = deployment["metadata"]
        default = f"{metadata['name']}.{metadata.get('namespace', '')}.{self._config.domain}"
        return tuple(route.bare_hostname(host) for host in routing.get("hostnames") or (default,))


def _discard(index: dict[Any, set[Key]], entry: Any, key: Key) -> None:
    index[entry].discard(key)
    if not index[entry]:
        del index[entry]
