/** All dashboards, by the names of their files. */
import { connections } from './connections.ts';
import { exporterHealth } from './exporter-health.ts';
import { overview } from './overview.ts';
import { remediation } from './remediation.ts';
import { server } from './server.ts';
import { siteLinks } from './site-links.ts';

export const DASHBOARDS = [overview, server, connections, siteLinks, remediation, exporterHealth];
