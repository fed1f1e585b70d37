/** Refreshes the page from the API as long as somebody may be looking at it, and says since when it could not. */
import type { ConnectionData, InterfaceData, StatusData } from '../data.ts';
import { el } from '../markup.ts';
import { SECTIONS } from '../sections.ts';
import { ConnectionTable } from './connection-table.ts';
import { byId, patch, toElement } from './elements.ts';

const EVERY_MS = 5000;
/** Lists that take long to get are not asked for all the time, */
const TIMES_AS_LONG = 20;
/** nor are they forgotten. */
const LISTS_WITHIN_MS = 300_000;
const STATUS_WITHIN_MS = 10_000;
const LIST_WITHIN_MS = 30_000;
const ITEMS = 10_000;
/** What is beyond would be of no use to anybody here. */
const MOST_ITEMS = 100_000;

const { version, query = '' } = document.documentElement.dataset;
const TIME = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
/** Isolated: in languages from right to left it would mix with the words around it. */
const timeText = (seconds: number): string => `\u2068${TIME.format(seconds * 1000)}\u2069`;

interface Answer<T> {
  readonly data: T;
  /** Unix seconds, by the clock of the exporter. */
  readonly now: number;
}

/** What the exporter has to say, for people. */
class Refused extends Error {}

async function get<T>(
  path: string,
  withinMs: number,
  parameters: Readonly<Record<string, string>> = {},
): Promise<Answer<T>> {
  const url = new URL(`api/v1/${path}${query}`, location.href);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  // Nothing is fetched from an address with a password in it; the browser has it.
  url.username = '';
  url.password = '';
  const response = await fetch(url, { signal: AbortSignal.timeout(withinMs) });
  if (!response.ok) {
    const isGone = response.status === 404 && query !== '';
    throw new Refused(isGone ? 'there is no server of that name any more' : `it answers ${response.status}`);
  }
  const { data } = (await response.json()) as { data: T };
  return { data, now: Date.parse(response.headers.get('Date') ?? '') / 1000 || Date.now() / 1000 };
}

async function getAll<T>(path: string): Promise<readonly T[]> {
  const all: T[] = [];
  let cursor: string | undefined = '';
  while (cursor !== undefined && all.length < MOST_ITEMS) {
    const { data }: Answer<{ items: T[]; nextCursor?: string }> = await get(path, LIST_WITHIN_MS, {
      limit: String(ITEMS),
      ...(cursor !== '' && { cursor }),
    });
    for (const item of data.items) all.push(item);
    cursor = data.nextCursor;
  }
  return all;
}

const notice = byId('notice');
const table = new ConnectionTable(byId('connections'));
const drawn = new Map<string, string>();
let interfaces: readonly InterfaceData[] | undefined;
/** Of the snapshot that the lists are of. */
let listedTime: number | undefined;
let listsNotBefore = 0;
let freshAt = Date.now() / 1000;
let isPaused = false;
let timer: number | undefined;
let isRefreshing = false;

function draw(status: StatusData, now: number): void {
  for (const [id, part] of Object.entries(SECTIONS)) {
    const content = part({ status, interfaces: interfaces ?? [], now, timeText });
    const text = JSON.stringify(content);
    if (drawn.get(id) === text) continue;
    drawn.set(id, text);
    patch(byId(id), content);
  }
}

async function refresh(): Promise<void> {
  const { data: status, now } = await get<StatusData>('status', STATUS_WITHIN_MS);
  if (status.version !== version) {
    location.reload();
    return;
  }
  const isKnown = status.connections !== null;
  // Without a new snapshot, too: the exporter knows no more what became too old.
  if (isKnown !== table.isKnown) {
    if (!isKnown) table.clear();
    listedTime = undefined;
    listsNotBefore = 0;
  }
  const isNew = status.snapshotTime !== listedTime;
  const started = performance.now();
  if ((isNew || !status.up) && started >= listsNotBefore) {
    let times = 1;
    try {
      interfaces = await getAll<InterfaceData>('interfaces');
      if (isKnown && isNew) {
        const connections = await getAll<ConnectionData>('connections');
        const beyond = connections.length < MOST_ITEMS ? 0 : status.connections - connections.length;
        table.fill(connections, Math.max(status.hiddenConnections ?? status.connections, beyond), now);
      }
      listedTime = status.snapshotTime;
      times = TIMES_AS_LONG;
    } catch (error) {
      // Before the first list, what the page came with is more.
      if (interfaces) draw(status, now);
      throw error;
    } finally {
      const ended = performance.now();
      listsNotBefore = ended + Math.min(LISTS_WITHIN_MS, times * (ended - started));
    }
  }
  draw(status, now);
  freshAt = Date.now() / 1000;
  say('');
}

function say(text: string): void {
  if (notice.textContent !== text) notice.textContent = text;
}

async function run(): Promise<void> {
  clearTimeout(timer);
  if (isRefreshing || isPaused || document.hidden) return;
  isRefreshing = true;
  try {
    await refresh();
  } catch (error) {
    const why = error instanceof Refused ? error.message : 'it does not answer';
    say(`Nothing new from the exporter since ${timeText(freshAt)}: ${why}. What you see is of then.`);
  } finally {
    isRefreshing = false;
    timer = setTimeout(() => void run(), EVERY_MS);
  }
}

const pause = toElement(el('button', { type: 'button', 'aria-pressed': 'false' }, 'Pause'));
const state = toElement(el('p', { class: 'quiet' }, 'Refreshes itself'));
pause.addEventListener('click', () => {
  isPaused = !isPaused;
  pause.setAttribute('aria-pressed', String(isPaused));
  state.textContent = isPaused ? `Paused at ${timeText(Date.now() / 1000)}` : 'Refreshes itself';
  void run();
});
byId('live').append(state, pause);
// Of many servers, the one that is shown is among those in sight.
const current = document.querySelector<HTMLElement>('header nav [aria-current]');
if (current) current.closest('nav')!.scrollTop = current.offsetTop - current.offsetHeight / 2;
document.addEventListener('visibilitychange', () => void run());
void run();
