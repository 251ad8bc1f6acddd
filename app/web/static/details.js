// What stands quietly below a turn: how long it took, and what the analysers heard.

const MARKS = {
  received: "first sound received",
  uploaded: "utterance complete",
  started: "turn begun",
  transcript: "words understood",
  prompt: "language model asked",
  first_token: "first words of the answer",
  first_sentence: "first sentence written",
  first_speech: "first sound made",
  first_fetch: "first sound sent",
  ended: "all made",
};
const UNITS = [
  [/_per_s$/, " a second"],
  [/_hz$/, " Hz"],
  [/_dbfs$/, " dBFS"],
  [/_db$/, " dB"],
  [/_ms$/, " ms"],
  [/_s$/, " s"],
  [/_semitones$/, " semitones"],
  [/_count$/, "", "s"], // pause_count: pauses
];

/** Return the table of a turn's waterfall: each moment with a bar from the one before. */
export function describeTimes(waterfallMs) {
  const marks = Object.entries(waterfallMs).sort(([, a], [, b]) => a - b);
  const end = Math.max(1, ...marks.map(([, at]) => at));
  const rows = marks.map(([name, at], i) => {
    const before = i ? marks[i - 1][1] : 0;
    const bar = element("span", "bar");
    bar.style.setProperty("--from", before / end);
    bar.style.setProperty("--to", at / end);
    return row(MARKS[name] ?? name.replaceAll("_", " "), `${Math.round(at)} ms`, bar);
  });
  return list("times", rows);
}

/** Return the figures of one analyser. */
export function describeScores(analyser, scores) {
  const rows = Object.entries(scores).filter(([, value]) => value !== null).map(([name, value]) => {
    const [pattern, unit, ending = ""] = UNITS.find(([each]) => each.test(name)) ?? [/$^/, ""];
    return row(name.replace(pattern, ending).replaceAll("_", " "), `${typeof value === "number" ? rounded(value) : value}${unit}`);
  });
  const box = document.createDocumentFragment();
  box.append(element("h3", "", analyser), list("scores", rows));
  return box;
}

/** Make an element with a class and a text. */
export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function list(className, rows) {
  const made = element("dl", className);
  made.append(...rows);
  return made;
}

function row(name, value, ...more) {
  const made = element("div");
  made.append(element("dt", "", name), ...more, element("dd", "", value));
  return made;
}

function rounded(value) {
  const size = Math.abs(value);
  return Number(value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2));
}
