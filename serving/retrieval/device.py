"""Where the graphs of a bundle run: on one thread of the processor, or on a CUDA device.

ONNX Runtime falls back to the processor without an error, when a session is made and also when one fails later: a
service would be many times slower than was meant, and nobody would know. Here what is configured runs, or nothing does.
"""

import io
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Literal

import onnxruntime as ort

from features.errors import ConfigError

Device = Literal["cpu", "cuda"]

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
CUDA_OPTIONS = {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}
"""TF32 would round the factors of a product to 10 bits: answers would leave the processor's by 1e-3. Memory is taken
as it is asked for, so that workers that share a device leave room for each other."""
HINT = (
    "Install requirements/serving-gpu.txt into an environment of its own, never beside requirements/serving.txt: "
    "both bring a package `onnxruntime`. Or set serving.device to cpu."
)


def open_session(path: Path, device: Device = "cpu") -> ort.InferenceSession:
    """A session of one graph on one device; shapes are worked out on the processor on either.

    Raises ConfigError when `cuda` is asked for and cannot be had.
    """
    if device == "cpu":
        return ort.InferenceSession(str(path), _options(), providers=[CPU])
    require_provider(device)
    missing = _load_libraries()
    try:
        session = ort.InferenceSession(str(path), _options(), providers=[(CUDA, CUDA_OPTIONS), CPU], enable_fallback=0)
    except (RuntimeError, ValueError) as error:
        raise _unusable(path, str(error).partition("\n")[0]) from None
    if CUDA not in session.get_providers():
        raise _unusable(path, missing or "no device was found, or its driver is too old")
    return session


def require_provider(device: Device) -> None:
    """Raise ConfigError unless the installed ONNX Runtime was built for a device, which may be missing all the same."""
    if device == "cuda" and CUDA not in ort.get_available_providers():
        raise ConfigError(
            f"cuda is asked for, but the installed ONNX Runtime {ort.__version__} has no CUDA provider, only "
            f"{', '.join(ort.get_available_providers())}; every graph would run on the processor",
            field="serving.device",
            hint=HINT,
        )


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"cuda is asked for, but ONNX Runtime {ort.__version__} cannot use it and would run {path.name} on the "
        f"processor: {why}",
        field="serving.device",
        hint=f"See that `nvidia-smi` names a device. {HINT}",
    )


@cache
def _load_libraries() -> str:
    """Load CUDA's libraries from their own packages, which no linker finds; the first that is missing, or nothing.

    ONNX Runtime prints what it misses and goes on.
    """
    said = io.StringIO()
    with redirect_stdout(said):
        ort.preload_dlls()
    return said.getvalue().partition("\n")[0].strip()


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
