/** The table of connections: of thousands of rows, only those in sight are elements. */
import type { Column, Order } from '../connection-list.ts';
import { COLUMNS, ConnectionList, nextOrder } from '../connection-list.ts';
import type { ConnectionData } from '../data.ts';
import { el } from '../markup.ts';
import { NO_CONNECTIONS_READ, number } from '../wording.ts';
import { toElement } from './elements.ts';

/** Rows beyond both edges, so that a screen reader that goes on row by row finds the next one. */
const MORE_ROWS = 10;
/** Until a row has been measured. */
const ROW_HEIGHT = 32;
/** A list that is sent to its top may still be gliding elsewhere for so long. */
const GLIDE_MS = 500;
/** Who types is told of the outcome, not of every step to it. */
const TELL_AFTER_MS = 600;

export class ConnectionTable {
  readonly #list = new ConnectionList();
  readonly #input = toElement(
    el('input', { type: 'search', id: 'search', autocomplete: 'off', spellcheck: 'false' }),
  );
  readonly #count = toElement(el('p', { class: 'quiet', id: 'count' }));
  readonly #heard = toElement(el('p', { class: 'heard', id: 'matches', role: 'status' }));
  readonly #scroll = toElement(
    el('div', {
      id: 'list',
      class: 'scroll',
      tabindex: '0',
      role: 'region',
      'aria-label': 'Table of connections',
    }),
  );
  readonly #table = toElement(el('table', { 'aria-labelledby': 'connections-title' }));
  readonly #body = toElement(el('tbody'));
  readonly #above = gap();
  readonly #below = gap();
  readonly #heads: readonly HTMLElement[];
  readonly #rows: HTMLElement[] = [];
  #order: Order = { key: 'user', direction: 'ascending' };
  #search = '';
  #shown: readonly ConnectionData[] = [];
  #hidden = 0;
  #isKnown: boolean | undefined;
  #now = 0;
  #rowHeight = 0;
  #isDrawing = false;
  #stayAtTopUntil = 0;
  #telling: number | undefined;

  constructor(place: HTMLElement) {
    this.#heads = COLUMNS.map((column) => this.#head(column));
    const row = toElement(el('tr', { 'aria-rowindex': '1' }));
    row.append(...this.#heads);
    const head = toElement(el('thead'));
    head.append(row);
    this.#body.append(this.#above, this.#below);
    this.#table.append(head, this.#body);
    this.#scroll.append(this.#table);
    const find = toElement(el('div', { class: 'find' }, el('label', { for: 'search' }, 'Search')));
    find.append(this.#input, this.#count, this.#heard);
    place.replaceChildren(find, this.#scroll);
    this.#scroll.addEventListener(
      'scroll',
      () => {
        if (performance.now() < this.#stayAtTopUntil) this.#scroll.scrollTop = 0;
        this.#drawSoon();
      },
      { passive: true },
    );
    for (const input of ['wheel', 'keydown', 'pointerdown', 'touchstart']) {
      this.#scroll.addEventListener(input, () => (this.#stayAtTopUntil = 0), { passive: true });
    }
    window.addEventListener('resize', () => {
      this.#rowHeight = 0;
      this.#drawSoon();
    });
    this.#input.addEventListener('input', () => {
      this.#search = (this.#input as HTMLInputElement).value;
      this.#selectFromTop();
      this.#tell();
    });
  }

  /** `hidden`: how many there are beside them. */
  fill(rows: readonly ConnectionData[], hidden: number, now: number): void {
    this.#list.fill(rows);
    this.#hidden = hidden;
    this.#isKnown = true;
    this.#now = now;
    this.#scroll.hidden = false;
    this.#select();
  }

  /** Undefined before the first of both. */
  get isKnown(): boolean | undefined {
    return this.#isKnown;
  }

  /** Nothing is known of any. */
  clear(): void {
    this.#list.fill([]);
    this.#hidden = 0;
    this.#isKnown = false;
    this.#scroll.hidden = true;
    this.#select();
  }

  #head(column: Column): HTMLElement {
    const button = toElement(el('button', { type: 'button' }, column.name));
    button.addEventListener('click', () => {
      this.#order = nextOrder(this.#order, column);
      this.#selectFromTop();
    });
    const head = toElement(el('th', { scope: 'col', class: classOf(column) }));
    head.append(button);
    return head;
  }

  #selectFromTop(): void {
    this.#scroll.scrollTop = 0;
    this.#select();
    this.#stayAtTopUntil = performance.now() + GLIDE_MS;
  }

  #select(): void {
    this.#shown = this.#list.select(this.#search, this.#order);
    for (const [i, { key }] of COLUMNS.entries()) {
      const isBy = key === this.#order.key;
      if (isBy) this.#heads[i]!.setAttribute('aria-sort', this.#order.direction);
      else this.#heads[i]!.removeAttribute('aria-sort');
    }
    this.#table.setAttribute('aria-rowcount', String(this.#shown.length + 1));
    const more = this.#hidden > 0 ? `; ${number(this.#hidden)} more are not listed one by one` : '';
    write(this.#count, `${this.#matches()}${more}`);
    this.#draw();
  }

  #matches(): string {
    if (this.#isKnown === undefined) return '';
    if (!this.#isKnown) return NO_CONNECTIONS_READ;
    const [found, all] = [number(this.#shown.length), number(this.#list.size)];
    return this.#search.trim() === ''
      ? this.#list.size === 1
        ? '1 connection'
        : `${all} connections`
      : `${found} of ${all} connections match`;
  }

  #tell(): void {
    clearTimeout(this.#telling);
    this.#telling = setTimeout(() => write(this.#heard, this.#matches()), TELL_AFTER_MS);
  }

  #drawSoon(): void {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => {
      this.#isDrawing = false;
      this.#draw();
    });
  }

  /** Rows are used again for others: what is selected or read aloud stays where it is while nothing scrolls. */
  #draw(): void {
    const height = this.#rowHeight || ROW_HEIGHT;
    const inSight = Math.ceil(this.#scroll.clientHeight / height) || 1;
    const start = Math.max(0, Math.floor(this.#scroll.scrollTop / height) - MORE_ROWS);
    const end = Math.min(this.#shown.length, start + inSight + 2 * MORE_ROWS);
    const first = Math.min(start, end);
    while (this.#rows.length < end - first) this.#rows.push(this.#newRow());
    for (const row of this.#rows.splice(end - first)) row.remove();
    for (const [i, row] of this.#rows.entries()) this.#writeRow(row, first + i);
    setHeight(this.#above, first * height);
    setHeight(this.#below, (this.#shown.length - end) * height);
    const measured = this.#rows[0]?.getBoundingClientRect().height ?? 0;
    if (this.#rowHeight === 0 && measured > 0) {
      this.#rowHeight = measured;
      this.#draw();
    }
  }

  #newRow(): HTMLElement {
    const row = toElement(
      el(
        'tr',
        {},
        ...COLUMNS.map((column, i) =>
          i === 0 ? el('th', { scope: 'row', class: classOf(column) }) : el('td', { class: classOf(column) }),
        ),
      ),
    );
    this.#below.before(row);
    return row;
  }

  #writeRow(row: HTMLElement, at: number): void {
    const connection = this.#shown[at]!;
    row.setAttribute('aria-rowindex', String(at + 2));
    for (const [i, column] of COLUMNS.entries()) {
      const cell = row.children[i] as HTMLElement;
      const text = column.text(connection, this.#now);
      write(cell, text);
      // What does not fit.
      if (cell.title !== text) cell.title = text;
    }
  }
}

const classOf = ({ key, isFigure }: Column): string => `column-${key}${isFigure ? ' figure' : ''}`;

function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** In place of the rows that are out of sight. */
function gap(): HTMLElement {
  return toElement(
    el('tr', { class: 'gap', 'aria-hidden': 'true' }, el('td', { colspan: String(COLUMNS.length) })),
  );
}

function setHeight(row: HTMLElement, height: number): void {
  row.hidden = height === 0;
  (row.firstElementChild as HTMLElement).style.height = `${height}px`;
}
