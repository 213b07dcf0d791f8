"""deploy/ by the tools that know its languages: Kubernetes' schemas, the Dockerfile linter, promtool; and by what runs.

No container engine is needed: what the image would start is started by tests/slow/test_bento.py in a clean environment.
"""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted(
    path for path in (DEPLOY / "kubernetes").rglob("*.yaml") if path.name not in ("kustomization.yaml", "serving.yaml")
)
DOCKERFILES = sorted(DEPLOY.glob("*Dockerfile"))


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def manifests(kind: str) -> list[dict[str, Any]]:
    return [one for path in MANIFESTS for one in documents(path) if one["kind"] == kind]


def patched(overlay: str) -> list[dict[str, Any]]:
    """The base's manifests of the kinds that an overlay patches, as it makes them."""
    content = yaml.safe_load((DEPLOY / "kubernetes" / "overlays" / overlay / "kustomization.yaml").read_text())
    made = []
    for patch in content["patches"]:
        (one,) = copy.deepcopy(manifests(patch["target"]["kind"]))
        assert one["metadata"]["name"] == patch["target"]["name"]
        for change in yaml.safe_load(patch["patch"]):
            apply(one, **change)
        made.append(one)
    return made


def apply(document: Any, op: str, path: str, value: Any) -> None:
    """One operation of a JSON patch (RFC 6902), of those in our overlays; KeyError where it finds nothing."""
    *way, last = path.removeprefix("/").split("/")
    for part in way:
        document = document[int(part) if isinstance(document, list) else part]
    if (op, last) == ("add", "-"):
        document.append(value)
        return
    place = int(last) if isinstance(document, list) else last
    if op == "add":
        assert place not in document
    elif op == "test":
        assert document[place] == value
    else:
        assert op == "replace"
        assert document[place] is not None
    document[place] = value


def pods() -> list[dict[str, Any]]:
    """The pod templates of the deployment and of the jobs."""
    (job,) = manifests("CronJob")
    templates = [manifests("Deployment")[0]["spec"]["template"], job["spec"]["jobTemplate"]["spec"]["template"]]
    return [*templates, *(one["spec"]["template"] for one in manifests("Job"))]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_is_what_kubernetes_reads(path: Path) -> None:
    for one in documents(path):
        kubernetes_validate.validate(one, "1.37", strict=True)


def test_a_manifest_with_a_misspelt_key_would_fail() -> None:
    (deployment,) = manifests("Deployment")
    deployment["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(deployment, "1.37", strict=True)


def test_kustomize_names_every_manifest_and_nothing_else() -> None:
    for path in (DEPLOY / "kubernetes").rglob("kustomization.yaml"):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        named = {path.parent / one for one in content["resources"]}
        named |= {path.parent / one for maps in content.get("configMapGenerator", []) for one in maps["files"]}
        assert all(one.exists() for one in named)
        assert {one for one in path.parent.glob("*.yaml") if one != path} <= named


@pytest.mark.parametrize("overlay", sorted(one.name for one in (DEPLOY / "kubernetes" / "overlays").iterdir()))
def test_an_overlay_makes_manifests_that_kubernetes_reads(overlay: str) -> None:
    for one in patched(overlay):
        kubernetes_validate.validate(one, "1.37", strict=True)


def test_with_bundles_at_an_address_a_pod_mounts_no_bundles_and_has_room_for_a_cache() -> None:
    deployment, job = patched("address")
    serving = deployment["spec"]["template"]["spec"]
    training = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = serving["containers"]
    told = {one["name"]: one.get("value") for one in container["env"]}
    assert told["TAILORBIRD_REGISTRY"].startswith("s3://")
    assert training["containers"][0]["args"][-2:] == ["--registry", told["TAILORBIRD_REGISTRY"]]
    assert not any("persistentVolumeClaim" in one for one in serving["volumes"])
    for pod in (serving, training):
        (container,) = pod["containers"]
        (cache,) = [one["value"] for one in container["env"] if one["name"] == "TAILORBIRD_CACHE"]
        writable = [one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")]
        assert any(Path(cache).is_relative_to(one) for one in writable)
        assert {one["name"] for one in container["volumeMounts"]} <= {one["name"] for one in pod["volumes"]}
        assert container["securityContext"]["readOnlyRootFilesystem"]


def test_a_pod_asks_for_the_memory_that_was_measured() -> None:
    """Of the first worker over a million items; a bundle that is opened beside it fits into the limit."""
    measured = json.loads((ROOT / "benchmarks" / "serving" / "results.json").read_text(encoding="utf-8"))["1m"]
    (container,) = pods()[0]["spec"]["containers"]
    asked, limit = (in_mb(container["resources"][name]["memory"]) for name in ("requests", "limits"))
    assert measured["worker_mb"] <= asked <= 1.5 * measured["worker_mb"]
    assert 2 * measured["worker_mb"] <= limit


def in_mb(quantity: str) -> float:
    """Megabytes of a Kubernetes quantity of memory."""
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * {"Mi": 2**20, "Gi": 2**30}[unit] / 1e6


@pytest.mark.parametrize("pod", pods(), ids=lambda pod: pod["metadata"]["labels"]["app.kubernetes.io/component"])
def test_a_pod_may_do_nothing_that_it_need_not(pod: dict[str, Any]) -> None:
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert not pod["spec"]["automountServiceAccountToken"]
    for container in pod["spec"]["containers"]:
        allowed = container["securityContext"]
        assert allowed["readOnlyRootFilesystem"]
        assert not allowed["allowPrivilegeEscalation"]
        assert allowed["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert "password" not in str(container).lower()


def test_the_probes_ask_for_pages_that_there_are() -> None:
    from serving.service import ROUTES

    (container,) = pods()[0]["spec"]["containers"]
    probes = [container[f"{name}Probe"]["httpGet"]["path"] for name in ("liveness", "readiness", "startup")]
    assert probes == ["/livez", "/readyz", "/livez"]
    assert set(probes) <= set(ROUTES)


def test_the_machines_of_a_training_find_each_other_and_run_what_the_image_has() -> None:
    (job,) = manifests("Job")
    (service,) = [one for one in manifests("Service") if one["spec"].get("clusterIP") == "None"]
    spec, pod = job["spec"], job["spec"]["template"]
    assert spec["completions"] == spec["parallelism"]
    assert pod["spec"]["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    options = dict(one.removeprefix("--").split("=") for one in container["args"] if one.startswith("--"))
    assert options["nnodes"] == str(spec["completions"])
    assert options["master-addr"] == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert options["master-port"] == str(service["spec"]["ports"][0]["port"])
    entrypoint = re.findall(r"^ENTRYPOINT (.*)$", (DEPLOY / "training.Dockerfile").read_text(), re.MULTILINE)[-1]
    assert yaml.safe_load(entrypoint) == [*container["command"][:3], container["args"][5]]


@pytest.mark.parametrize("path", ["serving.yaml", "kubernetes/base/serving.yaml"])
def test_what_is_served_is_a_configuration_that_prometheus_may_watch(path: str) -> None:
    """Keys guard all but the metrics, which are asked for from another machine."""
    from serving.lifecycle.opening import serving_config

    config = serving_config({"TAILORBIRD_CONFIG": str(DEPLOY / path)})
    assert config.workers == 1
    assert config.access.open_metrics
    assert not config.access.open


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_a_dockerfile_has_no_fault_that_the_linter_knows(path: Path) -> None:
    linter = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([linter, path], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_a_dockerfile_copies_is_there_and_not_ignored(path: Path) -> None:
    allowed = path.with_name(f"{path.name}.dockerignore").read_text(encoding="utf-8").splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", path.read_text(encoding="utf-8"), re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists()
            assert f"!{name}" in allowed


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_runs_as_nobody_in_particular(path: Path) -> None:
    last = path.read_text(encoding="utf-8").rpartition("FROM ")[2]
    assert "\nUSER 10001\n" in last
    assert 'ENTRYPOINT ["tini", "--"' in last


def test_the_image_starts_what_serve_starts() -> None:
    from serving.lifecycle.launch import command_of

    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    command = yaml.safe_load(text.rpartition("\nCMD ")[2])
    assert command[1:] == command_of("0.0.0.0", 3000)[1:]


def test_the_image_has_the_serving_set_or_that_for_a_gpu() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert "ARG SET=serving\n" in text
    assert "-r requirements/${SET}.txt" in text
    assert re.findall(r"SET=(serving-\w+)", text) == ["serving-gpu"]
    assert (DEPLOY.parent / "requirements" / "serving-gpu.txt").exists()


def test_compose_mounts_files_that_there_are() -> None:
    content = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    mounted = [
        volume.partition(":")[0]
        for service in content["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]
    assert mounted
    assert all((DEPLOY / one).exists() for one in mounted)
    assert content["services"]["tailorbird"]["read_only"]


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: the queries are only held against the names of the metrics")
    folder = shutil.copytree(DEPLOY / "prometheus", tmp_path / "prometheus")
    done = subprocess.run(
        [promtool, "check", "config", folder / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
