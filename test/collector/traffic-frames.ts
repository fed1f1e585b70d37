/** Connections frames in which every counter may be said. */
import type { ConnectionsFrame } from '../../src/model/frames.ts';
import type { ConnectionCounter } from '../../src/model/snapshot.ts';
import { CONNECTION_COUNTERS } from '../../src/model/snapshot.ts';
import type { Row } from './frames.ts';
import { connectionsFrame } from './frames.ts';

export type Counts = Partial<Record<ConnectionCounter, number>>;
export interface TrafficRow extends Row {
  readonly counts?: Counts;
}

export function trafficFrame(rows: readonly TrafficRow[], api: 'level4' | 'ex' = 'ex'): ConnectionsFrame {
  const frame = connectionsFrame(rows, api);
  for (const counter of CONNECTION_COUNTERS) {
    rows.forEach(({ counts }, row) => {
      frame.columns[counter][row] = counts?.[counter] ?? frame.columns[counter][row]!;
    });
  }
  return frame;
}
