"""The ranks of one training: who this process is, and the few words all of them exchange over gloo."""

import ctypes
import os
import signal
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

PEER_PATIENCE = timedelta(minutes=10)
_PDEATHSIG = 1  # prctl: the signal a process gets when its parent dies
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Fatal(Exception):
    """The run cannot go on; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where this process stands among the others."""

    rank: int
    world: int

    @property
    def leads(self) -> bool:
        """Whether this is the rank that prepares, reports and saves."""
        return self.rank == 0


def find_place() -> Place:
    """Return what torchrun says, or else the platform's node rank, or else that we are alone."""
    env = os.environ
    if "RANK" in env:
        return Place(int(env["RANK"]), int(env.get("WORLD_SIZE", "1")))
    return Place(int(env.get("HUTONG_NODE_RANK", "0")), int(env.get("HUTONG_NUM_NODES", "1")))


def follow_torchrun() -> None:
    """Stop as on SIGTERM when torchrun is killed, which starts us in a session of our own, out of sight."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM)


class Team:
    """The ranks together: what rank 0 knows reaches all, and sums are taken over all."""

    def __init__(self, place: Place) -> None:
        """Meet the other ranks, if there are any."""
        self.place = place
        if place.world > 1:
            if os.environ.get("MASTER_ADDR") in _LOOPBACK:
                # Gloo asks the resolver for this machine's own name, which an isolated job may not have.
                os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
            distributed.init_process_group(
                "gloo", rank=place.rank, world_size=place.world, timeout=PEER_PATIENCE
            )

    def share(self, tensor: Tensor) -> Tensor:
        """Give every rank the tensor of rank 0, in place."""
        if self.place.world > 1:
            distributed.broadcast(tensor, src=0)
        return tensor

    def share_words(self, words: list[int]) -> list[int]:
        """Give every rank the integers of rank 0; every rank passes a list of the same length."""
        return self.share(torch.tensor(words, dtype=torch.int64)).tolist()

    def average(self, tensor: Tensor) -> None:
        """Replace the tensor by its mean over the ranks; raises Fatal if a rank is gone."""
        if self.place.world > 1:
            try:
                distributed.all_reduce(tensor)
            except RuntimeError as error:
                raise Fatal(f"another rank is gone: {str(error).splitlines()[0]}") from error
            tensor.div_(self.place.world)

    def part(self) -> None:
        """Leave in order."""
        if self.place.world > 1:
            distributed.destroy_process_group()
