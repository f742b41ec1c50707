"""`voxemo list` and `voxemo show`: the facts of the benchmark."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from voxemo.cli.common import (
    JsonOption,
    WorkspaceOption,
    console,
    emit,
    print_table,
    say,
    say_text,
    table,
    workspace_at,
)
from voxemo.core.errors import UnknownName

if TYPE_CHECKING:
    from voxemo.store.layout import Workspace

FORMS = ("hard", "distribution", "sft")
LISTS = ("corpus", "language", "model", "prompt", "metric", "backend")
ON_SCREEN = {"corpus": ["corpus", "language", "labels", "votes", "utterances", "layout", "access"]}
"""Columns for people, where all of them are too many for a terminal; --json gives all."""
SHOWN = ("corpus", "model", "prompt", "metric", "schema", "transfer")
TRANSFER_FORM = "a transfer is written SOURCE:TARGET, two corpora or two languages, such as crema-d:iemocap or en:pl"


def list_names(
    kind: Annotated[
        str, typer.Argument(help="corpus, language, model, prompt, metric or backend.", show_default=False)
    ],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what there is, with what matters about each; of corpora, those of your own in the workspace too."""
    if kind not in LISTS:
        raise UnknownName("kind", kind, LISTS)
    rows = {
        "corpus": lambda: _corpora(workspace_at(workspace)),
        "language": _languages,
        "model": _models,
        "prompt": _prompts,
        "metric": _metrics,
        "backend": _backends,
    }[kind]()
    from voxemo.catalog import lookup

    if as_json:
        emit(rows)
        return
    headers = ON_SCREEN.get(kind) or list(rows[0])
    print_table(console(), table(headers, [[str(row[name]) for name in headers] for row in rows]))
    if kind == "corpus":
        own = len(set(lookup.builtin_names("corpora")) & {row["corpus"] for row in rows})
        say(f"{own} corpora of the benchmark, {len(rows) - own} from plugins, the demo and you.")
        say("documented: no real label file was seen, and another form than the documented one is refused.")
        say("`voxemo show corpus NAME` prints every fact about one; `voxemo download NAME` says how to get it.")
    if kind == "model":
        say("untested: voxemo does not run it yet; `voxemo show model NAME` says what it needs.")


def _corpora(workspace: "Workspace") -> list[dict[str, str]]:
    from voxemo.catalog import lookup
    from voxemo.steps.corpora import find_card
    from voxemo.store.workspace import prepared_cards

    own = set(prepared_cards(workspace)) - set(lookup.corpus_names())
    rows = []
    for name in sorted({*lookup.corpus_names(), *own}):
        card = find_card(workspace, name)
        rows.append(
            {
                "corpus": name,
                "language": ", ".join(card.languages),
                "setting": card.setting.replace("_", " ") + (", synthetic" if card.synthetic else ""),
                "labels": str(len(card.labels.names)),
                "label source": "+".join(card.label_sources),
                "votes": "yes" if card.perception is not None and card.perception.votes_released else "no",
                "utterances": str(card.expected.n_utterances or "-"),
                "split": card.split.policy,
                "layout": card.layout,
                "access": card.access.kind,
            }
        )
    return rows


def _languages() -> list[dict[str, str]]:
    from voxemo.catalog import lookup
    from voxemo.catalog.transfer import language_groups

    return [
        {
            "language": group.language,
            "corpora": ", ".join(group.corpora),
            "labels of all": ", ".join(group.common_labels),
            "labels of any": str(len(group.labels)),
        }
        for group in language_groups(lookup.builtin_corpus_cards())
    ]


def _models() -> list[dict[str, str]]:
    from voxemo.catalog import lookup

    rows = []
    for name in lookup.model_names():
        card = lookup.model_card(name)
        corpora = card.training_corpora
        rows.append(
            {
                "model": name,
                "backend": card.backend,
                "family": card.family or "-",
                "support": card.support,
                "trained on": corpora if isinstance(corpora, str) else ", ".join(corpora) or "none known",
                "repository": card.repository or "-",
            }
        )
    return rows


def _prompts() -> list[dict[str, str]]:
    from voxemo.catalog import lookup

    rows = []
    for name in lookup.prompt_names():
        variant, template = lookup.prompt(name)
        rows.append(
            {
                "prompt": name,
                "name": variant.name,
                "blocks": ", ".join(variant.blocks),
                "version": variant.version,
                "template": f"{template.template_id} {template.version}",
            }
        )
    return rows


def _metrics() -> list[dict[str, str]]:
    from voxemo.steps.score import metrics

    return [
        {
            "metric": metric.name,
            "for": "hard labels" if "confusion" in metric.kind else "soft labels",
            "better": metric.direction,
            "range": f"{metric.low:g} to {'∞' if metric.high is None else format(metric.high, '.4g')}",
            "meaning": metric.description,
        }
        for metric in metrics().values()
    ]


def _backends() -> list[dict[str, str]]:
    from voxemo.backends.registry import backend_names

    return [{"backend": name} for name in backend_names()]


def show(
    kind: Annotated[str, typer.Argument(help="corpus, model, prompt, metric, schema or transfer.", show_default=False)],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Name of it, or path to a card; for transfer SOURCE:TARGET, two corpora or two languages.",
            show_default=False,
        ),
    ] = None,
    corpus: Annotated[str | None, typer.Option("--corpus", help="Corpus whose labels a prompt names.")] = None,
    form: Annotated[str, typer.Option("--form", help="hard, distribution, or sft (with its targets).")] = "hard",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a card, a JSON Schema, or exactly the text that a model gets."""
    if kind not in SHOWN:
        raise UnknownName("kind", kind, SHOWN)
    # Any number of words is taken, because the error can then say which form was expected.
    if names is None or len(names) != 1:
        given = " ".join(names or ()) or "nothing"
        expected = TRANSFER_FORM if kind == "transfer" else f"one name is shown: voxemo show {kind} NAME"
        raise typer.BadParameter(f"{expected}; got {given}")
    (name,) = names
    if kind == "prompt":
        _show_prompt(name, corpus, form, workspace_at(workspace), as_json)
    elif kind == "schema":
        from voxemo.core.schemas import SCHEMAS, json_schema

        if name not in SCHEMAS:
            raise UnknownName("schema", name, tuple(SCHEMAS))
        say_text(json.dumps(json_schema(name), indent=2, ensure_ascii=False))
    elif kind == "metric":
        rows = {row["metric"]: row for row in _metrics()}
        if name not in rows:
            raise UnknownName("metric", name, tuple(rows))
        if as_json:
            emit(rows[name])
            return
        for key, value in rows[name].items():
            say(f"{key}: {value}")
    elif kind == "transfer":
        _show_transfer(name, workspace_at(workspace), as_json)
    else:
        from voxemo.steps.corpora import find_card
        from voxemo.steps.fold_models import find_model

        at = workspace_at(workspace)
        card = find_card(at, name) if kind == "corpus" else find_model(at, name)
        content = card.model_dump(mode="json", exclude_none=True)
        if as_json:
            emit(content)
            return
        for line in _outline(content):
            say(line)


def _show_transfer(pair: str, workspace: "Workspace", as_json: bool) -> None:
    from voxemo.catalog import lookup, transfer
    from voxemo.steps.corpora import find_card
    from voxemo.store.workspace import prepared_cards

    source, colon, target = pair.partition(":")
    if not (source and colon and target):
        raise typer.BadParameter(f"{TRANSFER_FORM}; got {pair}")
    cards = lookup.builtin_corpus_cards()
    languages = {group.language for group in transfer.language_groups(cards)}
    corpora = {*lookup.corpus_names(), *prepared_cards(workspace)}
    if {source, target} & languages:
        if {source, target} & corpora:
            raise typer.BadParameter(f"a corpus and a language cannot be mixed, as in {pair}; {TRANSFER_FORM}")
        between = transfer.languages_shift(source, target, cards)
        if as_json:
            emit(asdict(between))
            return
        say(f"{source} to {target}")
        say(f"  labels shared: {_names(between.shared_labels)}")
        for corpus_id, labels in between.targets:
            say(f"  {corpus_id} can test: {_names(labels)}")
        return
    if not any(word in corpora or lookup.is_path(word) for word in (source, target)):
        raise typer.BadParameter(
            f"neither {source} nor {target} is a corpus or a language that voxemo knows; languages are BCP-47 tags, as "
            "in de:en. `voxemo list corpus` and `voxemo list language` show them"
        )
    shift = transfer.corpus_shift(find_card(workspace, source), find_card(workspace, target))
    if as_json:
        emit({**asdict(shift), "changed": shift.changed})
        return
    say(f"{source} to {target}: {_names(shift.changed)} {'change' if len(shift.changed) > 1 else 'changes'}")
    say(f"  labels shared: {_names(shift.shared_labels)} (against the source's, the target's set: {shift.label_set})")
    say(f"  labels that the source cannot teach: {_names(shift.unseen_labels)}")
    for what, (before, after) in {
        "setting": shift.setting,
        "elicitation": shift.elicitation,
        "recording": shift.recording,
        "label source": shift.label_source,
        "language": (_names(shift.languages[0]), _names(shift.languages[1])),
    }.items():
        say(f"  {what}: {before.replace('_', ' ')} to {after.replace('_', ' ')}")


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"


def _show_prompt(name: str, corpus: str | None, form: str, workspace: "Workspace", as_json: bool) -> None:
    from voxemo.catalog import lookup
    from voxemo.core.ids import sha256_text
    from voxemo.prompts.render import render_prompt
    from voxemo.prompts.sft import training_pair
    from voxemo.steps.corpora import find_card

    if form not in FORMS:
        raise UnknownName("form", form, FORMS)
    variant, template = lookup.prompt(name)
    if corpus is None:
        raise typer.BadParameter("a prompt names a corpus's labels: give --corpus NAME")
    label_set = find_card(workspace, corpus).label_set(lookup.label_table())
    targets: dict[str, str] = {}
    if form == "sft":
        pairs = {n: training_pair(n, variant=variant, template=template, label_set=label_set) for n in label_set.names}
        text = next(iter(pairs.values()))[0]
        targets = {n: target for n, (_, target) in pairs.items()}
    else:
        text = render_prompt(variant, template, form=form, label_set=label_set)  # type: ignore[arg-type]
    if as_json:
        emit(
            {
                "variant_id": variant.variant_id,
                "form": form,
                "text": text,
                "prompt_sha256": sha256_text(text),
                "targets": targets,
            }
        )
        return
    say_text(text)
    for label, target in targets.items():
        say_text(f"\ntarget for {label}:\n{target}")


def _outline(value: object, indent: int = 0) -> list[str]:
    """A document as indented lines: short values beside their name, long ones below it."""
    pad = "  " * indent
    lines: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, dict) and item:
                lines += [f"{pad}{key}:", *_outline(item, indent + 1)]
            elif isinstance(item, list) and any(isinstance(one, dict) for one in item):
                lines.append(f"{pad}{key}:")
                for one in item:
                    lines += [f"{pad}  -", *_outline(one, indent + 2)]
            elif isinstance(item, list):
                lines.append(f"{pad}{key}: {', '.join(map(str, item)) or 'none'}")
            elif item not in ({}, ""):
                lines.append(f"{pad}{key}: {item}")
    return lines
