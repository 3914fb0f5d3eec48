// Elements of the page: buttons, lists to choose from. Takes words and functions to call.

// pressed: null for a button that is no switch.
export function button(label, onClick, { title = "", pressed = null } = {}) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = label;
  if (title) element.title = title;
  if (pressed !== null) press(element, pressed);
  element.addEventListener("click", onClick);
  return element;
}

export const press = (element, pressed) => element.setAttribute("aria-pressed", String(pressed));

// Puts options into a select element, unless it has them.
export function fill(select, names, value) {
  if (JSON.stringify([...select.options].map((one) => one.value)) !== JSON.stringify(names))
    select.replaceChildren(...names.map((name) => new Option(name, name)));
  select.value = value ?? "";
}
