"""The files that pages load: our style sheet and script, and DataTables as the package itables ships it.

Nothing of DataTables is in our repository. It is taken from the installed package when a site is made.
"""

import re
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

from voxemo.core.errors import MissingDependency

STATIC = Path(__file__).parent / "static"
EXPORTS = re.compile(r"\bexport\s*\{([^{}]*)\}\s*;?")
LICENCES = re.compile(r"/\*! Bundled license information:.*?\*/", re.DOTALL)


def assets() -> dict[str, str]:
    """Name to content of every file in the site's folder ``assets``.

    Raises:
        MissingDependency: itables is not installed, or ships DataTables in another form than ours.
    """
    bundle = _bundle()
    return {
        "site.css": (STATIC / "site.css").read_text(encoding="utf-8"),
        "site.js": (STATIC / "site.js").read_text(encoding="utf-8"),
        "datatables.js": classic_script(bundle),
        "licences.txt": _licences(bundle),
    }


def _bundle() -> str:
    found = find_spec("itables")
    if found is None or not found.submodule_search_locations:
        raise MissingDependency("The web report", package="itables", extra="report")
    path = Path(found.submodule_search_locations[0]) / "html" / "dt_bundle.js"
    if not path.is_file():
        raise _unlike("it has no html/dt_bundle.js")
    return path.read_text(encoding="utf-8")


def classic_script(module: str) -> str:
    r"""DataTables' module as a script that pages opened from a file can load.

    Browsers load modules across origins only, and to them each file on disk is an origin of its own: Chromium refuses
    ``<script type="module" src>`` from ``file:``. An inline module would work, and would put 600 KB into every page and
    need a hash of it in the policy. So the module's body goes into a function, in strict mode as a module is, and what
    the module exports by default becomes the global ``DataTable``.

    Raises:
        MissingDependency: the module's exports are not where those of the known versions are.

    >>> classic_script("var a=1;export{a as default};").replace("\n", "")
    '(()=>{"use strict";var a=1;globalThis.DataTable=a;})();'
    """
    found = list(EXPORTS.finditer(module))
    names = {} if len(found) != 1 else dict(map(_exported, found[0].group(1).split(",")))
    if "default" not in names or re.search(r"^\s*import\b", module):
        raise _unlike("its module exports no default")
    body = EXPORTS.sub(f"globalThis.DataTable={names['default']};", module)
    return f'(()=>{{"use strict";{body}\n}})();\n'


def _exported(text: str) -> tuple[str, str]:
    local, _, name = text.strip().partition(" as ")
    return name or local, local


def _unlike(why: str) -> MissingDependency:
    return MissingDependency(
        f"The web report, which takes DataTables from itables and does not know the installed one ({why}),",
        package="itables>=2.9",
        extra="report",
    )


def _licences(bundle: str) -> str:
    """The licences of itables and of what is bundled in it, as they are shipped."""
    shipped = distribution("itables")
    texts = [
        f"{path.name} of itables {shipped.version}\n\n{path.read_text(encoding='utf-8')}"
        for path in shipped.files or ()
        if "licenses" in path.parts
    ]
    bundled = [found.group(0) for found in LICENCES.finditer(bundle)]
    return "\n\n".join(
        ["datatables.js is DataTables with its extensions, as the Python package itables ships it.", *texts, *bundled]
    )
