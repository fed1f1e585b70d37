/** Asks a Prometheus what a dashboard asks, as Grafana does. */
import { fetchPlain } from '../test/server/http-client.ts';
import type { Dashboard } from './dashboard-model.ts';
import { panelsOf, substitute } from './dashboard-model.ts';
import type { Picture, Series } from './dashboard-svg.ts';

interface Result {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [seconds: number, value: string];
  readonly values?: readonly (readonly [seconds: number, value: string])[];
}

export interface Asked {
  /** Unix seconds. */
  readonly from: number;
  readonly to: number;
  readonly stepSeconds: number;
  readonly rateIntervalSeconds: number;
  /** Step of panels with a least interval, which is made for longer times. */
  readonly coarseStepSeconds: number;
  /** A regular expression, in the place of $instance. */
  readonly instance: string;
  /** In the place of $user. */
  readonly user?: string;
}

const numberOf = (text: string): number =>
  text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text);

/** Rejects where Prometheus finds fault with the query. */
export async function ask(
  url: string,
  expr: string,
  kind: 'instant' | 'range',
  asked: Asked,
): Promise<Series[]> {
  const query = substitute(expr, {
    instance: asked.instance,
    rangeSeconds: Math.round(asked.to - asked.from),
    rateIntervalSeconds: asked.rateIntervalSeconds,
    intervalSeconds: asked.stepSeconds,
    ...(asked.user !== undefined && { user: asked.user }),
  });
  const parameters =
    kind === 'instant'
      ? { query, time: String(asked.to) }
      : { query, start: String(asked.from), end: String(asked.to), step: String(asked.stepSeconds) };
  const path = kind === 'instant' ? 'query' : 'query_range';
  const { text } = await fetchPlain(`${url}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`);
  const answer = JSON.parse(text) as { status: string; error?: string; data: { result: readonly Result[] } };
  if (answer.status !== 'success') throw new Error(`${answer.error ?? ''}: ${query}`);
  return answer.data.result.map(({ metric, value, values }) => ({
    labels: metric,
    points: (values ?? (value ? [value] : [])).map(
      ([seconds, number]) => [seconds, numberOf(number)] as const,
    ),
  }));
}

/** All that a picture of the dashboard shows. */
export async function answersOf(url: string, dashboard: Dashboard, asked: Asked): Promise<Picture> {
  const answers = new Map<string, Series[]>();
  const coarse = {
    ...asked,
    stepSeconds: asked.coarseStepSeconds,
    rateIntervalSeconds: asked.coarseStepSeconds + 1,
  };
  for (const { id, targets = [], interval } of panelsOf(dashboard)) {
    for (const { refId, expr, instant } of targets) {
      answers.set(
        `${id} ${refId}`,
        await ask(url, expr, instant === true ? 'instant' : 'range', interval === undefined ? asked : coarse),
      );
    }
  }
  const marks: { seconds: number; color: string }[] = [];
  for (const { expr, iconColor, useValueForTime } of dashboard.annotations.list) {
    for (const { points } of await ask(url, expr, 'range', asked)) {
      if (useValueForTime === true)
        for (const ms of new Set(points.map(([, value]) => value)))
          marks.push({ seconds: ms / 1000, color: iconColor });
      // Where a run of steps begins: what is next to it belongs to the same.
      else
        for (const [i, [seconds]] of points.entries())
          if (i === 0 || seconds - points[i - 1]![0] > asked.stepSeconds * 1.5)
            marks.push({ seconds, color: iconColor });
    }
  }
  return {
    dashboard,
    from: asked.from,
    to: asked.to,
    answer: (panel, target) => answers.get(`${panel.id} ${target.refId}`) ?? [],
    marks,
  };
}
