// The devices that send heartbeats, as a table that keeps itself up to date; it hides while there are none.

const POLL_MS = 5000;
const STYLE = `
.devices { width: 100%; border-collapse: collapse; font-size: .9rem; }
.devices th { text-align: left; font-weight: 600; }
.devices th, .devices td { padding: .3rem .75rem .3rem 0; vertical-align: top; overflow-wrap: anywhere; }
.devices tr + tr td { border-top: 1px solid var(--line, #8884); }
.devices .offline { color: var(--soft, gray); }
.devices-frame { overflow-x: auto; }
@media (max-width: 40rem) {
  .devices thead { display: none; }
  .devices tr, .devices td { display: block; }
  .devices tr + tr { margin-top: .75rem; }
  .devices td { display: flex; justify-content: space-between; gap: 1rem; padding-right: 0; border: 0 !important; }
  .devices td:first-child { font-weight: 600; }
  .devices td:not(:first-child)::before { content: attr(data-of); color: var(--soft, gray); }
  .devices td:empty { display: none; }
}
`;
const COLUMNS = {
  Device: (device) => device.instance_id,
  Session: (device) => device.session,
  State: (device) => (device.online ? device.state ?? "there" : "gone"),
  "Last seen": (device) => `${describeSeconds(device.last_seen_ago_s)} ago`,
  "Woken by": (device) => Object.entries(device.wake_counts).map(([name, count]) => `${name} ${count}×`).join(", "),
  Level: (device) => (device.level_dbfs === null ? "" : `${Math.round(device.level_dbfs)} dBFS`),
  Overflows: (device) => device.overflows ?? "",
  Version: (device) => device.client_version ?? "",
};

/** Show the devices in `element`, now and every few seconds; returns a function that ends it. */
export function renderDevices(element, token) {
  const headers = token ? {Authorization: `Bearer ${token}`} : {};
  let timer = 0;
  let isOver = false;
  addStyle();
  element.hidden = true;

  async function poll() {
    if (!document.hidden) {
      const devices = await fetchDevices(headers);
      element.hidden = devices.length === 0;
      element.replaceChildren(frame(devices));
    }
    if (!isOver) timer = setTimeout(poll, POLL_MS);
  }

  poll();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

async function fetchDevices(headers) {
  try {
    const response = await fetch("devices", {headers, signal: AbortSignal.timeout(POLL_MS)});
    return response.ok ? await response.json() : [];
  } catch {
    return []; // The page says elsewhere that the service cannot be reached.
  }
}

function frame(devices) {
  const table = document.createElement("table"), box = document.createElement("div"), title = document.createElement("h2");
  title.textContent = "Devices";
  table.className = "devices";
  table.createTHead().append(row("th", Object.keys(COLUMNS)));
  const body = table.createTBody();
  for (const device of devices) {
    const line = row("td", Object.values(COLUMNS).map((describe) => describe(device)));
    line.className = device.online ? "" : "offline";
    body.append(line);
  }
  box.className = "devices-frame";
  box.append(title, table);
  return box;
}

function row(kind, texts) {
  const line = document.createElement("tr");
  for (const text of texts) {
    const cell = document.createElement(kind);
    cell.textContent = text;
    if (kind === "td") cell.dataset.of = Object.keys(COLUMNS)[line.cells.length];
    line.append(cell);
  }
  return line;
}

function describeSeconds(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

function addStyle() {
  if (document.getElementById("devices-style")) return;
  const style = document.createElement("style");
  style.id = "devices-style";
  style.textContent = STYLE;
  document.head.append(style);
}
