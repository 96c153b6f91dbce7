// The live parts of a page. Everything here adds to pages that are complete without it.

const LINES_AT_MOST = 5000;
const AT_END_PX = 40;

/** Opens an event stream; `end` and `broken` close it, a lost connection is taken up again by the browser. */
function listen(src, onMessage, onEnd) {
  const source = new EventSource(src);
  const finish = (name) => () => {
    source.close();
    onEnd(name);
  };
  source.addEventListener("message", (event) => onMessage(JSON.parse(event.data)));
  source.addEventListener("end", finish("ended"));
  source.addEventListener("broken", finish("broken"));
  return source;
}

/** A log that grows: follows its end while the reader is there, and keeps the last 5,000 lines. */
class LiveLog extends HTMLElement {
  connectedCallback() {
    this.pane = this.querySelector("pre");
    this.pane.scrollTop = this.pane.scrollHeight;
    const src = this.getAttribute("src");
    if (!src || this.source) return;
    this.source = listen(src, (piece) => this.add(piece.text), (how) => this.say(this.dataset[how]));
  }

  disconnectedCallback() {
    this.source?.close();
    this.source = undefined;
  }

  add(text) {
    const pane = this.pane;
    const follow = pane.scrollHeight - pane.scrollTop - pane.clientHeight < AT_END_PX;
    pane.append(text);
    this.waste = (this.waste ?? 0) + text.length;
    if (this.waste > 100_000) this.trim();
    if (follow) pane.scrollTop = pane.scrollHeight;
  }

  trim() {
    const lines = this.pane.textContent.split("\n");
    if (lines.length > LINES_AT_MOST) this.pane.textContent = lines.slice(-LINES_AT_MOST).join("\n");
    this.waste = 0;
  }

  say(text) {
    const place = document.getElementById("log-state");
    if (place) place.textContent = text;
  }
}

/** Tells the page's live part that something happened to the job; htmx then fetches it anew. */
class JobEvents extends HTMLElement {
  connectedCallback() {
    this.source = listen(this.getAttribute("src"), () => this.ring(), () => this.ring());
  }

  disconnectedCallback() {
    this.source?.close();
    clearTimeout(this.timer);
  }

  ring() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => document.getElementById("live")?.dispatchEvent(new CustomEvent("facts")), 250);
  }
}

customElements.define("live-log", LiveLog);
customElements.define("job-events", JobEvents);
