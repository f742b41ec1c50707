"""Whether a piece of LaTeX is sound, without LaTeX: braces and environments close, and only known commands are used."""

import re

ALLOWED = frozenset(
    {
        "documentclass",
        "usepackage",
        "begin",
        "end",
        "input",
        "footnotesize",
        "setlength",
        "belowcaptionskip",
        "centering",
        "caption",
        "label",
        "toprule",
        "midrule",
        "bottomrule",
        "endfirsthead",
        "endhead",
        "endfoot",
        "endlastfoot",
        "multicolumn",
        "textbf",
        "underline",
        "textit",
        "textbackslash",
        "textasciitilde",
        "textasciicircum",
        "textless",
        "textgreater",
        "textbar",
        "textperiodcentered",
        "char",
        "dagger",
        "rightarrow",
        "leq",
        "geq",
        "times",
        "pm",
        "ldots",
    }
)
SYMBOLS = frozenset("\\&%$#_{}")
PIECES = re.compile(r"\\([A-Za-z]+|.)|%[^\n]*|[{}$&#^~]", re.DOTALL)


def problems(text: str) -> list[str]:
    """What LaTeX would stumble over, or do, that a table has no business doing; empty for a sound piece."""
    found: list[str] = []
    open_braces, environments, in_math = 0, [], False
    for match in PIECES.finditer(text):
        piece, command = match[0], match[1]
        if piece.startswith("%") and text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip():
            found.append(f"a comment swallows the end of a line: {piece[:40]!r}")
        elif command is not None and (command not in ALLOWED if command.isalpha() else command not in SYMBOLS):
            found.append(f"the command {piece!r}")
        elif command in ("begin", "end"):
            name = re.match(r"\{(\w+)\}", text[match.end() :])
            assert name is not None
            if command == "begin":
                environments.append(name[1])
            elif not environments or environments.pop() != name[1]:
                found.append(f"the end of {name[1]}, which did not begin")
        elif piece == "{":
            open_braces += 1
        elif piece == "}":
            open_braces -= 1
            if open_braces < 0:
                found.append("a brace too many")
        elif piece == "$":
            in_math = not in_math
        elif piece in "#~" or (piece == "^" and not in_math):
            found.append(f"a bare {piece!r}")
    if open_braces or environments or in_math:
        found.append(f"left open: {open_braces} braces, {environments}, math {in_math}")
    found += [
        f"the character U+{ord(one):04X}" for one in sorted(set(text)) if one > "\u017f" or (one < " " and one != "\n")
    ]
    return found


def columns(text: str) -> set[int]:
    """Numbers of cells in the rows of a table's body; one, if it is sound."""
    body = [
        line for line in text.splitlines() if line.endswith(r"\\") and not line.startswith((r"\label", r"\midrule"))
    ]
    return {len(re.findall(r"(?<!\\)&", line)) + 1 for line in body}
