"""The keys that earlier runs of an edition have served, those of forgotten recipients among them.

A forgotten recipient left only a keyed digest of the key, so each row is compared with it under the same secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from campaign.audience.plan.forgotten_rows import seal_key
from campaign.audience.screening.key_set import KeySet


class ServedKeys(KeySet):
    """A `KeySet` that also contains keys whose seals were added. ``secrets`` are those that may have sealed them."""

    def __init__(self, secrets: Sequence[bytes] = ()) -> None:
        super().__init__()
        self._secrets = secrets
        self._seals: set[str] = set()

    def __len__(self) -> int:
        return super().__len__() + len(self._seals)

    def add_seals(self, seals: Iterable[str]) -> None:
        """Add keys of which only the seals (`forgotten_rows.seal_key`) are known."""
        self._seals.update(seals)

    def contains(self, digests: Sequence[bytes]) -> list[bool]:
        """For each digest of a key, whether the key was added, by itself or by its seal."""
        known = super().contains(digests)
        if not self._seals:
            return known
        return [hit or self._is_sealed(one) for hit, one in zip(known, digests, strict=True)]

    def _is_sealed(self, key_digest: bytes) -> bool:
        return any(seal_key(secret, key_digest) in self._seals for secret in self._secrets)
