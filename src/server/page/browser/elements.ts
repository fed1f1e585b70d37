/** Writes markup as elements: a text becomes the text of a node, never HTML. */
import type { Child, Markup } from '../markup.ts';

/** Of the elements that the page has, only what is drawn is of SVG. */
const SVG = 'http://www.w3.org/2000/svg';
const SVG_TAGS: ReadonlySet<string> = new Set(['svg', 'path', 'line']);

export function toElement({ tag, attributes, children }: Markup): HTMLElement {
  // Nothing of an SVG element is used but what both kinds have.
  const element = (
    SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag)
  ) as HTMLElement;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.map(toNode));
  return element;
}

const toNode = (child: Child): Node | string => (typeof child === 'string' ? child : toElement(child));

/** Changes what differs only: the rest stays the nodes that it was, which may be selected, or being read aloud. */
export function patch(element: Element, children: readonly Child[]): void {
  for (const [i, child] of children.entries()) {
    const node = element.childNodes[i];
    if (!node) element.append(toNode(child));
    else if (typeof child === 'string' && node instanceof Text) {
      if (node.data !== child) node.data = child;
    } else if (typeof child !== 'string' && node instanceof Element && node.localName === child.tag) {
      patchAttributes(node, child.attributes);
      patch(node, child.children);
    } else node.replaceWith(toNode(child));
  }
  while (element.childNodes.length > children.length) element.lastChild!.remove();
}

function patchAttributes(element: Element, attributes: Markup['attributes']): void {
  for (const name of element.getAttributeNames()) if (!(name in attributes)) element.removeAttribute(name);
  for (const [name, value] of Object.entries(attributes)) {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  }
}

/** An element that the page has. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no ${id}`);
  return element;
}
