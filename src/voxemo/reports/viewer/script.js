// The listening page. Everything from a run is set as text, never as markup.

const one = (id) => document.getElementById(id);
const form = one("filters");
const list = one("list");
const detail = one("detail");
const narrow = matchMedia("(max-width: 50rem)");
const state = { page: 1, pages: 1, rows: [], chosen: -1, asked: 0, shown: null };

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children.map((child) => (typeof child === "string" ? visible(child) : child)));
  return made;
}

// What would act instead of showing, as a direction mark does, is shown as its code: the rule of core/escape.py.
const visible = (text) => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (found) => {
  if (found === "\n" || found === "\t") return found;
  const code = found.codePointAt(0).toString(16);
  if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
  return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
});

// Long names may break after their joints.
const breaking = (name) => name.split("_").flatMap((part, at) => (at ? ["_", make("wbr"), part] : [part]));
const number = (value) => value.toLocaleString("en");
const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
const title = (label) => label.charAt(0).toUpperCase() + label.slice(1);

async function ask(path, words) {
  const answer = await fetch(`${path}?${new URLSearchParams(words)}`);
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.problem);
  return content;
}

// --- the list ---------------------------------------------------------------------------------------------------

function filters() {
  const words = {};
  for (const [name, value] of new FormData(form)) if (value) words[name] = value;
  return words;
}

async function find({ page = 1, choose = 0, focus = false } = {}) {
  const asked = ++state.asked;
  const words = filters();
  let found;
  try {
    found = await ask("api/utterances", { ...words, page });
  } catch (problem) {
    if (asked === state.asked) one("status").textContent = visible(problem.message);
    return;
  }
  // Of several questions on their way the last one counts.
  if (asked !== state.asked) return;
  Object.assign(state, { page: found.page, pages: found.n_pages, rows: found.rows });
  one("status").textContent =
    found.n === found.n_all
      ? `${number(found.n)} utterances`
      : `${number(found.n)} of ${number(found.n_all)} utterances`;
  const { right, wrong, failed, no_gold: unknown, unanswered } = found.counts;
  one("counts").textContent = [
    `answers: ${number(right)} right`,
    `${number(wrong)} wrong`,
    `${number(failed)} failed`,
    unknown ? `${number(unknown)} without a true label` : "",
    unanswered ? `${number(unanswered)} not given` : "",
  ].filter(Boolean).join(" · ");
  one("place").textContent = `page ${number(found.page)} of ${number(found.n_pages)}`;
  one("previous").disabled = found.page <= 1;
  one("next").disabled = found.page >= found.n_pages;
  const query = new URLSearchParams(words);
  one("export-csv").href = `utterances.csv?${query}`;
  one("export-names").href = `utterances.txt?${query}`;
  list.start = found.first + 1;
  list.replaceChildren(...found.rows.map(row));
  list.scrollTop = 0;
  state.chosen = -1;
  if (found.rows.length) select(choose < 0 ? found.rows.length - 1 : choose, { focus });
  else nothing("No utterance is like this.");
}

function row(facts, index) {
  const line = make("span", { class: "line" });
  line.append(make("span", {}, facts.gold === null ? "no true label" : title(facts.gold)));
  if (facts.answer !== null) line.append(make("span", {}, `answered ${title(facts.answer)}`));
  for (const [name, sign] of [["right", "✓"], ["wrong", "✗"], ["failed", "!"], ["unanswered", "–"]]) {
    const n = facts[`n_${name}`];
    // Of one system alone there is nothing to count.
    if (n) line.append(make("span", { class: `mark ${name}` }, facts.answer === null ? `${sign} ${n} ${name}` : `${sign} ${name}`));
  }
  const votes = facts.vote_share === null ? "no votes" : `votes ${percent(facts.vote_share)}`;
  line.append(make("span", {}, facts.agreement === "ambiguous" ? `${votes}, ambiguous` : votes));
  const button = make(
    "button",
    { type: "button", tabindex: "-1" },
    make("span", { class: "name" }, facts.utterance_id),
    line,
  );
  button.addEventListener("click", () => select(index, { focus: true, play: one("autoplay").checked }));
  return make("li", {}, button);
}

function select(index, { focus = false, play = false } = {}) {
  const buttons = list.querySelectorAll("button");
  buttons.forEach((button, at) => {
    button.setAttribute("aria-current", at === index ? "true" : "false");
    button.tabIndex = at === index ? 0 : -1;
  });
  state.chosen = index;
  if (focus) buttons[index].focus({ preventScroll: true });
  // Within the list alone: on a phone the page itself must not jump.
  const [top, bottom] = [buttons[index].offsetTop - list.offsetTop, buttons[index].offsetHeight];
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + bottom > list.scrollTop + list.clientHeight) list.scrollTop = top + bottom - list.clientHeight;
  show(state.rows[index].utterance_id, play);
}

function step(by) {
  const to = state.chosen + by;
  if (to >= 0 && to < state.rows.length) select(to, { focus: true, play: one("autoplay").checked });
  else if (by > 0 && state.page < state.pages) find({ page: state.page + 1, focus: true });
  else if (by < 0 && state.page > 1) find({ page: state.page - 1, choose: -1, focus: true });
}

function turn(by) {
  const to = state.page + by;
  if (to >= 1 && to <= state.pages) find({ page: to, focus: list.contains(document.activeElement) });
}

// --- one utterance ----------------------------------------------------------------------------------------------

function nothing(text) {
  state.shown = null;
  detail.replaceChildren(make("p", { class: "hint" }, text));
}

async function show(name, play) {
  state.shown = name;
  let facts;
  try {
    facts = await ask("api/utterance", { id: name });
  } catch (problem) {
    if (state.shown === name) nothing(problem.message);
    return;
  }
  if (state.shown !== name) return;
  const sound = make("div", { class: "sound" });
  const { unusable_reason: unusable } = facts;
  detail.replaceChildren(
    make("h2", {}, name),
    ...(unusable === null ? [] : [make("p", { class: "problem" }, `The clip could not be used: ${unusable}`)]),
    factList(facts),
    sound,
    make("h3", {}, "Listeners and answers"),
    shares(facts),
    make("h3", {}, "What was said"),
    ...facts.answers.map((answer) => said(answer, facts)),
  );
  detail.scrollTop = 0;
  await hear(name, sound, play);
}

const FACTS = {
  expressed: "expressed", perceived: "perceived", speaker_id: "speaker", speaker_gender: "gender", speaker_age: "age",
  language: "language", duration_s: "seconds", partition: "part", fold_id: "fold", session_id: "session",
  transcript: "transcript",
};

function factList({ gold, facts }) {
  const found = make("dl");
  const add = (term, text) => found.append(make("div", {}, make("dt", {}, term), make("dd", {}, text)));
  add("true label", gold === null ? "none" : title(gold));
  for (const [name, term] of Object.entries(FACTS)) {
    if (facts[name] === undefined) continue;
    add(term, name === "duration_s" ? facts[name].toFixed(2) : String(facts[name]));
  }
  return found;
}

async function hear(name, place, play) {
  const clip = await ask("api/clip", { id: name });
  if (state.shown !== name) return;
  if (clip.problem !== undefined) {
    place.append(make("p", { class: "problem", role: "alert" }, `This clip cannot be played. ${clip.problem}`));
    return;
  }
  const query = new URLSearchParams({ id: name });
  const audio = make("audio", { id: "player", controls: "", preload: "auto", "aria-label": "The clip" });
  audio.src = `audio?${query}`;
  const head = make("div", { id: "playhead" });
  head.hidden = true;
  const picture = make(
    "picture",
    {},
    make("source", { media: "(prefers-color-scheme: dark)", srcset: `picture?${query}&theme=dark` }),
    make("img", { src: `picture?${query}&theme=light`, alt: clip.description, width: "1380", height: "570" }),
  );
  const channels = clip.n_channels === 1 ? "mono" : `${clip.n_channels} channels`;
  place.append(
    audio,
    make("figure", {}, picture, head),
    make("p", { class: "muted" }, `${clip.duration_s.toFixed(2)} s, ${number(clip.sample_rate_hz)} Hz, ${channels}; ` +
      "drawn as models hear it, mono at 16 kHz."),
  );
  if (clip.note !== null) place.append(make("p", { class: "problem" }, clip.note));
  follow(audio, head, clip);
  if (play) audio.play();
}

function follow(audio, head, clip) {
  const [left, right] = clip.axes;
  const draw = () => {
    head.hidden = audio.currentTime === 0;
    head.style.left = `${100 * (left + ((right - left) * audio.currentTime) / clip.duration_s)}%`;
    if (!audio.paused && audio.isConnected) requestAnimationFrame(draw);
  };
  for (const event of ["play", "seeked", "timeupdate", "ended"]) audio.addEventListener(event, draw);
}

function shares({ label_names: labels, gold, votes, vote_of_five: five, answers }) {
  const columns = votes.map((rule) => ({
    head: votes.length > 1 ? `listeners (${rule.rule})` : "listeners",
    cells: rule.share.map((share, at) => (share === null ? null : { share, text: `${+rule.n[at].toFixed(2)} · ${percent(share)}` })),
    note: Object.keys(rule.outside).length
      ? `Outside the label set: ${Object.entries(rule.outside).map(([word, n]) => `${word} ${+n.toFixed(2)}`).join(", ")}`
      : "",
  }));
  if (five !== null) {
    columns.push({ head: "vote of the five hard answers", cells: five.map((share) => ({ share, text: percent(share) })), note: "" });
  }
  for (const answer of answers) {
    const distribution = answer.readings.strict?.distribution ?? null;
    if (distribution === null) continue;
    columns.push({ head: answer.title, cells: distribution.map((share) => ({ share, text: percent(share) })), note: "" });
  }
  if (!columns.length) return make("p", { class: "muted" }, "No votes and no distributions.");
  const head = make("tr", {}, make("th", { scope: "col" }, "label"), ...columns.map(({ head: text }) => make("th", { scope: "col" }, ...breaking(text))));
  const body = labels.map((label, at) => {
    const cells = columns.map(({ cells }) => {
      const cell = cells[at];
      if (cell === null) return make("td", {}, "–");
      const bar = make("span", { class: "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", cell.share);
      return make("td", {}, cell.text, bar);
    });
    const name = label === gold ? `${title(label)} (true)` : title(label);
    return make("tr", { class: label === gold ? "true" : "" }, make("th", { scope: "row" }, name), ...cells);
  });
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
  const notes = columns.filter(({ note }) => note).map(({ note }) => make("p", { class: "muted" }, note));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Votes and distributions" }, table, ...notes);
}

function verdict(reading, answer, gold) {
  if (reading === undefined) return { name: "unanswered", text: "– not answered" };
  if (reading.status === "failed") return { name: "failed", text: `! failed: ${reading.reason}` };
  const label = answer.form === "distribution" ? reading.likeliest : reading.label;
  if (gold === null) return { name: "unknown", text: title(label) };
  return label === gold ? { name: "right", text: `✓ right: ${title(label)}` } : { name: "wrong", text: `✗ wrong: ${title(label)}` };
}

function said(answer, { gold }) {
  const { strict, lenient } = answer.readings;
  const result = verdict(strict, answer, gold);
  const made = make(
    "article",
    {},
    make("h4", {}, ...breaking(answer.title), " ", make("span", { class: `mark ${result.name}` }, result.text)),
  );
  const add = (text) => made.append(make("p", { class: "said muted" }, text));
  if (strict?.reason_meaning) add(strict.reason_meaning);
  if (lenient !== undefined && lenient.status === "repaired") {
    const means = answer.form === "distribution" ? lenient.likeliest : lenient.label;
    add(`Read leniently: ${title(means)}. ${lenient.repairs.map(({ name, meaning }) => `${name}: ${meaning}`).join(" ")}`);
  }
  if (answer.error) add(`Error: ${answer.error}`);
  if (answer.text !== null && !answer.error) made.append(raw(answer));
  const parts = answer.parts.map((part, at) => {
    const text = answer.pieces.filter((piece) => piece.part === at).map((piece) => piece.text).join("");
    const short = text.length > 80 ? `${text.slice(0, 80)}…` : text;
    return part.understood ? `${part.what} read in “${short}”` : `${part.what} looked for in “${short}”`;
  });
  if (parts.length) add(`Marked: ${parts.join("; ")}${answer.parts_reading === "lenient" ? " (lenient reading)" : ""}.`);
  const counted = [];
  if (answer.n_new_tokens) counted.push(`${answer.n_new_tokens} tokens`);
  if (answer.finish === "length") counted.push("cut off at the token limit");
  if (answer.audio_handling) counted.push(`audio ${answer.audio_handling}`);
  if (counted.length) add(counted.join(", "));
  made.append(
    make("details", {}, make("summary", {}, "The question"), make("div", { class: "raw" }, answer.question)),
  );
  return made;
}

function raw({ pieces, parts }) {
  const shown = make("div", { class: "raw", dir: "auto", tabindex: "0", role: "region", "aria-label": "Raw answer" });
  if (!pieces.length) shown.append(make("span", { class: "left-out" }, "The answer is empty."));
  let into = shown;
  let inside;
  for (const piece of pieces) {
    if (piece.part !== inside) {
      inside = piece.part;
      into = inside === undefined ? shown : make("mark", { class: parts[inside].understood ? "read" : "not" });
      if (into !== shown) shown.append(into);
    }
    if (piece.left_out) into.append(make("span", { class: "left-out" }, `${number(piece.left_out)} characters are not shown`));
    else if (piece.code) into.append(make("span", { class: "code", title: piece.name }, piece.text));
    else into.append(piece.text);
  }
  return shown;
}

// --- keys and fields --------------------------------------------------------------------------------------------

const player = () => one("player");

function playOrPause() {
  const audio = player();
  if (audio === null) return;
  if (audio.paused) audio.play();
  else audio.pause();
}

function seek(by) {
  const audio = player();
  if (audio !== null) audio.currentTime = Math.min(Math.max(0, audio.currentTime + by), audio.duration || 0);
}

function clear() {
  form.reset();
  find();
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  ArrowDown: () => step(1),
  ArrowUp: () => step(-1),
  ArrowRight: () => seek(0.5),
  ArrowLeft: () => seek(-0.5),
  " ": playOrPause,
  n: () => turn(1),
  p: () => turn(-1),
  "/": () => one("text").focus(),
  f: () => { one("more").open = true; one("system").focus(); },
  c: clear,
  e: () => one("export-csv").focus(),
  a: () => one("autoplay").click(),
};
// Keys that these do something with themselves.
const OWN_KEYS = { INPUT: null, SELECT: null, AUDIO: null, BUTTON: [" "], SUMMARY: [" "], A: [" "] };

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    // A search field would empty itself.
    event.preventDefault();
    list.querySelector("[aria-current=true]")?.focus();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || !one("use-keys").checked) return;
  const { target, key } = event;
  const inList = list.contains(target);
  const own = target.type === "checkbox" ? [" "] : OWN_KEYS[target.tagName];
  if (own === null || (own?.includes(key) && !inList)) return;
  // What scrolls by itself keeps its arrows.
  if (key.startsWith("Arrow") && target.closest(".raw, .scroll")) return;
  const act = KEYS[key];
  if (act === undefined) return;
  event.preventDefault();
  act();
});

let waiting;
form.addEventListener("input", (event) => {
  clearTimeout(waiting);
  waiting = setTimeout(find, event.target.matches("[type=search], [list]") ? 200 : 0);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(waiting);
  find({ focus: true });
});
one("clear").addEventListener("click", clear);
one("previous").addEventListener("click", () => turn(-1));
one("next").addEventListener("click", () => turn(1));
if (narrow.matches) one("more").open = false;
find();
