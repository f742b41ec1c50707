"""Does a bundle hold? Every score is computed again from what is in it, by the code that scores a run.

A bundle comes from strangers. Nothing in it is trusted: files are checked against the index, tables against each other,
and only what fits together reaches the scorer. Needs no workspace.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from voxemo.core.errors import BundleError
from voxemo.steps.bundle_contents import Finding, changed_files, read_contents, read_index, wrong
from voxemo.steps.verify_answers import answers_read_again
from voxemo.steps.verify_plan import manifest_findings, part_findings, plan_findings
from voxemo.steps.verify_scores import RowDifference, scored_again
from voxemo.steps.verify_tables import misfits
from voxemo.store.bundles import (
    INDEX,
    LIMITS,
    SCORES,
    Limits,
    read_bundle,
    sha256,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult:
    """What `verify` found."""

    bundle: str
    run_id: str
    sha256: str
    """Hash of the bundle's index, which holds those of all other files: names this very content."""
    redacted: str | None
    """Why the answers' texts are left out; None where they are in the bundle."""
    n_scores: int
    """Score rows in the bundle."""
    n_scores_hold: int
    """Of these, rows that come out the same; 0 where they could not be computed."""
    n_texts_read: int
    """Answers that were read again and compared with the predictions."""
    findings: tuple[Finding, ...]
    differences: tuple[RowDifference, ...]

    @property
    def holds(self) -> bool:
        """Whether the bundle is whole and every score of it comes out the same."""
        return all(finding.kind != "wrong" for finding in self.findings)


def verify_bundle(path: Path, *, limits: Limits = LIMITS) -> VerifyResult:
    """Check a bundle and compute every score of it again.

    Raises:
        BundleError: it is no bundle, or not safe to read. What is merely wrong in it is a finding.
    """
    return verify_files(path.name, read_bundle(path, limits=limits))


def verify_files(bundle: str, files: Mapping[str, bytes]) -> VerifyResult:
    """Check a bundle's files by name, as `verify_bundle` does.

    Raises:
        BundleError: there is no index, or it does not follow its schema.
    """
    index = read_index(bundle, files)
    findings = list(changed_files(index, files))
    differences: tuple[RowDifference, ...] = ()
    n_scores = n_hold = n_read = 0
    scored = False
    try:
        content = read_contents(index, files)
        n_scores = content.scores.height
        findings += plan_findings(content)
        unfit = list(misfits(content))
        findings += unfit
        if not unfit:
            findings += manifest_findings(content.manifest)
            findings += part_findings(content)
            n_read, of_texts = answers_read_again(content)
            findings += of_texts
            n_hold, differences, of_scores = scored_again(content)
            findings += of_scores
            scored = True
    except BundleError as error:
        findings.append(wrong("unreadable", None, f"{error.place}: {error.why}"))
    if not scored:
        findings.append(wrong("not_scored", SCORES, "scores were not computed again: what they rest on does not fit"))
    return VerifyResult(
        bundle=bundle,
        run_id=index.run_id,
        sha256=sha256(files[INDEX]),
        redacted=index.redacted,
        n_scores=n_scores,
        n_scores_hold=n_hold,
        n_texts_read=n_read,
        findings=tuple(findings),
        differences=differences,
    )
