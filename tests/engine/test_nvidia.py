"""GPUs of this computer, by a driver made up by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dfrot_engine import nvidia


class FakeError(Exception):
    pass


def driver(*capabilities: tuple[int, int], starts: bool = True, answers: bool = True) -> SimpleNamespace:
    calls: list[str] = []

    def init() -> None:
        if not starts:
            raise FakeError
        calls.append("init")

    def capability(index: int) -> tuple[int, int]:
        if not answers:
            raise FakeError
        return capabilities[index]

    return SimpleNamespace(
        NVMLError=FakeError,
        nvmlInit=init,
        nvmlShutdown=lambda: calls.append("shutdown"),
        nvmlDeviceGetCount=lambda: len(capabilities),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetCudaComputeCapability=capability,
        calls=calls,
    )


@pytest.mark.parametrize(
    ("fake", "expected"),
    [
        (driver((8, 9)), (89,)),
        (driver((12, 0), (7, 5)), (120, 75)),
        (driver(), ()),
        (driver(starts=False), ()),
        (driver((8, 9), answers=False), ()),
    ],
)
def test_capabilities(monkeypatch: pytest.MonkeyPatch, fake: SimpleNamespace, expected: tuple[int, ...]) -> None:
    monkeypatch.setattr(nvidia, "pynvml", fake)
    assert nvidia.gpu_capabilities() == expected
    assert nvidia.has_nvidia_gpu() is bool(expected)
    assert fake.calls.count("init") == fake.calls.count("shutdown")
