"""README's tree is the real one: each path in it exists, and no folder that matters is missing from it."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PACKAGES = ("features", "models", "serving", "training")
BRANCH = re.compile(r"^(?P<indent>(?:│   |    )*)[├└]── (?P<name>\S+)")


def paths_in(block: str) -> Iterator[str]:
    """The paths that a drawn tree names, relative to its root, folders without their closing slash."""
    above: list[str] = []
    for line in block.splitlines():
        if branch := BRANCH.match(line):
            above = [*above[: len(branch["indent"]) // 4], branch["name"].rstrip("/")]
            yield "/".join(above)


def tree_in_readme() -> set[str]:
    blocks = re.findall(r"^```\w*\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    trees = [block for block in blocks if "├── " in block]
    assert len(trees) == 1, "README draws the tree of the repository once"
    return set(paths_in(trees[0]))


def ignored_folders() -> set[str]:
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    return {line.strip("/") for line in lines if line.endswith("/")}


def holds_files(folder: Path) -> bool:
    return any(path.is_file() and "__pycache__" not in path.parts for path in folder.rglob("*"))


def test_a_drawn_tree_is_read_as_paths() -> None:
    tree = "app/\n├── a/     why\n│   ├── b/\n│   │   └── c.py  what\n│   └── d.py\n└── e.md\n"
    assert list(paths_in(tree)) == ["a", "a/b", "a/b/c.py", "a/d.py", "e.md"]


def test_every_path_in_the_tree_exists() -> None:
    assert [path for path in sorted(tree_in_readme()) if not (ROOT / path).exists()] == []


def test_every_top_level_folder_is_in_the_tree() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and holds_files(path)}
    visible = {name for name in folders - ignored_folders() if not name.startswith((".", "__"))}
    assert visible - tree_in_readme() == set()


def test_every_package_is_in_the_tree() -> None:
    found = {str(path.parent.relative_to(ROOT)) for name in PACKAGES for path in (ROOT / name).rglob("__init__.py")}
    assert found >= set(PACKAGES)
    assert found - tree_in_readme() == set()
