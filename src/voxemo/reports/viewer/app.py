"""The listening page as an application: what each address gives. Who may ask is decided in ``guard``."""

import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, get_args
from urllib.parse import quote

import polars as pl

from voxemo.audio.decoded import Decoded
from voxemo.core.errors import AudioError, CorpusNotFound, MissingDependency, UnknownName, VoxEmoError
from voxemo.core.escape import for_html
from voxemo.reports.tables import csv_text
from voxemo.reports.viewer.clips import Clip, clip_of
from voxemo.reports.viewer.exports import names_of
from voxemo.reports.viewer.guard import Application, guarded, own_hosts
from voxemo.reports.viewer.kept import Kept
from voxemo.reports.viewer.pictures import AXES, Theme, describe, draw
from voxemo.reports.viewer.ranges import UnsatisfiableError, byte_range
from voxemo.reports.viewer.visible import pieces

FOLDER = Path(__file__).parent
KEPT_CLIPS = 4
KEPT_PICTURES = 16
_PACKAGES = ("jinja2", "matplotlib", "starlette", "uvicorn")


class Listening(Protocol):
    """A run as the page asks for it; ``steps.view.OpenRun`` is one."""

    def facts(self) -> dict[str, Any]:
        """What stays the same: names, choices of every field, notices."""

    def page(self, words: Mapping[str, str]) -> dict[str, Any]:
        """One page of the utterances that the words ask for."""

    def selection(self, words: Mapping[str, str]) -> pl.DataFrame:
        """Every fact of all of them."""

    def utterance(self, utterance_id: str) -> dict[str, Any]:
        """Everything about one."""

    def clip(self, utterance_id: str) -> tuple[Decoded, str | None]:
        """Its samples, and what is odd about them."""


def check_packages() -> None:
    """Raise MissingDependency where a package of the extra ``report`` is not installed."""
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise MissingDependency("The listening page", package=package, extra="report")


def make_app(run: Listening, *, token: str, port: int) -> Application:
    """The page and its data below ``/<token>/``, for a browser on this machine.

    Args:
        run: whose utterances are listened to.
        token: that every address begins with.
        port: that it is served on; requests to other hosts are refused.

    Raises:
        MissingDependency: a package of the extra ``report`` is not installed.
    """
    check_packages()
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    clips: Kept[str, Clip] = Kept(lambda name: clip_of(*run.clip(name)), most=KEPT_CLIPS)
    pictures: Kept[tuple[str, Theme], bytes] = Kept(
        lambda asked: draw(clips.get(asked[0]).waveform, asked[1]), most=KEPT_PICTURES
    )
    page = _render(run.facts())

    def index(request: Request) -> Response:
        return Response(page, media_type="text/html")

    def style(request: Request) -> Response:
        return Response((FOLDER / "style.css").read_bytes(), media_type="text/css")

    def script(request: Request) -> Response:
        return Response((FOLDER / "script.js").read_bytes(), media_type="text/javascript")

    def icon(request: Request) -> Response:
        return Response((FOLDER / "icon.svg").read_bytes(), media_type="image/svg+xml")

    def utterances(request: Request) -> Response:
        return _json(run.page(request.query_params))

    def utterance(request: Request) -> Response:
        content = run.utterance(_name(request))
        for answer in content["answers"]:
            answer["pieces"] = pieces(answer["text"] or "", answer["parts"])
        return _json(content)

    def clip(request: Request) -> Response:
        try:
            made = clips.get(_name(request))
        except (AudioError, CorpusNotFound) as problem:
            # Broken audio is a fact about the utterance, and the page says it.
            return _json({"problem": str(problem)})
        facts = {name: getattr(made, name) for name in ("duration_s", "sample_rate_hz", "n_channels", "note")}
        return _json({**facts, "description": describe(made.waveform), "axes": AXES})

    def audio(request: Request) -> Response:
        wav = clips.get(_name(request)).wav
        headers = {"accept-ranges": "bytes"}
        try:
            part = byte_range(request.headers.get("range"), len(wav))
        except UnsatisfiableError:
            return Response(status_code=416, headers={**headers, "content-range": f"bytes */{len(wav)}"})
        if part is None:
            return Response(wav, media_type="audio/wav", headers=headers)
        start, stop = part
        headers["content-range"] = f"bytes {start}-{stop - 1}/{len(wav)}"
        return Response(wav[start:stop], status_code=206, media_type="audio/wav", headers=headers)

    def picture(request: Request) -> Response:
        theme = request.query_params.get("theme", "light")
        if theme not in get_args(Theme):
            raise UnknownName("theme", theme, get_args(Theme))
        return Response(pictures.get((_name(request), theme)), media_type="image/png")

    def export_csv(request: Request) -> Response:
        return _file(csv_text(run.selection(request.query_params)), "utterances.csv", "text/csv")

    def export_names(request: Request) -> Response:
        return _file(names_of(run.selection(request.query_params)), "utterances.txt", "text/plain")

    def refused(request: Request, problem: Exception) -> Response:
        return _json({"problem": str(problem)}, status=400 if isinstance(problem, UnknownName) else 404)

    views: dict[str, Callable[[Request], Response]] = {
        "/": index,
        "/style.css": style,
        "/script.js": script,
        "/icon.svg": icon,
        "/api/utterances": utterances,
        "/api/utterance": utterance,
        "/api/clip": clip,
        "/audio": audio,
        "/picture": picture,
        "/utterances.csv": export_csv,
        "/utterances.txt": export_names,
    }
    app = Starlette(
        routes=[Route(path, view) for path, view in views.items()], exception_handlers={VoxEmoError: refused}
    )
    return guarded(app, token=token, hosts=own_hosts(port))


def _name(request: Any) -> str:
    return str(request.query_params.get("id", ""))


def _json(content: Any, *, status: int = 200) -> Any:
    from starlette.responses import Response

    # In ASCII, since half of a surrogate pair has no other form.
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Response(text, status_code=status, media_type="application/json")


def _file(content: str, name: str, kind: str) -> Any:
    from starlette.responses import Response

    return Response(content, media_type=kind, headers={"content-disposition": f"attachment; filename={quote(name)}"})


def _render(facts: Mapping[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=for_html,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("page.html").render(facts)
