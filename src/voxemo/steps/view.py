"""A parsed run opened for listening: its table, and everything about one utterance when it is asked for.

The run's parquet files are read by the columns and rows that are needed, and texts one answer at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from threading import RLock
from typing import Any

import numpy as np
import polars as pl

from voxemo.audio.decoded import Decoded
from voxemo.audio.load import decode, samples_sha256
from voxemo.catalog import lookup
from voxemo.core.cards import RunManifest
from voxemo.core.errors import AudioError, NotPrepared, RunError
from voxemo.core.labels import LabelSet
from voxemo.core.reasons import REASONS
from voxemo.core.types import Reading, Response
from voxemo.parsing.reasons import PARSER_VERSION
from voxemo.parsing.repair import REPAIRS
from voxemo.parsing.spans import read_parts
from voxemo.scoring import ensembles
from voxemo.scoring.hard import FAILED
from voxemo.steps.parse import READINGS, journal_bytes
from voxemo.steps.view_table import (
    AGREEMENTS,
    EVERY,
    FAILED_ANSWER,
    NO_ANSWER,
    NO_LABEL,
    OUTCOMES,
    PAGE_ROWS,
    SORTS,
    Query,
    RunTable,
    assemble,
    counts,
    export,
    page_of,
    select,
)
from voxemo.store.files import read_json
from voxemo.store.journal_index import JournalIndex, index_journals
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.manifest import read_manifest
from voxemo.store.tables import PLAN, PREDICTIONS, UTTERANCES, VOTES, scan_table
from voxemo.store.workspace import corpus_root

MOST_SPEAKERS = 500
"""Named as suggestions; others can still be typed."""


def open_run(workspace: Workspace, run: Path) -> "OpenRun":
    """Open a parsed run for listening. Nothing is written.

    Args:
        workspace: holds the prepared corpus, and knows where its audio lies.
        run: the run folder; `parse` must have run, `score` need not.

    Raises:
        RunError: no such run, no predictions, or another version of the corpus than the one planned.
        NotPrepared: the corpus is not prepared in this workspace.
    """
    manifest = read_manifest(run)
    corpus_id = manifest.corpus_card.corpus_id
    report = workspace.prepare_report(corpus_id)
    if not report.is_file():
        raise NotPrepared(corpus_id)
    if read_json(report)["utterances_sha256"] != manifest.utterances_sha256:
        raise RunError(
            f"{manifest.run_id} was planned for another version of {corpus_id} than the one prepared in this "
            "workspace. Point --workspace to the one it was planned with, or plan a new run."
        )
    predictions = scan_table(RunPaths(run).predictions, PREDICTIONS)
    if not predictions.select(pl.len()).collect().item():
        raise RunError(f"{manifest.run_id} has no answer to look at yet. Run `voxemo infer` and `voxemo parse` on it.")
    return OpenRun(
        run=run,
        manifest=manifest,
        workspace=workspace,
        plan=scan_table(RunPaths(run).plan, PLAN),
        predictions=predictions,
        utterances=scan_table(workspace.utterances(corpus_id), UTTERANCES),
        votes=scan_table(workspace.votes(corpus_id), VOTES),
        journal=index_journals(RunPaths(run).responses),
    )


@dataclass(frozen=True, kw_only=True)
class OpenRun:
    """What the listening page asks of a run. Every value that it gives is plain: text, numbers, lists and dicts."""

    run: Path
    manifest: RunManifest
    workspace: Workspace
    plan: pl.LazyFrame
    predictions: pl.LazyFrame
    utterances: pl.LazyFrame
    votes: pl.LazyFrame
    journal: JournalIndex
    _tables: dict[str, RunTable] = field(default_factory=dict)
    _making: RLock = field(default_factory=RLock)

    def table(self, reading: str = "strict") -> RunTable:
        """The run's table by a reading; made at the first use."""
        # Pages are asked for by several threads, and each would make its own.
        with self._making:
            if reading not in self._tables:
                self._tables[reading] = self._make_table(reading)
            return self._tables[reading]

    def _make_table(self, reading: str) -> RunTable:
        position = {name: number for number, name in enumerate(self.manifest.label_names)}
        code = (
            pl.when(pl.col("status") == "failed")
            .then(FAILED)
            .when(pl.col("form") == "distribution")
            .then(pl.col("distribution").list.arg_max())
            .otherwise(pl.col("label").replace_strict(position, default=None, return_dtype=pl.Int8))
        )
        answers = (
            self.predictions.filter(pl.col("reading") == reading)
            .select("utterance_id", "system_id", "form", code=code.cast(pl.Int8))
            .join(self._tested.lazy().select("utterance_id", "row"), on="utterance_id", maintain_order="left")
            .select("row", pl.col("system_id", "form").cast(pl.Categorical), "code")
            .collect()
        )
        return assemble(
            self._tested.drop("row"),
            answers,
            self._vote_sums,
            label_names=self.manifest.label_names,
            five=lookup.prompt_names(),
        )

    @cached_property
    def _tested(self) -> pl.DataFrame:
        """The tested utterances with their facts, in the order of the plan."""
        position = {name: number for number, name in enumerate(self.manifest.label_names)}
        gold = pl.col(self.manifest.label_source).replace_strict(position, default=None, return_dtype=pl.Int8)
        facts = self.utterances.select(
            "utterance_id", "speaker_id", "speaker_gender", "language", "duration_s", gold=gold
        )
        # Of an utterance that several folds test, the first names its fold.
        tested = self.plan.select("utterance_id", "partition", "fold_id").unique(
            "utterance_id", keep="first", maintain_order=True
        )
        return tested.join(facts, on="utterance_id", how="left", maintain_order="left").with_row_index("row").collect()

    @cached_property
    def _vote_sums(self) -> pl.DataFrame:
        inside = self.votes.filter(pl.col("label").is_in(self.manifest.label_names) & (pl.col("n") > 0))
        if self.manifest.vote_rule is not None:
            inside = inside.filter(pl.col("rule") == self.manifest.vote_rule)
        # Several raw codes may mean one label.
        by_label = inside.group_by("utterance_id", "rule", "label").agg(pl.col("n").sum())
        by_rule = by_label.group_by("utterance_id", "rule").agg(vote_sum=pl.col("n").sum(), vote_top=pl.col("n").max())
        return by_rule.sort("rule").unique("utterance_id", keep="first").drop("rule").collect()

    # --- the whole run ---------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """What stays the same: the run's name, what can be asked for, and what a listener must know."""
        table = self.table()
        titles = {f"{form}/{EVERY}": f"any {_FORM_TITLES[form]}" for form in _FORM_TITLES}
        titles |= {one.key: _title(one.system_id, one.form) for one in table.systems}
        speakers = table.rows["speaker_id"].drop_nulls().unique().sort()
        manifest = self.manifest
        return {
            "run_id": manifest.run_id,
            "corpus": manifest.corpus_card.name,
            "models": sorted({card.model_id for card in manifest.model_cards.values()}),
            "label_source": manifest.label_source,
            "n_utterances": table.rows.height,
            "n_systems": len(table.systems),
            "default_system": table.default_system,
            "choices": {
                "system": {key: titles[key] for key in (*table.groups, *(one.key for one in table.systems))},
                "outcome": dict(OUTCOMES),
                "gold": {**{name: name for name in table.label_names}, NO_LABEL: "no true label"},
                "answer": {name: name for name in (*table.label_names, FAILED_ANSWER, NO_ANSWER)},
                "agreement": dict(AGREEMENTS),
                "partition": {name: name for name in sorted(table.rows["partition"].unique())},
                "reading": {name: name for name in READINGS},
                "sort": dict(SORTS),
            },
            "speakers": speakers.head(MOST_SPEAKERS).to_list(),
            "notices": self._notices(),
        }

    def _notices(self) -> list[str]:
        manifest = self.manifest
        found = []
        if manifest.audio_condition != "clean":
            found.append(
                f"The model did not hear these clips: this run asked about {manifest.audio_condition} in their place."
            )
        if manifest.counts.get("journal_bytes") != journal_bytes(self.run):
            found.append(f"Answers came in after they were last read. Run: voxemo parse {self.run.name}")
        if manifest.parser_version != PARSER_VERSION:
            found.append(
                f"Answers were read by version {manifest.parser_version} of the parser, and the parts marked in them "
                f"are those of version {PARSER_VERSION}."
            )
        if manifest.partial is not None:
            found.append(f"This run is partial: {manifest.partial}.")
        return found

    def page(self, words: Mapping[str, str]) -> dict[str, Any]:
        """One page of the utterances that words such as those of an address ask for.

        Raises:
            UnknownName: a value that its field does not know.
        """
        query = Query.of(words)
        table = self.table(query.reading)
        rows = select(table, query)
        n_pages = max(1, -(-rows.height // PAGE_ROWS))
        asked = words.get("page", "")
        number = min(max(1, int(asked) if asked.isdecimal() and len(asked) < 10 else 1), n_pages)
        return {
            "n": rows.height,
            "n_all": table.rows.height,
            "page": number,
            "n_pages": n_pages,
            "first": (number - 1) * PAGE_ROWS,
            "counts": counts(table, rows, query),
            "rows": page_of(table, rows, query, number=number),
        }

    def selection(self, words: Mapping[str, str]) -> pl.DataFrame:
        """Every fact of all utterances that the words ask for; columns as in ``view_table.export``.

        Raises:
            UnknownName: a value that its field does not know.
        """
        query = Query.of(words)
        table = self.table(query.reading)
        return export(table, select(table, query))

    # --- one utterance ---------------------------------------------------------------------------------------

    def utterance(self, utterance_id: str) -> dict[str, Any]:
        """Everything about one tested utterance: facts, votes, and each answer with its text and the parts read in it.

        Raises:
            RunError: the run does not test it.
        """
        facts = self._facts_of(utterance_id)
        answers = self._answers(utterance_id)
        return {
            "utterance_id": utterance_id,
            "gold": facts[self.manifest.label_source],
            "facts": {name: facts[name] for name in _SHOWN_FACTS if facts[name] is not None},
            "unusable_reason": facts["unusable_reason"],
            "label_names": list(self.manifest.label_names),
            "votes": self._votes_of(utterance_id),
            "vote_of_five": self._vote_of_five(answers),
            "answers": answers,
        }

    def clip(self, utterance_id: str) -> tuple[Decoded, str | None]:
        """The samples of a tested utterance as its file has them, and what is wrong with them if anything is.

        Raises:
            RunError: the run does not test it.
            CorpusNotFound: where the corpus lies on this machine is not known, or it is no longer there.
            AudioError: the file is missing or broken.
        """
        facts = self._facts_of(utterance_id)
        place = PurePosixPath(facts["audio_path"])
        if place.is_absolute() or ".." in place.parts:
            raise AudioError(place.name, "it lies outside the corpus, and nothing is played from there")
        root = corpus_root(self.workspace, self.manifest.corpus_card.corpus_id)
        decoded = decode(root / place, start_s=facts["start_s"], end_s=facts["end_s"], place=str(place))
        known = facts["audio_sha256"]
        if known is None or samples_sha256(decoded) == known:
            return decoded, None
        return decoded, "Its samples are not those of `voxemo prepare`; the model may have heard others."

    def _facts_of(self, utterance_id: str) -> dict[str, Any]:
        tested = self._tested.filter(pl.col("utterance_id") == utterance_id)
        if not tested.height:
            raise RunError(f"{self.manifest.run_id} tests no utterance called {utterance_id!r}.")
        facts = self.utterances.filter(pl.col("utterance_id") == utterance_id).collect().row(0, named=True)
        return {**facts, **tested.select("partition", "fold_id").row(0, named=True)}

    def _votes_of(self, utterance_id: str) -> list[dict[str, Any]]:
        """By counting rule: votes on each label, and on what lies outside the label set."""
        given = self.votes.filter((pl.col("utterance_id") == utterance_id) & (pl.col("n") > 0)).collect()
        found = []
        for (rule,), part in sorted(given.partition_by("rule", as_dict=True, maintain_order=True).items()):
            inside = part.filter(pl.col("label").is_in(self.manifest.label_names))
            outside = part.filter(~pl.col("label").is_in(self.manifest.label_names).fill_null(False))
            by_label = dict(inside.group_by("label").agg(pl.col("n").sum()).iter_rows())
            total = sum(by_label.values())
            found.append(
                {
                    "rule": rule,
                    "is_gold": rule == self.manifest.vote_rule,
                    "n": [by_label.get(name, 0.0) for name in self.manifest.label_names],
                    "share": [by_label.get(name, 0.0) / total if total else None for name in self.manifest.label_names],
                    "outside": dict(
                        outside.group_by("raw_label", maintain_order=True).agg(pl.col("n").sum()).iter_rows()
                    ),
                }
            )
        return found

    def _answers(self, utterance_id: str) -> list[dict[str, Any]]:
        """Every planned answer in the order of the plan, with what each reading made of it."""
        of_it = pl.col("utterance_id") == utterance_id
        planned = self.plan.filter(of_it).unique("request_id", keep="first", maintain_order=True).collect()
        read: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
        for row in self.predictions.filter(of_it).collect().iter_rows(named=True):
            read.setdefault(row["request_id"], {}).setdefault(row["system_id"], {})[row["reading"]] = row
        found = []
        for request in planned.iter_rows(named=True):
            response = self.journal.find(request["request_id"])
            systems = read.get(request["request_id"], {request["variant_id"]: {}})
            for system_id, readings in systems.items():
                found.append(self._answer(request, system_id, readings, response))
        return found

    def _answer(
        self,
        request: Mapping[str, Any],
        system_id: str,
        readings: Mapping[str, Mapping[str, Any]],
        response: Response | None,
    ) -> dict[str, Any]:
        form = request["form"]
        content: dict[str, Any] = {
            "system_id": system_id,
            "form": form,
            "title": _title(system_id, form),
            "fold_id": request["fold_id"],
            "question": self._questions[request["prompt_sha256"], form],
            "readings": {
                reading: {
                    **{name: row[name] for name in ("status", "label", "distribution", "raw_label", "reason")},
                    "reason_meaning": REASONS.get(row["reason"]),
                    "repairs": [{"name": name, "meaning": REPAIRS.get(name, "")} for name in row["repairs"] or ()],
                    "likeliest": self._likeliest(row["distribution"]),
                }
                for reading, row in readings.items()
            },
            "text": None,
            "parts": [],
        }
        if response is not None:
            strict = readings.get("strict")
            chosen: Reading = "strict" if strict is not None and strict["status"] == "ok" else "lenient"
            parts = read_parts(response.text, form, self._label_set, reading=chosen, finish=response.finish)
            content |= {
                "text": response.text if form != "likelihood" else None,
                "parts": [
                    {"start": part.start, "end": part.end, "what": part.what, "understood": part.understood}
                    for part in parts
                ],
                "parts_reading": chosen,
                **{name: getattr(response, name) for name in ("finish", "error", "n_new_tokens", "audio_handling")},
            }
        return content

    def _likeliest(self, distribution: list[float] | None) -> str | None:
        return None if distribution is None else self.manifest.label_names[int(np.argmax(distribution))]

    def _vote_of_five(self, answers: list[dict[str, Any]]) -> list[float] | None:
        """Share of each label among the paper's five hard answers, a failed one spread evenly; None unless all are."""
        strict = {one["system_id"]: one["readings"].get("strict") for one in answers if one["form"] == "hard"}
        five = [strict.get(name) for name in lookup.prompt_names()]
        if not all(five):
            return None
        names = self.manifest.label_names
        codes = [FAILED if row["label"] is None else names.index(row["label"]) for row in five if row is not None]
        return [float(share) for share in ensembles.vote(np.array([codes]), n_labels=len(names))[0]]

    @cached_property
    def _questions(self) -> dict[tuple[str, str], str]:
        return {(prompt.prompt_sha256, prompt.form): prompt.text for prompt in self.manifest.prompts}

    @cached_property
    def _label_set(self) -> LabelSet:
        return self.manifest.corpus_card.label_set(lookup.label_table(), names=self.manifest.label_names)


_FORM_TITLES = {
    "hard": "hard answer",
    "distribution": "stated distribution",
    "likelihood": "likeliest label",
}
_SHOWN_FACTS = (
    "expressed",
    "perceived",
    "speaker_id",
    "speaker_gender",
    "speaker_age",
    "language",
    "duration_s",
    "partition",
    "fold_id",
    "session_id",
    "transcript",
)


def _title(system_id: str, form: str) -> str:
    return "vote of the five hard answers" if form == "vote" else f"{system_id}: {_FORM_TITLES[form]}"
