// The page at /status: how the service is, which devices there are, and commands to paste.

import {renderDevices} from "./devices.js";

const POLL_MS = 2000;
const EXAMPLE = "http://127.0.0.1:5000"; // what the page shows where scripts do not run
const NAMES = {stt: "Speech to text", llm: "Replies", tts: "Voice", analysis: "Analysis"};
const token = new URLSearchParams(location.search).get("token");

function fillIn() {
  const header = token ? `-H 'Authorization: Bearer ${token}' ` : "";
  for (const pre of document.querySelectorAll(".command pre")) {
    const command = pre.textContent.replace("curl ", `curl ${header}`).replace(EXAMPLE, location.origin);
    pre.replaceChildren(...command.split(" ").flatMap((word) => [unbroken(word), " "]));
    // Browsers keep the clipboard from pages that come over plain HTTP from another machine.
    if (navigator.clipboard) pre.after(copyButton(command));
  }
  if (token) {
    for (const link of document.querySelectorAll("a[data-token]")) link.search = new URLSearchParams({token});
  }
}

function unbroken(word) {
  const span = document.createElement("span"); // a line may not end after the hyphens of an option
  span.textContent = word;
  return span;
}

function copyButton(text) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return button;
}

function explainAccess() {
  document.getElementById("wants-trust").hidden = location.protocol !== "https:";
  const headers = token ? {Authorization: `Bearer ${token}`} : {};
  fetch("ready", {headers}).then(
    ({status}) => { document.getElementById("wants-token").hidden = status !== 401; },
    () => {}, // The page says elsewhere that the service cannot be reached.
  );
}

function showState(text, kind) {
  const state = document.getElementById("state");
  if (state.textContent === text) return; // a screen reader hears changes only
  state.textContent = text;
  state.className = `pill ${kind}`;
}

function describeStage(stage) {
  if (stage.failure) return [stage.failure, "bad"];
  if (stage.workers_ready === 0) return ["starting …", "wait"];
  const ready = stage.workers > 1 ? `ready, ${stage.workers_ready} of ${stage.workers} workers` : "ready";
  const waiting = stage.queued ? `, ${stage.queued} waiting` : "";
  return [(stage.running ? `busy with ${stage.running}` : ready) + waiting, "good"];
}

function showStages(stages) {
  const rows = Object.keys(NAMES).filter((name) => name in stages).map((name) => {
    const [text, kind] = describeStage(stages[name]);
    const row = document.createElement("li"), title = document.createElement("b"), line = document.createElement("span");
    row.className = stages[name].failure ? "failing" : "";
    title.textContent = NAMES[name];
    line.textContent = text;
    line.className = kind;
    row.append(title, line);
    return row;
  });
  document.getElementById("stages").replaceChildren(...rows);
}

async function watch() {
  try {
    const health = await (await fetch("health", {signal: AbortSignal.timeout(5000)})).json();
    showState(health.ready ? "ready" : "not ready", health.ready ? "good" : "wait");
    showStages(health.stages);
  } catch {
    showState("cannot be reached", "bad");
    showStages({});
  }
  setTimeout(watch, POLL_MS);
}

fillIn();
explainAccess();
watch();
renderDevices(document.getElementById("devices"), token);
