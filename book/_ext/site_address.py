"""The addresses of the project, all derived from `repository.url` in _config.yml."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).resolve().parents[2]


def _config() -> dict:
    return yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))


def repository() -> tuple[str, str]:
    """Address and branch of the repository."""
    section = _config()["repository"]
    return section["url"].rstrip("/"), section.get("branch", "main")


def _owner_and_name(url: str) -> tuple[str, str]:
    owner, name = urlsplit(url).path.strip("/").removesuffix(".git").split("/")[:2]
    return owner, name


def pages(url: str) -> str:
    """Address of the published book: the host's convention for project pages, with a slash at the end."""
    owner, name = _owner_and_name(url)
    return f"https://{owner}.github.io/{name}/"


def colab(path: str) -> str:
    """Address at which Colab opens the notebook at `path` (relative to the repository's root)."""
    url, branch = repository()
    owner, name = _owner_and_name(url)
    host = _config()["launch_buttons"]["colab_url"].rstrip("/")
    return f"{host}/github/{owner}/{name}/blob/{branch}/{path}"
