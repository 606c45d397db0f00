from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dfrot_engine.forward.hidden_states import HiddenStates, HiddenStore

SHAPE = (5, 3, 4)
SEQUENCE_BYTES = 3 * 4 * 4


def filled(store: HiddenStore, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[HiddenStates, torch.Tensor]:
    """(states, the same numbers)."""
    numbers = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)).to(dtype)
    states = store.new(SHAPE, dtype)
    for part in (slice(0, 2), slice(2, 3), slice(3, 5)):
        states.append(numbers[part])
    return states, numbers


def spilled(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.states"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sequences", [0, 1, 3, 5])
def test_the_budget_changes_no_bit(sequences: int, dtype: torch.dtype, tmp_path: Path) -> None:
    store = HiddenStore(tmp_path, sequences * SEQUENCE_BYTES * dtype.itemsize / 4)
    states, numbers = filled(store, dtype=dtype)
    assert bool(spilled(tmp_path)) == (sequences < 5)
    assert len(states._memory) == sequences
    assert torch.equal(states[:], numbers)
    for start in range(5):
        for stop in range(start, 6):
            assert torch.equal(states[start:stop], numbers[start:stop])
    assert torch.equal(states[torch.tensor([4, 0, 2])], numbers[[4, 0, 2]])
    assert torch.equal(states.tokens(torch.tensor([14, 0, 7])), numbers.flatten(0, 1)[[14, 0, 7]])


def test_room_and_files_come_back_when_states_go(tmp_path: Path) -> None:
    store = HiddenStore(tmp_path, 6 * SEQUENCE_BYTES)
    first, _ = filled(store)
    second, numbers = filled(store, 1)
    assert (len(first._memory), len(second._memory)) == (5, 1)
    assert len(spilled(tmp_path)) == 1
    del first
    third, _ = filled(store, 2)
    assert len(third._memory) == 5
    assert torch.equal(second[:], numbers)
    del second
    assert spilled(tmp_path) == []


@pytest.mark.parametrize("sequences", [0, 2, 5])
def test_what_is_kept_is_found_again_whatever_the_budget(sequences: int, tmp_path: Path) -> None:
    store = HiddenStore(tmp_path, sequences * SEQUENCE_BYTES)
    exact, exact_numbers = filled(store)
    quantized, numbers = filled(store, 1)
    store.keep({"exact": exact, "quantized": quantized}, "right", next_block=3)
    del exact, quantized, store
    kept = HiddenStore(tmp_path, 3 * SEQUENCE_BYTES).kept("right")
    assert kept is not None
    assert kept.facts == {"next_block": 3}
    assert torch.equal(kept.streams["exact"][:], exact_numbers)
    assert torch.equal(kept.streams["quantized"][:], numbers)


def test_one_stream_under_two_names_is_one_file(tmp_path: Path) -> None:
    store = HiddenStore(tmp_path)
    states, _ = filled(store)
    store.keep({"exact": states, "quantized": states}, "right")
    assert len(spilled(tmp_path)) == 1
    kept = HiddenStore(tmp_path).kept("right")
    assert kept is not None
    assert kept.streams["exact"] is kept.streams["quantized"]


def test_the_newer_replaces_the_older_and_spilled_numbers_are_not_written_twice(tmp_path: Path) -> None:
    store = HiddenStore(tmp_path, 0)
    first, _ = filled(store)
    store.keep({"hidden": first}, "right", next_block=1)
    second, numbers = filled(store, 1)
    before = second.file.path.stat().st_mtime_ns
    store.keep({"hidden": second}, "right", next_block=2)
    assert second.file.path.stat().st_mtime_ns == before
    assert spilled(tmp_path) == [second.file.path.name]
    del first, second
    kept = HiddenStore(tmp_path, 0).kept("right")
    assert kept is not None
    assert kept.facts["next_block"] == 2
    assert torch.equal(kept.streams["hidden"][:], numbers)


def test_a_kill_before_the_list_is_written_leaves_the_older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = HiddenStore(tmp_path, 2 * SEQUENCE_BYTES)
    first, numbers = filled(store)
    store.keep({"hidden": first}, "right", next_block=1)
    second, _ = filled(store, 1)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        store.keep({"hidden": second}, "right", next_block=2)
    monkeypatch.undo()
    assert len(spilled(tmp_path)) == 2
    again = HiddenStore(tmp_path, 0)
    assert spilled(tmp_path) == [first.file.path.name]
    kept = again.kept("right")
    assert kept is not None
    assert kept.facts["next_block"] == 1
    assert torch.equal(kept.streams["hidden"][:], numbers)


@pytest.mark.parametrize("damage", ["fingerprint", "cut", "missing"])
def test_what_does_not_fit_is_not_used_and_goes(damage: str, tmp_path: Path) -> None:
    store = HiddenStore(tmp_path, 0)
    states, _ = filled(store)
    store.keep({"hidden": states}, "right")
    path = states.file.path
    del states, store
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "missing":
        path.unlink()
    assert HiddenStore(tmp_path, 0).kept("other" if damage == "fingerprint" else "right") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("room", "beside", "count"), [(9, 0, 5), (4, 1, 3), (4, 4, 0), (2, 5, 0)])
def test_only_what_finds_room_is_made(room: int, beside: int, count: int, tmp_path: Path) -> None:
    store = HiddenStore(tmp_path, room * SEQUENCE_BYTES)
    states = store.new_if_room(SHAPE, beside=beside * SEQUENCE_BYTES)
    assert states.shape == (count, *SHAPE[1:])
    assert len(states._memory) == count
    assert len(HiddenStore().new_if_room(SHAPE, beside=10**9)) == SHAPE[0]
    # What it took is gone from the room for others.
    assert len(store.new((9, *SHAPE[1:]))._memory) == min(9, room - count)
