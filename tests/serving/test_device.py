"""A device that cannot be had is refused in one sentence; what ONNX Runtime would do in silence never happens."""

from pathlib import Path
from typing import Any

import onnxruntime as ort
import pytest

from features.errors import BundleError, ConfigError
from serving.bundle import open_bundle
from serving.lifecycle import launch
from serving.lifecycle.opening import open_worker, serving_config
from serving.retrieval import device
from serving.retrieval.device import CPU, CUDA, open_session, require_provider
from serving.retrieval.device_search import SEARCH, search_on
from training.export.search import export_search


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    export_search(8, tmp_path / SEARCH)
    return tmp_path / SEARCH


@pytest.fixture
def without_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime as its package for processors is, whichever is installed here."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CPU])


@pytest.fixture
def without_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime as its package for CUDA is where there is no device: it says that it has a provider."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(device, "_load_libraries", lambda: "Failed to load libcublas.so.13")


class Session(ort.InferenceSession):  # type: ignore[misc]  # ONNX Runtime has no types
    """A session that asks for CUDA and, like the real one without a device, holds the processor alone."""

    def __init__(self, path: str, options: Any, providers: list[Any], **how: Any) -> None:
        assert providers[0][0] == CUDA
        assert how == {"enable_fallback": 0}
        super().__init__(path, options, providers=providers[1:])


class Failing:
    """A session whose provider breaks while it starts."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA failure 35: the driver is too old\nat some line")


def test_the_processor_is_the_default_and_the_environment_overrides(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("serving: {device: cuda}\n")
    named = {"TAILORBIRD_CONFIG": str(tmp_path / "c.yaml")}
    assert serving_config({}).device == "cpu"
    assert serving_config(named).device == "cuda"
    assert serving_config({**named, "TAILORBIRD_DEVICE": "cpu"}).device == "cpu"
    with pytest.raises(ConfigError, match="device: should be 'cpu' or 'cuda'; got 'tpu'"):
        serving_config({"TAILORBIRD_DEVICE": "tpu"})


def test_an_onnx_runtime_without_cuda_is_refused(graph: Path, without_provider: None) -> None:
    require_provider("cpu")
    with pytest.raises(ConfigError, match=r"has no CUDA provider, only CPUExecutionProvider") as caught:
        open_session(graph, "cuda")
    assert caught.value.field == "serving.device"
    assert "requirements/serving-gpu.txt" in str(caught.value)


def test_a_session_that_fell_back_in_silence_is_refused(
    graph: Path, without_device: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "InferenceSession", Session)
    with pytest.raises(ConfigError, match=r"would run search\.onnx on the processor: Failed to load libcublas\.so\.13"):
        open_session(graph, "cuda")


def test_a_provider_that_breaks_is_refused(graph: Path, without_device: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "InferenceSession", Failing)
    with pytest.raises(ConfigError, match=r"cannot use it .*: CUDA failure 35: the driver is too old\. See that"):
        open_session(graph, "cuda")


def test_no_service_starts_on_a_device_that_is_not_there(
    trained: Any, without_provider: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {
        "TAILORBIRD_BUNDLE": str(trained.bundle),
        "TAILORBIRD_STATE": "sqlite://:memory:",
        "TAILORBIRD_DEVICE": "cuda",
    }
    with pytest.raises(ConfigError, match="no CUDA provider"):
        open_worker(environment)
    monkeypatch.setenv("TAILORBIRD_DEVICE", "cuda")
    with pytest.raises(ConfigError, match="no CUDA provider"):
        launch.launch(trained.bundle, state="sqlite://:memory:")


def test_a_bundle_without_the_graph_is_refused_on_a_device_alone(trained: Any, tmp_path: Path) -> None:
    vectors = open_bundle(trained.bundle).catalogue.vectors
    assert search_on("cpu", tmp_path, vectors) is None
    with pytest.raises(BundleError, match=r"search\.onnx is missing"):
        search_on("cuda", tmp_path, vectors)
