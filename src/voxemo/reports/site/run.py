"""The page of a run: the paper's disclosure checklist, with what is missing shown as such, and its failed answers."""

from voxemo.core.disclosure import Point, checklist, contradictions, missing_points, open_points
from voxemo.core.disclosure import Section as ChecklistSection
from voxemo.reports.disclosure import disclosure
from voxemo.reports.site.audit import RunAudit, failure_blocks
from voxemo.reports.site.cells import SPEAKERS, corpus_path, model_path, run_path
from voxemo.reports.site.evidence import RunEvidence
from voxemo.reports.site.parts import (
    Block,
    Cell,
    Facts,
    Folded,
    Head,
    Listing,
    Page,
    Paragraph,
    Row,
    Section,
    Table,
    Verbatim,
    anchor_name,
    count,
    word,
)


def run_page(evidence: RunEvidence) -> Page:
    """The page of one run."""
    run, manifest = evidence.run, evidence.run.manifest
    card = next(iter(manifest.model_cards.values()))
    document = disclosure(manifest, evidence.workers, evidence.checks, scored_by=run.scorer_version)
    missing, unsettled = missing_points(document), open_points(document)
    blocks: list[Block] = [
        Facts(
            items=(
                ("Model", Cell(text=card.model_id, href=f"../{model_path(card.model_id)}")),
                (
                    "Corpus",
                    Cell(text=manifest.corpus_card.name, href=f"../{corpus_path(manifest.corpus_card.corpus_id)}"),
                ),
                ("Points missing", Cell(text=", ".join(missing), missing=True) if missing else word("none")),
                ("Points open", Cell(text=", ".join(unsettled), is_open=True) if unsettled else word("none")),
            )
        )
    ]
    if run.partial:
        blocks.append(Paragraph(text=f"Partial run: {run.partial}.", warning=True))
    blocks += [Paragraph(text=f"Contradiction: {text}", warning=True) for text in contradictions(document)]
    prompts = tuple(
        Folded(
            summary=f"{prompt.variant_id}, {prompt.form} form (version {prompt.variant_version})",
            blocks=(Verbatim(label="as the model got it", text=prompt.text),),
        )
        for prompt in manifest.prompts
    )
    return Page(
        path=run_path(manifest.run_id),
        title=manifest.run_id,
        lead="What this run is, point by point, as the paper asks to disclose it.",
        blocks=tuple(blocks),
        sections=(
            Section(title="Disclosure", anchor="disclosure", sections=tuple(map(_points, checklist(document)))),
            Section(title="Prompts", anchor="prompts", blocks=prompts),
            Section(title="Failed answers", anchor="failures", blocks=_failed(evidence)),
        ),
    )


def _points(section: ChecklistSection) -> Section:
    anchor = f"disclosure-{anchor_name(section.title)}"
    if all(not point.name for point in section.points):
        block: Block = Listing(items=tuple(map(_point, section.points)))
    else:
        block = Facts(items=tuple((point.name, _point(point)) for point in section.points))
    return Section(title=section.title, anchor=anchor, blocks=(block,))


def _point(point: Point) -> Cell:
    """A point with its value, or what it asks for where it is missing."""
    if point.value is None:
        return Cell(text=point.asks, missing=True)
    return Cell(text=point.value, is_open=True) if point.is_open else word(point.value)


def _failed(evidence: RunEvidence) -> tuple[Block, ...]:
    if evidence.failures is None:
        text = f"This run was parsed by an older version, which kept no reasons. Run: voxemo parse {evidence.run_id}"
        return (Paragraph(text=text, warning=True),)
    if not evidence.failures:
        return (Paragraph(text="Every answer could be read."),)
    return failure_blocks(evidence.failures, withheld=evidence.withheld)


def runs_page(audits: tuple[RunAudit, ...]) -> Page:
    """Every run, with a link to its disclosure."""
    rows = tuple(
        Row(
            cells=(
                Cell(text=audit.run_id, head=True, href=run_path(audit.run_id)),
                Cell(text=audit.model_id, href=model_path(audit.model_id)),
                Cell(text=audit.corpus_name, href=corpus_path(audit.corpus_id)),
                word(audit.split.split_id),
                word(SPEAKERS[audit.split.speaker_independent]),
                count(audit.n_answers),
            )
        )
        for audit in audits
    )
    heads = (
        *(Head(text=text) for text in ("run", "model", "corpus", "split", "speaker-independent")),
        Head(text="answers", numeric=True),
    )
    return Page(
        path="runs.html",
        title="Runs and their disclosure",
        lead="Each run's page has the paper's checklist; what is missing, or said not to be known, is shown as such.",
        sections=(
            Section(
                title="Runs",
                anchor="runs",
                blocks=(Table(caption="Every run of this site", heads=heads, rows=rows, sortable=True),),
            ),
        ),
    )
