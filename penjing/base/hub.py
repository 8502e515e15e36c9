"""A model by its folder or by its id on the Hugging Face hub: `owner/name`, `owner/name@revision`, `hub:name`.

What stands here is never looked for there. The hub's own settings hold: HF_HOME and HF_HUB_CACHE (where downloads are
kept), HF_ENDPOINT (a mirror), HF_TOKEN (gated models), HF_HUB_OFFLINE=1 (only what was downloaded before).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from penjing.base.errors import ModelError
from penjing.base.files import absent
from penjing.base.progress import tell

ID = re.compile(r"(hub:)?([\w.-]+(?:/[\w.-]+)?)(?:@([\w./-]+))?")
WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.spm", "*.jinja"]
PICKLED = ["pytorch_model*.bin"]  # only where there are no safetensors; read without running anything in it
UNWANTED = ["*/*", "consolidated*"]  # other formats in folders of their own; the same weights under their makers' names


class HubId(NamedTuple):
    """A model on the hub."""

    name: str
    revision: str | None

    def __str__(self) -> str:
        return self.name if self.revision is None else f"{self.name}@{self.revision}"


def hub_id(source: str | Path, revision: str | None = None) -> HubId | None:
    """The id that a text means, or None where it means a path: something or its folder is here, or it is no id."""
    found = ID.fullmatch(str(source))
    if not found or Path(source).exists():
        return None
    owner, slash, _ = found[2].partition("/")
    if not found[1] and (not slash or Path(owner).exists()):
        return None
    return HubId(found[2], found[3] or revision)


def local_folder(source: str | Path, revision: str | None = None) -> Path:
    """The folder that a path or a hub id means, downloaded if need be. Raises P-FILE-001 and P-MODEL-051 to -054."""
    wanted = hub_id(source, revision)
    if wanted is not None:
        return downloaded(wanted)
    if not Path(source).exists():
        raise absent(Path(source))
    if revision is not None:
        raise ModelError("P-MODEL-054", file=source, given=revision)
    return Path(source)


def downloaded(wanted: HubId) -> Path:
    """The folder of a model of the hub: from the cache, or fetched into it."""
    tell("note", "hub", f"{wanted}: from the Hugging Face hub, or from what was downloaded before", model=str(wanted))
    folder = fetch(wanted, WANTED)
    if (folder / "config.json").exists() and not any(folder.glob("*.safetensors")):
        folder = fetch(wanted, WANTED + PICKLED)
    return folder


def fetch(wanted: HubId, patterns: list[str]) -> Path:
    """One call of the hub's client; its errors become ours."""
    import huggingface_hub
    from huggingface_hub import errors

    try:
        found = huggingface_hub.snapshot_download(
            wanted.name,
            revision=wanted.revision,
            allow_patterns=patterns,
            ignore_patterns=UNWANTED,
            tqdm_class=silent(),
        )
    except errors.GatedRepoError as error:
        raise ModelError("P-MODEL-052", given=wanted.name) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError) as error:
        raise ModelError("P-MODEL-051", given=str(wanted)) from error
    except (errors.HfHubHTTPError, OSError, ValueError) as error:
        raise ModelError("P-MODEL-053", given=str(wanted), reason=str(error).splitlines()[0]) from error
    return Path(found)


def silent() -> Any:
    """The hub's progress bar, showing nothing: the library never prints."""
    from huggingface_hub.utils import tqdm

    class Silent(tqdm):
        def __init__(self, *given: Any, **options: Any):
            super().__init__(*given, **{**options, "disable": True})

    return Silent
