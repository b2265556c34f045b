// Making elements: text is only ever text, attributes come from this program alone.

const SVG = 'http://www.w3.org/2000/svg';

// el('button', {class: 'x', type: 'button', onclick: f}, 'Text', child, …)
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on'))
      node.addEventListener(name.slice(2), value);
    else
      node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// A drawing of index.html's collection.
export function icon(name) {
  return svg('svg', {class: 'icon', 'aria-hidden': 'true'}, svg('use', {href: `#i-${name}`}));
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard outside of secure contexts: the old way.
    const area = el('textarea', {class: 'offscreen', 'aria-hidden': 'true'});
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

// A button that copies what `text()` gives and says so.
export function copyButton(text, label = 'Copy') {
  const button = el('button', {type: 'button', class: 'quiet copy'}, label);
  let timer = 0;
  button.addEventListener('click', async () => {
    button.textContent = (await copyText(text())) ? 'Copied' : 'Copying failed';
    announce(button.textContent);
    clearTimeout(timer);
    timer = setTimeout(() => (button.textContent = label), 1600);
  });
  return button;
}

// Says something to screen readers.
export function announce(text) {
  const region = document.getElementById('announcer');
  if (region) region.textContent = text;
}
