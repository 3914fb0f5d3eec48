// The view as a PNG, at the resolution of the screen: the canvas with names, legends and a sentence above.
// Takes the canvas, the sentence, names ([{name, x, y}]), the legends' canvases, lines between two maps ([{x, y, h}], all
// in CSS pixels of the canvas) and what the file is called; gives the file to the browser to save.

const HEAD = 34; // CSS pixels of the sentence

export function savePicture({ canvas, title, names, legends, lines, filename }) {
  const ratio = canvas.width / canvas.clientWidth;
  const picture = document.createElement("canvas");
  picture.width = canvas.width;
  picture.height = canvas.height + HEAD * ratio;
  const pen = picture.getContext("2d");
  pen.fillStyle = "#14171d";
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.drawImage(canvas, 0, HEAD * ratio);
  pen.scale(ratio, ratio);
  const font = (weight, size) => `${weight} ${size}px "Source Sans", "Source Sans Pro", system-ui, sans-serif`;
  pen.font = font(400, 14);
  pen.fillStyle = "#e6e9ee";
  pen.fillText(title, 12, 22, canvas.clientWidth - 24);
  pen.font = font(600, 11.5);
  pen.textBaseline = "top";
  pen.shadowColor = "#000";
  pen.shadowBlur = 4 * ratio;
  for (const { name, x, y } of names) pen.fillText(name, x + 3, y + HEAD + 2);
  pen.shadowBlur = 0;
  const stage = canvas.getBoundingClientRect();
  for (const legend of legends) {
    const box = legend.getBoundingClientRect();
    pen.drawImage(legend, box.left - stage.left, box.top - stage.top + HEAD, box.width, box.height);
  }
  pen.fillStyle = "#e6e9ee";
  for (const { x, y, h } of lines) pen.fillRect(x - 1, HEAD + y, 2, h);
  picture.toBlob((blob) => {
    const link = document.createElement("a"),
      url = URL.createObjectURL(blob);
    link.href = url;
    link.download = filename;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  });
}
