// The states of a view that Python hears of: "vertex", "map", "threshold", "roi", "camera".
// Takes values by the name of their state; gives those that have changed to `report`, which reruns the script.

const ECHO = 5000; // milliseconds within which a state that we sent may come back from Python

export class Reports {
  constructor() {
    this.report = null; // function(name, value)
    this.wanted = []; // names of the states that Python wants
    this.last = null; // {name: value} that Python has
    this.sent = { vertex: [], map: [], threshold: [], roi: [], camera: [] }; // not yet come back from Python
  }

  // A message came: the states that it wants and, if it is the first, those that it has.
  receive(wanted, values) {
    this.wanted = wanted;
    this.last ??= values;
  }

  send(name, value) {
    if (this.last[name] === value || !this.wanted.includes(name)) return;
    this.last[name] = value;
    this.sent[name].push({ value, at: performance.now() });
    this.report(name, value);
  }

  // A value that comes back from Python after we sent it is no wish of the page; the visitor may have gone on since.
  isEcho(name, value) {
    const recent = this.sent[name].filter((one) => performance.now() - one.at < ECHO);
    const index = recent.findIndex((one) => one.value === value);
    this.sent[name] = recent.slice(index + 1);
    return index >= 0;
  }
}
