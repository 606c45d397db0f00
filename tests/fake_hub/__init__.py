"""A local stand-in for the Hugging Face Hub's HTTP API, with faults; standard library only."""

from tests.fake_hub.server import ALICE, BOB, FakeHub, Fault, Request

__all__ = ["ALICE", "BOB", "FakeHub", "Fault", "Request"]
