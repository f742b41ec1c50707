"""`voxemo view`: listen to the utterances of a run beside their answers."""

from typing import Annotated

import typer

from voxemo.cli.common import JsonOption, RunArgument, WorkspaceOption, emit, say, workspace_at


def view(
    run: RunArgument,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on this machine; 0 for a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve a page on this machine alone, to listen to a parsed run: filter utterances, play them, compare answers."""
    from voxemo.reports.viewer.app import check_packages, make_app
    from voxemo.reports.viewer.guard import new_token
    from voxemo.reports.viewer.server import listen, serve, shown_in_browser
    from voxemo.steps.view import open_run

    check_packages()
    opened = open_run(workspace_at(workspace), run)
    with listen(port) as listening:
        host, given = listening.getsockname()
        token = new_token()
        app = make_app(opened, token=token, port=given)
        address = f"http://{host}:{given}/{token}/"
        try:
            if as_json:
                emit({"run_id": opened.manifest.run_id, "address": address, "notices": opened.facts()["notices"]})
            else:
                say(f"{opened.manifest.run_id}: {address}")
                say("Only who has this whole address can read it. Ctrl-C ends.")
            if browser:
                with shown_in_browser(address):
                    serve(app, listening)
            else:
                serve(app, listening)
        except KeyboardInterrupt:
            pass
    if not as_json:
        say("Ended.")
