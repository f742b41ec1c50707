"""An audformat database (a folder with ``db.yaml``) as utterances and the facts for a card.

The package audformat reads the tables. What could run code while being read is kept from it: the header is read as
plain YAML, and pickled tables are never opened.
"""

import re
import shutil
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from numbers import Real
from pathlib import Path, PurePosixPath
from typing import Any

from voxemo.core.cards import KnownIssue, LabelTable
from voxemo.core.errors import CorpusError, CorpusNotFound, MissingDependency, UnknownName, WrongLayout, listing
from voxemo.core.types import LabelSource, ParsedUtterance
from voxemo.corpora.manifest import GENDER_WORDS, OLDEST, PARTITION_WORDS, check_utterances, stems_of
from voxemo.corpora.new_card import EARLIEST_YEAR, CardFacts, label_of, label_words
from voxemo.splits.policies import UNASSIGNED

HEADER = "db.yaml"
THING = "an audformat database"
NOT_STATED = "not stated in the database"
GOLD_STANDARD = "gold_standard"
LEFT_OUT = "the database gives no label"
VOTE_RULE = "all"
PLURALITY = "plurality of the raters' answers; ties give no perceived label"

Key = tuple[str, float | None, float | None]
"""File, start and end in seconds; a start of 0 and an open end are None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudformatCorpus:
    """What was read from a database."""

    name: str
    """The database's name, as a corpus's name may be written."""
    folder: Path
    """What its files are relative to."""
    utterances: tuple[ParsedUtterance, ...]
    facts: CardFacts
    meanings: Mapping[str, tuple[str, ...]]
    """Code to the names that the database's scheme gives it."""
    columns: tuple[str, ...]
    """``table.column`` of every column that labels were read from."""


@dataclass(frozen=True, slots=True)
class _Column:
    table_id: str
    column_id: str
    table: Any
    column: Any

    @property
    def name(self) -> str:
        return f"{self.table_id}.{self.column_id}"

    @property
    def scheme_id(self) -> str:
        return str(self.column.scheme_id or "")

    @property
    def rater_type(self) -> str | None:
        return None if self.column.rater_id is None else str(self.column.rater.type)

    def values(self) -> Iterator[tuple[Key, Any]]:
        """Segment and value of every row; None where the value is missing."""
        pandas = import_module("pandas")
        for place, value in self.table.df[self.column_id].items():
            yield _key(place), None if pandas.isna(value) else value


# --- loading -----------------------------------------------------------------------------------------------------


def load_database(path: Path) -> tuple[Any, Path]:
    """The database and the folder that its file names are relative to.

    Args:
        path: folder with ``db.yaml``, or the header file itself.

    Raises:
        MissingDependency: the package audformat is not installed.
        CorpusNotFound, WrongLayout: there is no database, its header would run code, or a table has no plain file.
    """
    try:
        audformat = import_module("audformat")
        yaml = import_module("yaml")
    except ImportError as cause:
        raise MissingDependency("Reading an audformat database", package="audformat", extra="audformat") from cause
    header_path = path if path.suffix == ".yaml" else path / HEADER
    folder = header_path.parent
    if not folder.is_dir():
        raise CorpusNotFound(THING, str(folder), "Check --audformat.")
    if not header_path.is_file():
        found = listing(sorted(one.name for one in folder.iterdir())) or "an empty folder"
        raise WrongLayout(THING, expected=f"the file {header_path.name!r}", found=found)
    try:
        # audformat itself would load the header with a reader that runs what its tags name.
        header = yaml.safe_load(header_path.read_text(encoding="utf-8"))
        database = audformat.Database.load_header_from_yaml(header)
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError, KeyError, AttributeError) as cause:
        raise WrongLayout(
            THING, expected=f"a header in plain YAML in {header_path.name!r}", found=f"{cause}"
        ) from cause
    with warnings.catch_warnings():
        # audformat calls pandas in ways that pandas is about to drop, which is no matter of its users.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        # Tables of the second kind first: schemes may take their labels from them.
        for table_id in (*database.misc_tables, *database.tables):
            _load_table(database[table_id], folder, f"{header_path.stem}.{table_id}")
    return database, folder


def _load_table(table: Any, folder: Path, name: str) -> None:
    plain = [path for ending in ("parquet", "csv") if (path := folder / f"{name}.{ending}").is_file()]
    if not plain:
        pickled = (folder / f"{name}.pkl").is_file()
        raise WrongLayout(
            THING,
            expected=f"the table '{name}.csv' or '{name}.parquet'",
            found=f"only '{name}.pkl', which could run code when it is read" if pickled else "neither",
            hint="Save it again with audformat: db.save(folder, storage_format='csv')." if pickled else "",
        )
    # Read from a copy: beside a pickled table, audformat would take that.
    with tempfile.TemporaryDirectory() as copies:
        shutil.copyfile(plain[0], Path(copies) / plain[0].name)
        try:
            table.load(str(Path(copies) / name))
        except Exception as cause:
            raise WrongLayout(
                THING, expected=f"a table as its header describes it in {plain[0].name!r}", found=f"{cause}"
            ) from cause


# --- reading -----------------------------------------------------------------------------------------------------


def read_audformat(
    path: Path,
    *,
    words: LabelTable,
    table: str | None = None,
    column: str | None = None,
    label_source: LabelSource | None = None,
) -> AudformatCorpus:
    """Read the emotion labels of an audformat database, with whatever it says about speakers, texts and partitions.

    A column is taken for emotions when its own or its scheme's name says so, or when two of its labels are words of
    the shared label table; a gold standard is preferred to other columns. Columns of one scheme by two or more human
    raters are votes; where nothing else is given, their plurality is the perceived label.

    Args:
        path: folder with ``db.yaml``, or the header file itself.
        words: the shared label table.
        table: only this table.
        column: only columns of this name.
        label_source: whose labels they are; needed unless only raters' answers are there.

    Raises:
        MissingDependency: the package audformat is not installed.
        WrongLayout: no database, or no emotion column; the columns there are listed.
        ManifestError: what it says is nothing that a table of utterances may say, such as a segment without length.
        CorpusError: several columns could be meant, or it is not known whose labels they are.
        UnknownName: no such table or column.
    """
    database, folder = load_database(path)
    labels = label_words(words)
    every = [_Column(t, c, database[t], database[t][c]) for t in database.tables for c in database[t].columns]
    if table is not None and table not in database.tables:
        raise UnknownName("table", table, sorted(database.tables))
    golds, raters = _choose(every, labels, table=table, column=column)
    chosen = (*golds, *raters)
    source = _label_source(golds, label_source)
    votes = _votes(raters)
    codes = _codes(golds) if golds else {key: _plurality(counts) for key, counts in votes.items()}
    if not any(codes.values()):
        raise WrongLayout(THING, expected=f"labels in {listing([one.name for one in chosen])}", found="none in any row")
    about = _about(every)
    parts = _partitions(every, chosen, list(codes))
    paths = {file: _relative(file, folder) for file, _, _ in codes}
    stems = stems_of(paths.values())
    whole_files = len(paths) == len(codes)
    return AudformatCorpus(
        name=re.sub(r"[^a-z0-9._-]+", "-", str(database.name).lower()).strip("-._") or "audformat",
        folder=folder,
        utterances=check_utterances(
            HEADER,
            (
                _utterance(
                    key,
                    code,
                    votes.get(key),
                    source=source,
                    given=bool(golds),
                    about=about,
                    partition=parts.get(key, UNASSIGNED) if parts else None,
                    audio_path=paths[key[0]],
                    stem=stems[paths[key[0]]] + ("" if whole_files else _times(key)),
                )
                for key, code in codes.items()
            ),
        ),
        facts=_facts(database, source, golds, raters),
        meanings=_meanings(chosen),
        columns=tuple(one.name for one in chosen),
    )


def _choose(
    every: Sequence[_Column], words: Mapping[str, str], *, table: str | None, column: str | None
) -> tuple[list[_Column], list[_Column]]:
    """The columns of the labels themselves (one, or one per partition), and those of raters' votes."""
    names = [one.name for one in every]
    if column is not None and column not in {one.column_id for one in every if table in (None, one.table_id)}:
        raise UnknownName("column", column, sorted({one.column_id for one in every if table in (None, one.table_id)}))
    emotional = [one for one in every if _is_emotional(one, words)]
    asked = [one for one in every if one.column_id == column] if column is not None else emotional
    asked = [one for one in asked if table in (None, one.table_id)]
    if not asked:
        raise WrongLayout(
            THING,
            expected="a column of emotions",
            found=f"the columns {listing(names, most=len(names))}" if names else "no column",
            hint="Say which one it is: --table TABLE --column COLUMN.",
        )
    voting = [one for one in emotional if _is_rated(one) and any(_is_beside(one, other) for other in emotional)]
    golds = [one for one in asked if column is not None or one not in voting]
    if column is None and any(GOLD_STANDARD in one.name for one in golds):
        golds = [one for one in golds if GOLD_STANDARD in one.name]
    schemes = {one.scheme_id for one in (golds or asked)}
    raters = [one for one in voting if one.scheme_id in schemes and one not in golds]
    if not golds and table is not None:
        raters = [one for one in raters if one.table_id == table]
    parts = [_table_partition(one) for one in golds]
    if len(schemes) > 1 or (len(golds) > 1 and (None in parts or len({one.column_id for one in golds}) > 1)):
        found = [one.name for one in (golds or asked)]
        raise CorpusError(
            f"{len(found)} columns of this database could hold its emotions: {listing(found, most=len(found))}. "
            "Say which one: --table TABLE --column COLUMN."
        )
    return golds, raters


def _is_emotional(one: _Column, words: Mapping[str, str]) -> bool:
    if one.column.scheme is not None and one.column.scheme.dtype not in ("str", "int", "object"):
        return False
    entries = _entries(one)
    known = [code for code, entry in entries.items() if any(label_of(word, words) for word in (code, *_texts(entry)))]
    numbers_alone = one.column.scheme is not None and one.column.scheme.dtype == "int" and not entries
    named = any("emotion" in name.lower() for name in (one.column_id, one.scheme_id))
    return len(known) >= 2 or (named and not numbers_alone)


def _is_rated(one: _Column) -> bool:
    return one.rater_type == "human"


def _is_beside(one: _Column, other: _Column) -> bool:
    """Two raters' answers to the same question, in the same table."""
    return (
        _is_rated(other)
        and (one.table_id, one.scheme_id) == (other.table_id, other.scheme_id)
        and one.column.rater_id != other.column.rater_id
    )


def _label_source(golds: Sequence[_Column], asked: LabelSource | None) -> LabelSource:
    if asked == "expressed" and not golds:
        raise CorpusError(
            "This database holds raters' answers alone, which are perceived labels. Take --label-source expressed out, "
            "or name the column of intended labels: --table TABLE --column COLUMN."
        )
    if asked is not None:
        return asked
    if not golds or all(one.rater_type == "vote" for one in golds):
        return "perceived"
    raise CorpusError(
        f"The database does not say whose labels {listing([one.name for one in golds])} holds. "
        "Say --label-source expressed (what speakers intended) or --label-source perceived (what listeners heard)."
    )


def _codes(golds: Iterable[_Column]) -> dict[Key, str | None]:
    codes: dict[Key, str | None] = {}
    for one in golds:
        for key, value in one.values():
            code = None if value is None else _code(value)
            if codes.setdefault(key, code) != code:
                raise WrongLayout(
                    THING, expected=f"one label for each segment in {one.name!r}", found=f"two for {key[0]!r}"
                )
    return codes


def _votes(raters: Iterable[_Column]) -> dict[Key, Counter[str]]:
    votes: defaultdict[Key, Counter[str]] = defaultdict(Counter)
    for one in raters:
        for key, value in one.values():
            votes[key].update([] if value is None else [_code(value)])
    return dict(votes)


def _plurality(counts: Counter[str]) -> str | None:
    """The code with most votes; None where two have as many, or nobody voted."""
    leaders = [code for code, n in counts.items() if n == max(counts.values())]
    return leaders[0] if len(leaders) == 1 else None


def _utterance(
    key: Key,
    code: str | None,
    votes: Counter[str] | None,
    *,
    source: LabelSource,
    given: bool,
    about: Mapping[str, Mapping[Key, Any]],
    partition: str | None,
    audio_path: str,
    stem: str,
) -> ParsedUtterance:
    heard = _plurality(votes) if votes and source == "expressed" else None
    gender = str(_about_key(about["gender"], key)).lower()
    age = _about_key(about["age"], key)
    return ParsedUtterance(
        stem=stem,
        audio_path=audio_path,
        expressed_raw=code if source == "expressed" else None,
        perceived_raw=code if source == "perceived" else heard,
        votes_raw={VOTE_RULE: dict(sorted(votes.items()))} if votes else {},
        speaker_id=_text(_about_key(about["speaker"], key)),
        speaker_gender=GENDER_WORDS.get(gender),
        speaker_age=int(float(age)) if isinstance(age, Real) and 0 <= float(age) <= OLDEST else None,
        language=_language(_about_key(about["language"], key)),
        transcript=_text(_about_key(about["transcription"], key)),
        start_s=key[1],
        end_s=key[2],
        provider_partition=partition,
        excluded_reason=LEFT_OUT if code is None and given and source == "expressed" else None,
    )


# --- what is known about segments --------------------------------------------------------------------------------


def _key(place: Any) -> Key:
    """The segment of a row: a file, or (file, start, end) with an end that may be missing."""
    if isinstance(place, str):
        return place, None, None
    file, start, end = place
    start_s = start.value / 1e9
    # pandas' NaT, a missing end, has no length.
    end_s = end.value / 1e9 if end == end else None
    return str(file), start_s or None, end_s


def _about_key(values: Mapping[Key, Any], key: Key) -> Any:
    """What is known about a segment, else about its whole file."""
    found = values.get(key)
    return values.get((key[0], None, None)) if found is None else found


def _about(every: Sequence[_Column]) -> dict[str, dict[Key, Any]]:
    """Speaker, gender, age, language and text by segment: from columns of that name, else from the speaker's entry."""
    about = {
        name: _values([one for one in every if {one.column_id, one.scheme_id} & names])
        for name, names in {
            "speaker": {"speaker"},
            "gender": {"gender", "sex"},
            "age": {"age"},
            "language": {"language"},
            "transcription": {"transcription", "transcript", "text"},
        }.items()
    }
    speakers = _speaker_entries(every)
    for key, speaker in about["speaker"].items():
        for field in ("gender", "age", "language"):
            value = speakers.get(_code(speaker), {}).get(field)
            if value is not None:
                about[field].setdefault(key, value)
    return about


def _values(columns: Iterable[_Column]) -> dict[Key, Any]:
    """Value of each segment; the first column that has one counts, and a scheme's text stands for its code."""
    values: dict[Key, Any] = {}
    for one in columns:
        texts = {code: entry for code, entry in _entries(one).items() if isinstance(entry, str) and entry}
        for key, value in one.values():
            if value is not None:
                values.setdefault(key, texts.get(_code(value), value))
    return values


def _partitions(every: Sequence[_Column], chosen: Sequence[_Column], keys: Sequence[Key]) -> dict[Key, str]:
    """Partition of each of the segments, from the first that places any: the labels' tables, a column, other tables."""
    split = [one for one in every if "split" in (one.column_id, one.scheme_id)]
    placed_by_column = [(key, PARTITION_WORDS.get(str(v).lower())) for one in split for key, v in one.values()]
    for placed in (_placed(chosen), placed_by_column, _placed(every)):
        parts: dict[Key, str] = {}
        for key, part in placed:
            if part is not None and parts.setdefault(key, part) != part:
                raise WrongLayout(THING, expected="each file in one partition", found=f"{key[0]!r} in two")
        found = {key: part for key in keys if (part := _about_key(parts, key)) is not None}
        if found:
            return found
    return {}


def _placed(columns: Iterable[_Column]) -> list[tuple[Key, str | None]]:
    return [(key, part) for one in columns if (part := _table_partition(one)) for key, _ in one.values()]


def _table_partition(one: _Column) -> str | None:
    """The partition that a whole table is, as its split says or, without one, a word of its name."""
    if one.table.split_id is not None:
        return PARTITION_WORDS.get(str(one.table.split.type))
    words = {PARTITION_WORDS[word] for word in one.table_id.split(".") if word in PARTITION_WORDS}
    return words.pop() if len(words) == 1 else None


def _entries(one: _Column) -> dict[str, Any]:
    """Code to what the column's scheme says about it: a text, a mapping of fields, or nothing."""
    labels = None if one.column.scheme is None else one.column.scheme.labels
    if isinstance(labels, str):
        return _misc_entries(one.table.db.misc_tables[labels])
    return {_code(code): labels[code] if isinstance(labels, dict) else None for code in labels or ()}


def _misc_entries(table: Any) -> dict[str, Any]:
    return {_code(code): _without_gaps(row) for code, row in table.df.to_dict("index").items()}


def _without_gaps(row: Mapping[str, Any]) -> dict[str, Any]:
    pandas = import_module("pandas")
    return {name: value for name, value in row.items() if not pandas.isna(value)}


def _speaker_entries(every: Sequence[_Column]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for one in every:
        if "speaker" in (one.column_id, one.scheme_id):
            found.update({code: entry for code, entry in _entries(one).items() if isinstance(entry, Mapping)})
    misc = every[0].table.db.misc_tables.values() if every else ()
    for table in misc:
        if list(table.df.index.names) == ["speaker"]:
            found = {**_misc_entries(table), **found}
    return found


# --- values ------------------------------------------------------------------------------------------------------


def _code(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _text(value: Any) -> str | None:
    return (_code(value) or None) if value is not None else None


def _texts(entry: Any) -> tuple[str, ...]:
    values = entry.values() if isinstance(entry, Mapping) else (entry,)
    return tuple(value for value in values if isinstance(value, str))


def _meanings(chosen: Iterable[_Column]) -> dict[str, tuple[str, ...]]:
    return {code: _texts(entry) for one in chosen for code, entry in _entries(one).items()}


def _times(key: Key) -> str:
    _, start_s, end_s = key
    return f"_{_seconds(start_s or 0.0)}-{'end' if end_s is None else _seconds(end_s)}"


def _seconds(time_s: float) -> str:
    return f"{time_s:.9f}".rstrip("0").rstrip(".")


def _relative(file: str, folder: Path) -> str:
    path = PurePosixPath(file)
    if not path.is_absolute():
        return str(path)
    root = PurePosixPath(folder.resolve().as_posix())
    if not path.is_relative_to(root):
        raise WrongLayout(THING, expected="files below its folder", found=repr(file))
    return str(path.relative_to(root))


def _language(name: Any) -> str | None:
    """BCP-47 of a language by name or ISO 639 code: two letters where there are two; None where it is not known."""
    iso639 = import_module("iso639")
    text = str(name).strip() if name is not None else ""
    try:
        language = iso639.Lang(text.title() if len(text) > 3 else text.lower())
    except Exception:  # the package has an error class for each way of being no language
        return None
    return str(language.pt1 or language.pt3)


# --- facts -------------------------------------------------------------------------------------------------------


def _facts(database: Any, source: LabelSource, golds: Sequence[_Column], raters: Sequence[_Column]) -> CardFacts:
    made_by = [database.author, database.name, database.organization, database.description, database.source]
    year = database.meta.get("year") if isinstance(database.meta, Mapping) else None
    known_year = year if isinstance(year, int) and year >= EARLIEST_YEAR else None
    given = {
        "year": known_year is not None,
        "languages": bool(database.languages),
        "license": bool(database.license),
        "author": bool(database.author),
    }
    missing = [name for name, is_given in given.items() if not is_given]
    told = listing([one.name for one in golds])
    return CardFacts(
        year=known_year,
        name=str(database.name),
        languages=tuple(filter(None, map(_language, database.languages))),
        license=str(database.license or database.license_url or NOT_STATED),
        citation=" ".join(f"{str(part).strip().rstrip('.')}." for part in made_by if part),
        homepage=str(database.source or "none"),
        how="It is a database in audformat; its source says where it comes from.",
        open_access=str(database.usage) == "unrestricted",
        heard=NOT_STATED,
        consensus=f"as the database gives it in {told}" if golds and source == "perceived" else PLURALITY,
        vote_rules={VOTE_RULE: f"every answer of the {len(raters)} raters"} if raters else {},
        gold=source,
        sample_rates_hz=tuple(sorted({one.sampling_rate for one in database.media.values() if one.sampling_rate})),
        n_channels=tuple(sorted({one.channels for one in database.media.values() if one.channels})),
        known_issues=(
            KnownIssue(
                id="generated-card",
                text="This card was made from the database's header by a program. Setting, elicitation and recording "
                "are not stated there" + (f"; nor are {', '.join(missing)}." if missing else "."),
                source="db.yaml",
            ),
        ),
    )
