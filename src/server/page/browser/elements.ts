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

/** An element that the page has. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no ${id}`);
  return element;
}
