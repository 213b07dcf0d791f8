"""A Bento: the service, one bundle and the pinned libraries, ready for an image or for `bentoml serve`.

BentoML is asked through its command, so that this file needs no import of it; the lock file is ours, because
BentoML's own would be made over the network. Only what answers a request goes in: no training, no torch.
"""

import shutil
import subprocess
import sys
from os import environ
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from features.errors import BundleError
from serving.manifest import verify_bundle
from serving.retrieval.device import Device

ROOT = Path(__file__).parents[2]
PACKAGES = ("features", "serving")
LOCKS: dict[Device, str] = {"cpu": "requirements/serving.txt", "cuda": "requirements/serving-gpu.txt"}


def description_of(device: Device) -> dict[str, Any]:
    """What BentoML is told to pack; on a device the service answers there unless its environment says otherwise."""
    return {
        "service": "serving.service:Tailorbird",
        "include": [*(f"{package}/" for package in PACKAGES), "bundle/", LOCKS[device]],
        "python": {"requirements_txt": LOCKS[device], "lock_packages": False},
        **({"envs": [{"name": "TAILORBIRD_DEVICE", "value": device}]} if device != "cpu" else {}),
    }


def build_bento(bundle: Path, device: Device = "cpu") -> str:
    """Build a Bento that holds a verified bundle, into BentoML's own store; its tag.

    Raises BundleError when the bundle is damaged, or with BentoML's last words when the build fails.
    """
    verify_bundle(bundle)
    with TemporaryDirectory(prefix="tailorbird-bento-") as folder:
        context = Path(folder)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, context / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(bundle, context / "bundle")
        (context / LOCKS[device]).parent.mkdir()
        shutil.copy(ROOT / LOCKS[device], context / LOCKS[device])
        (context / "bentofile.yaml").write_text(yaml.safe_dump(description_of(device)), encoding="utf-8")
        command = [sys.executable, "-m", "bentoml", "build", "--output", "tag", "."]
        built = subprocess.run(
            command,
            cwd=context,
            env={"BENTOML_DO_NOT_TRACK": "True", **environ},
            capture_output=True,
            text=True,
            check=False,
        )
    if built.returncode != 0:
        raise BundleError(f"bentoml build failed: {built.stderr.strip()[-500:]}")
    return built.stdout.strip().splitlines()[-1].removeprefix("__tag__:")
