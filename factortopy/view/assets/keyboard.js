// The keyboard on the canvas: arrows turn, plus and minus zoom, 0 resets, Enter selects, Escape clears.
// Takes the stage, whose camera it moves, and {isReady(), moved(), reset(), select(x, y), clear()}.

const STEP = 12, // degrees an arrow key turns
  FINE = 3; // with Shift
const SHIFT = 3; // CSS pixels a plane is shifted where a surface turns by one degree
const ZOOM = 1.2;

export function listenToKeys(stage, actions) {
  stage.canvas.addEventListener("keydown", (event) => {
    if (!actions.isReady() || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? FINE : STEP,
      panel = stage.panels()[0],
      middle = [panel.x + panel.w / 2, panel.y + panel.h / 2];
    const turn = (yaw, pitch) => () =>
      stage.isPlane(panel) ? stage.shift(panel, -yaw * SHIFT, -pitch * SHIFT) : stage.turn(yaw, pitch);
    const zoom = (factor) => () => stage.zoom(factor, middle, panel);
    const movements = {
      ArrowLeft: turn(step, 0),
      ArrowRight: turn(-step, 0),
      ArrowUp: turn(0, step),
      ArrowDown: turn(0, -step),
      "+": zoom(ZOOM),
      "=": zoom(ZOOM),
      "-": zoom(1 / ZOOM),
      0: actions.reset,
      Home: actions.reset,
    };
    const select = () => actions.select(...middle);
    const selections = { Enter: select, " ": select, Escape: actions.clear };
    const action = movements[event.key] ?? selections[event.key];
    if (!action) return;
    event.preventDefault();
    action();
    if (event.key in movements) actions.moved();
  });
}
