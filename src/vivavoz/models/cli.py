"""``vivavoz models list | fetch | verify``."""

from __future__ import annotations

import argparse
import os
import sys
import time

from vivavoz.models.errors import ModelCorrupt, ModelError
from vivavoz.models.fetch import Progress, fetch
from vivavoz.models.store import Store

DEFAULT_SET = "english"


def models_command(argv: list[str]) -> int:
    """Run it with the arguments behind ``models``. 0: all well; 1: something is missing or wrong."""
    arguments = _parser().parse_args(argv)
    store = Store()
    try:
        match arguments.action:
            case "fetch":
                return _fetch(store, arguments.names or [DEFAULT_SET], arguments.allow_hub)
            case "verify":
                return _verify(store, arguments.names)
            case _:
                return _list(store)
    except KeyboardInterrupt:
        _say("\ninterrupted; nothing half written was kept")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vivavoz models", description="The models of the embedded engines: what there is, what is here."
    )
    actions = parser.add_subparsers(dest="action", metavar="list | fetch | verify")
    actions.add_parser("list", help="all models, and which are on this machine (the default)")
    getting = actions.add_parser("fetch", help="download models and check their hashes")
    getting.add_argument("names", nargs="*", help=f"models or sets; without any, the set '{DEFAULT_SET}'")
    getting.add_argument(
        "--allow-hub",
        action="store_true",
        default=os.environ.get("VIVAVOZ_ALLOW_HUB", "") not in ("", "0"),
        help="also download from Hugging Face (or set VIVAVOZ_ALLOW_HUB=1)",
    )
    checking = actions.add_parser("verify", help="hash the models that are here once more")
    checking.add_argument("names", nargs="*", help="models or sets; without any, all that are here")
    return parser


def _list(store: Store) -> int:
    rows = []
    for model in store.catalogue:
        try:
            store.locate(model.name)
            state = "here"
        except ModelCorrupt:
            state = "WRONG"
        except ModelError:
            state = "-"
        quality = f" ({model.quality})" if model.quality else ""
        languages = ",".join(model.languages).replace("*", "any")
        rows.append((model.name, model.task, languages, _mb(model.size), model.licence, state + quality))
    rows.insert(0, ("NAME", "TASK", "LANGUAGES", "SIZE", "LICENCE", "STATE"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        _say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    sets = "; ".join(f"{name} = {' '.join(members)}" for name, members in store.catalogue.sets.items())
    _say(f"\nsets: {sets}\ncache: {store.cache}\nget one with: vivavoz models fetch NAME")
    return 0


def _fetch(store: Store, names: list[str], allow_hub: bool) -> int:
    failed = False
    for name in _expand(store, names):
        try:
            located = fetch(store, name, _Line(), allow_hub=allow_hub)
            _say(f"{name}: ready in {located.path().parent}")
        except ModelError as error:
            failed = True
            _complain(error.message)
    return 1 if failed else 0


def _verify(store: Store, names: list[str]) -> int:
    wrong = False
    for name in _expand(store, names) if names else [model.name for model in store.catalogue]:
        try:
            located = store.locate(name)
            for file in located.model.files:
                problem = store.check(located.path(file.name), file, again=True)
                if problem:
                    raise ModelCorrupt(
                        f"{name}: {located.path(file.name)} {problem}. "
                        f"Mend it with `vivavoz models fetch {name}`."
                    )
            _say(f"{name}: right ({located.path().parent})")
        except ModelError as error:
            if names or isinstance(error, ModelCorrupt):
                wrong = True
                _complain(error.message)
    return 1 if wrong else 0


def _expand(store: Store, names: list[str]) -> list[str]:
    """Sets become their members; each model once."""
    expanded = [member for name in names for member in store.catalogue.sets.get(name, [name])]
    return list(dict.fromkeys(expanded))


class _Line:
    """Progress: one line that renews itself on a terminal, one line in ten percent elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._last = 0.0
        self._told: tuple[str, int] = ("", -1)

    def __call__(self, progress: Progress) -> None:
        percent = 100 * progress.done // max(1, progress.total)
        text = (
            f"{progress.model}: {progress.file} {percent:3d} %  "
            f"{_mb(progress.done)} of {_mb(progress.total)}  from {progress.source}"
        )
        if self._live:
            now = time.monotonic()
            if now - self._last >= 0.1 or percent == 100:
                self._last = now
                sys.stderr.write(f"\r\x1b[K{text}" + ("\n" if progress.done == progress.total else ""))
                sys.stderr.flush()
        elif (told := (progress.file, percent // 10)) != self._told:
            self._told = told
            sys.stderr.write(text + "\n")


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _complain(text: str) -> None:
    sys.stderr.write(f"vivavoz: {text}\n")
