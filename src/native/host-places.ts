/**
 * How many child processes may be there at once, over all servers. Who needs a place waits for it in turn; the child
 * that has been idle for longest makes room.
 */

/** Whose child holds a place. */
export interface PlaceHolder {
  /** Ends its idle child, so that another can have its place. */
  makeRoom(): void;
}

const NONE_FREE = 'no place came free';

export class HostPlaces {
  readonly #max: number;
  readonly #held = new Set<PlaceHolder>();
  /** Idle ones, longest first. */
  readonly #idle = new Set<PlaceHolder>();
  readonly #waiting: { readonly holder: PlaceHolder; readonly enter: () => void }[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** Resolves when the place is there; rejects, and waits no longer, when the signal is aborted. */
  take(holder: PlaceHolder, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(new Error(NONE_FREE));
    this.#idle.delete(holder);
    if (this.#held.has(holder)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(new Error(NONE_FREE));
      };
      const enter = (): void => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const waiter = { holder, enter };
      this.#waiting.push(waiter);
      signal.addEventListener('abort', giveUp, { once: true });
      this.#admit();
    });
  }

  /** The holder's child is there and has nothing to do. */
  rest(holder: PlaceHolder): void {
    if (!this.#held.has(holder)) return;
    this.#idle.add(holder);
    this.#admit();
  }

  /** The holder's child is gone. */
  leave(holder: PlaceHolder): void {
    this.#held.delete(holder);
    this.#idle.delete(holder);
    this.#admit();
  }

  #admit(): void {
    for (;;) {
      const [next] = this.#waiting;
      const [idlest] = this.#held.size < this.#max ? [] : this.#idle;
      if (!next || (this.#held.size >= this.#max && !idlest)) return;
      this.#waiting.shift();
      if (idlest) {
        this.#held.delete(idlest);
        this.#idle.delete(idlest);
      }
      this.#held.add(next.holder);
      // This tells of the child that is gone, and others may come in by that: all is in order already.
      idlest?.makeRoom();
      next.enter();
    }
  }
}
