// One small button beside a chart: the picture as PNG or SVG, the numbers as CSV. A Streamlit component of its own.
// Takes {name, csv} of factortopy/view/save_button.py, and the chart that stands beside it; gives files to save.

const PRINT = 560; // CSS pixels: a narrower chart is laid out anew at this width, in the same shape
const FONT = "Arial, Helvetica, sans-serif";
const SCALE = 3; // pixels of a PNG for one of them

export default function save({ parentElement, data }) {
  const part = (name) => parentElement.querySelector(`.${name}`);
  const open = part("open"),
    menu = part("menu");
  for (const kind of ["png", "svg"])
    part(kind).onclick = () => done(() => picture(chartOf(parentElement), kind, data.name));
  part("csv").onclick = () => done(() => download(new Blob([data.csv], { type: "text/csv" }), `${data.name}.csv`));
  open.onclick = () => {
    const { right, bottom } = open.getBoundingClientRect();
    menu.showPopover();
    const { offsetWidth: wide, offsetHeight: high } = menu;
    menu.style.left = `${Math.max(4, right - wide)}px`;
    menu.style.top = `${Math.min(bottom + 4, innerHeight - high - 4)}px`;
  };
  function done(act) {
    menu.hidePopover();
    act();
  }
}

// The chart that stands in one box with this button.
function chartOf(element) {
  const host = element.getRootNode().host ?? element;
  return host.closest('[data-testid="stVerticalBlock"]')?.querySelector(".js-plotly-plot");
}

// Plotly writes its own pictures, from its own button, which stands (unseen) below ours.
function picture(chart, format, filename) {
  const button = chart?.querySelector('.modebar-btn[data-title^="Download"]');
  if (!button) return;
  const larger = Math.max(1, PRINT / chart.clientWidth);
  Object.assign(chart._context?.toImageButtonOptions ?? {}, {
    format,
    filename,
    scale: format === "png" ? SCALE : 1,
    width: Math.round(chart.clientWidth * larger),
    height: Math.round(chart.clientHeight * larger),
  });
  // For the picture alone: the ground of the page, as light words on nothing could not be read on paper; and a font that
  // every machine has, as a picture that is opened elsewhere does not have the page's, whose words may be narrower.
  const { layout } = chart,
    kept = { paper_bgcolor: layout.paper_bgcolor, font: layout.font };
  Object.assign(layout, { paper_bgcolor: ground(chart), font: { ...layout.font, family: FONT } });
  button.click();
  Object.assign(layout, kept);
}

function ground(element) {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (colour && !/^(transparent|rgba\(.*, 0\))$/.test(colour)) return colour;
  }
  return "white";
}

function download(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
