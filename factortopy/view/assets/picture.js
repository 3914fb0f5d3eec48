// The view as a PNG: the canvas with names, legend and sentence, at the resolution of the screen.

export function savePicture(view) {
  const { canvas } = view,
    ratio = canvas.width / canvas.clientWidth,
    head = 34;
  const picture = document.createElement("canvas");
  picture.width = canvas.width;
  picture.height = canvas.height + head * ratio;
  const pen = picture.getContext("2d");
  pen.fillStyle = "#14171d";
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.drawImage(canvas, 0, head * ratio);
  pen.scale(ratio, ratio);
  const font = (weight, size) => `${weight} ${size}px "Source Sans", "Source Sans Pro", system-ui, sans-serif`;
  pen.font = font(400, 14);
  pen.fillStyle = "#e6e9ee";
  const simulated = view.message.simulated ? "simulated · " : "";
  pen.fillText(simulated + view.title, 12, 22, canvas.clientWidth - 24);
  pen.font = font(600, 11.5);
  pen.textBaseline = "top";
  pen.shadowColor = "#000";
  pen.shadowBlur = 4 * ratio;
  for (const { at, anchor } of view.labels.spans) if (at) pen.fillText(anchor.name, at.x + 3, at.y + head + 2);
  pen.shadowBlur = 0;
  const stage = view.part("stage").getBoundingClientRect();
  for (const legend of [view.part("legend"), view.part("second")]) {
    if (legend.hidden) continue;
    const box = legend.getBoundingClientRect();
    pen.drawImage(legend, box.left - stage.left, box.top - stage.top + head, box.width, box.height);
  }
  if (view.compare.split !== null) {
    pen.fillStyle = "#e6e9ee";
    for (const { x, y, w, h } of view.panels()) pen.fillRect(x + view.compare.split * w - 1, head + y, 2, h);
  }
  picture.toBlob((blob) => {
    const link = document.createElement("a"),
      url = URL.createObjectURL(blob);
    const words = [view.message.simulated ? "simulated" : "", "brain", view.current.name, view.other?.name].filter(Boolean).join("-");
    link.href = url;
    link.download = `${words.replace(/[^A-Za-z0-9_-]+/g, "-").toLowerCase()}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  });
}
