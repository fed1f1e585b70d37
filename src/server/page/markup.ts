/**
 * What the landing page is made of, as data: the server writes it as HTML, the page's script as elements. In both ways a
 * text stays a text, whoever it comes from.
 */

export interface Markup {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly Child[];
}
export type Child = Markup | string;

/** Names of elements and attributes are our own; values and texts may be anybody's. Children that are null are left out. */
export function el(
  tag: string,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly (Child | null)[]
): Markup {
  return { tag, attributes, children: children.filter((child) => child !== null) };
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (char) => ESCAPES[char]!);

export function toHtml(child: Child): string {
  if (typeof child === 'string') return escapeHtml(child);
  const { tag, attributes, children } = child;
  const written = Object.entries(attributes).map(([name, value]) => ` ${name}="${escapeHtml(value)}"`);
  return `<${tag}${written.join('')}>${children.map(toHtml).join('')}</${tag}>`;
}
