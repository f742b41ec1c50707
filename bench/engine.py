"""The local engine against a plain loop: each clip and each prompt through the model's own `generate`, one at a time.

Run: python bench/engine.py [--clips N] [--device cpu]

The same requests both ways: the ten prompts about clips of the corpus `demo`, answered by `voxemo-tiny`. Prints
seconds, their ratio, how many answers are the same, where the engine's time goes, and what everything around the model
costs for each answer (`--around-only`: nothing but this). Some minutes on two processors.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from voxemo.audio.load import load_audio
from voxemo.backends.base import Question
from voxemo.backends.local.engine import LocalBackend
from voxemo.backends.local.hearing import Hearing
from voxemo.backends.local.loading import load_model, render_chat
from voxemo.catalog import lookup
from voxemo.core.types import Generation, PromptForm, Response
from voxemo.demo.corpus import FOLDER
from voxemo.prompts.render import render_prompt
from voxemo.steps.demo import CORPUS, MODEL
from voxemo.steps.infer import infer_run, run_utterances
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import PlanOptions, check_plan, plan_run
from voxemo.steps.prepare import prepare_corpus
from voxemo.steps.questions import QuestionMaker
from voxemo.steps.split import split_corpus
from voxemo.steps.worker_record import AROUND
from voxemo.store.layout import Workspace
from voxemo.store.manifest import read_manifest

GENERATION = Generation(max_new_tokens=256)
BATCH_SIZES = (8, 48)


def ten_questions_each(n_clips: int) -> list[Question]:
    """All ten prompts about clips spread over the corpus."""
    label_set = lookup.corpus_card(CORPUS).label_set(lookup.label_table())
    paths = sorted((FOLDER / "clips").glob("*.opus"))
    chosen = paths[:: max(1, len(paths) // n_clips)][:n_clips]
    questions = []
    forms: tuple[PromptForm, ...] = ("hard", "distribution")
    for path in chosen:
        for name in lookup.prompt_names():
            for form in forms:
                variant, template = lookup.prompt(name)
                questions.append(
                    Question(
                        request_id=f"{path.stem}/{name}/{form}",
                        utterance_id=path.stem,
                        variant_id=name,
                        form=form,
                        prompt=render_prompt(variant, template, form=form, label_set=label_set),
                        label_set=label_set,
                        audio_key=path.stem,
                        load_audio=partial(load_audio, path),
                    )
                )
    return questions


def plain_answers(questions: Sequence[Question], device: str) -> tuple[list[str], float]:
    """What a loop over clips and prompts gives, and the seconds that it takes."""
    loaded = load_model(lookup.model_card(MODEL), device=device, dtype=None, trust_remote_code=False)
    model, processor = loaded.model, loaded.processor
    started, texts = time.perf_counter(), []
    with torch.inference_mode():
        for question in questions:
            inputs = processor(
                text=render_chat(processor, question.prompt),
                audio=question.load_audio(),
                sampling_rate=16_000,
                return_tensors="pt",
            ).to(model.device)
            tokens = model.generate(**inputs, max_new_tokens=GENERATION.max_new_tokens, do_sample=False)
            texts.append(
                processor.tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            )
    return texts, time.perf_counter() - started


def engine_answers(
    questions: Sequence[Question], device: str, batch_size: int
) -> tuple[list[Response], float, dict[str, float]]:
    """The engine's answers, its seconds and where they went."""
    backend = LocalBackend(lookup.model_card(MODEL), GENERATION, device=device, batch_size=batch_size)
    started, responses = time.perf_counter(), []
    for start in range(0, len(questions), backend.questions_per_call):
        responses += backend.answer(questions[start : start + backend.questions_per_call])
    return responses, time.perf_counter() - started, dict(backend.stages_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """Milliseconds that a run takes beside its model."""

    n_clips: int
    n_requests: int
    per_request: Mapping[str, float]
    per_clip: Mapping[str, float]

    def of_a_response(self) -> dict[str, float]:
        """By what it is spent on, for each response; what is done once for a clip is shared by its responses."""
        share = self.n_clips / self.n_requests
        return {**self.per_request, **{name: share * spent for name, spent in self.per_clip.items()}}


def processor_ms(work: Callable[[], object]) -> float:
    """Processor time of some work, its threads included: a thread that works ahead hides it and does not save it."""
    started = time.process_time()
    work()
    return 1000 * (time.process_time() - started)


def around_the_model(device: str, n_clips: int) -> Around:
    """What planning, audio, the journal and parsing take in a run of ten prompts about so many clips of each fold.

    Planning is timed over the whole corpus. Clips are read as a run reads them: hashed, decoded and resampled.
    """
    with tempfile.TemporaryDirectory() as folder:
        workspace, runs = Workspace(Path(folder) / "workspace"), Path(folder) / "runs"
        prepare_corpus(workspace, CORPUS)
        split_corpus(workspace, CORPUS)
        planned: list[Path] = []
        planning_ms = processor_ms(lambda: planned.append(plan_run(workspace, runs, corpus=CORPUS, model=MODEL)))
        n_planned = read_manifest(planned[0]).n_requests
        run = plan_run(workspace, runs, corpus=CORPUS, model=MODEL, options=PlanOptions(limit=n_clips))
        manifest, plan = check_plan(run)
        utterances = run_utterances(workspace, manifest)
        rows = plan.unique("audio_sha256", keep="first", maintain_order=True).to_dicts()
        maker = QuestionMaker(workspace, manifest, utterances, asked=plan["utterance_id"].unique())
        loaded = load_model(lookup.model_card(MODEL), device=device, dtype=None, trust_remote_code=False)
        hearing = Hearing(loaded.model, loaded.processor.feature_extractor)
        clips = [maker.of(row).load_audio() for row in rows[:2]]
        hearing.features(clips[0])
        clips.clear()
        decoding_ms = processor_ms(lambda: clips.extend(maker.of(row).load_audio() for row in rows))
        # Threads that wait for each other would be counted as work.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        features_ms = processor_ms(lambda: [hearing.features(clip) for clip in clips])
        torch.set_num_threads(threads)
        result = infer_run(workspace, run, backend_options={"batch_size": BATCH_SIZES[-1], "device": device})
        parsing_ms = processor_ms(lambda: parse_run(run))
        return Around(
            n_clips=len(rows),
            n_requests=result.n_answered,
            per_request={
                "planning": planning_ms / n_planned,
                "questions and journal": 1000 * result.stages_s[AROUND] / result.n_answered,
                "parsing": parsing_ms / result.n_answered,
            },
            per_clip={"decoding": decoding_ms / len(rows), "log-mel": features_ms / len(rows)},
        )


def compare(n_clips: int, device: str) -> None:
    """Print what a plain loop and the engine take."""
    questions = ten_questions_each(n_clips)
    plain, plain_s = plain_answers(questions, device)
    print(f"{len(questions)} questions about {n_clips} clips on {device}")
    print(f"plain loop: {plain_s:.1f} s")
    for batch_size in BATCH_SIZES:
        responses, seconds, stages = engine_answers(questions, device, batch_size)
        same = sum(response.text == text for response, text in zip(responses, plain, strict=True))
        n_tokens = sum(response.n_new_tokens or 0 for response in responses)
        print(
            f"engine, batch size {batch_size}: {seconds:.1f} s, {plain_s / seconds:.1f} times the plain loop, "
            f"{n_tokens / seconds:.0f} tokens/s, {same} of {len(plain)} answers the same"
        )
        print("  " + ", ".join(f"{name} {100 * spent / seconds:.0f} %" for name, spent in stages.items()))


def show_around(device: str) -> None:
    """Print what everything around the model costs."""
    around = around_the_model(device, n_clips=20)
    spent = around.of_a_response()
    told = ", ".join(f"{name} {ms:.2f}" for name, ms in spent.items())
    of_clips = ", ".join(f"{name} {ms:.1f}" for name, ms in around.per_clip.items())
    print(f"around the model, {around.n_requests} responses about {around.n_clips} clips, ms for each response:")
    print(f"  {sum(spent.values()):.2f} in all: {told}; of a clip: {of_clips}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=72)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--around-only", action="store_true", help="Measure only what is around the model.")
    given = parser.parse_args()
    if not given.around_only:
        compare(given.clips, given.device)
    show_around(given.device)


if __name__ == "__main__":
    main()
